"""Topic aliases that a publisher chooses itself (MQTT 5.0 section 3.3.2.3.4).

An alias lives as long as a connection; a message may live longer: it may be queued, or sent again
on the next one. So a message with an alias has two forms: the one for the wire now, and the one for
later, which has its topic and no alias.
"""

from __future__ import annotations

from midge.errors import ProtocolError
from midge.mqtt import properties as props
from midge.mqtt.packets import Publish
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import Reason


class PublishAliases:
    """The aliases of one client's publishes.

    Attributes:
        maximum: how many the server allows; it says so in its CONNACK.
    """

    __slots__ = ("_chosen", "_known", "maximum")

    def __init__(self) -> None:
        self.maximum = 0
        self._chosen: dict[int, str] = {}  # what our publisher means by an alias
        self._known: dict[int, str] = {}  # what the server takes it for

    def reset(self) -> None:
        """A new connection begins: the server knows none."""
        self.maximum = 0
        self._known.clear()

    def topic_of(self, alias: int, topic: str) -> str:
        """The topic that a publish is for; ``topic``, where it is not empty, sets the alias.

        Raises:
            ProtocolError: the topic is empty and the alias was never set.
        """
        full_topic = topic or self._chosen.get(alias, "")
        if not full_topic:
            raise ProtocolError(f"topic alias {alias} was used before it was set")
        self._chosen[alias] = full_topic
        return full_topic

    def for_wire(self, alias: int, durable: Publish, short: bool, given: Properties) -> Publish:
        """The form of ``durable`` to send now; with ``short``, without the topic if that will do.

        Raises:
            ProtocolError: the server does not allow the alias.
        """
        if alias > self.maximum:  # [MQTT-3.2.2-17]
            raise ProtocolError(
                f"topic alias {alias} is above the {self.maximum} that the server allows",
                int(Reason.TOPIC_ALIAS_INVALID),
            )
        omit = short and self._known.get(alias) == durable.topic
        topic = "" if omit else durable.topic
        return Publish(topic, durable.payload, durable.qos, durable.retain, False, 0, given)

    def sent(self, alias: int, topic: str) -> None:
        """The server has seen ``alias`` with ``topic``."""
        self._known[alias] = topic


def without_alias(properties: Properties) -> Properties | None:
    """The same properties but for the topic alias; ``None`` when nothing is left."""
    values = {key: value for key, value in properties.values.items() if key != props.TOPIC_ALIAS}
    rest = Properties(values, properties.user, properties.subscription_ids)
    return rest if rest else None
