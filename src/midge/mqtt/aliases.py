"""Topic aliases: a number instead of a topic, per connection and direction (section 3.3.2.3.4)."""

from __future__ import annotations

from midge.errors import ProtocolError
from midge.mqtt.reasons import Reason


class InboundAliases:
    """Aliases that the peer sets with us, up to the maximum that we announced."""

    __slots__ = ("_topics", "maximum")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self._topics: dict[int, str] | None = None

    def resolve(self, alias: int, topic: str) -> str:
        """The topic of a PUBLISH with ``alias``; a topic that is not empty sets the alias.

        Raises:
            ProtocolError: 0x94 for an alias above the maximum [MQTT-3.3.2-9], 0x82 for one that
                was never set.
        """
        if alias > self.maximum:
            raise ProtocolError(
                f"topic alias {alias} is above the maximum of {self.maximum}",
                int(Reason.TOPIC_ALIAS_INVALID),
            )
        if self._topics is None:
            self._topics = {}
        if topic:
            self._topics[alias] = topic
            return topic
        known = self._topics.get(alias)
        if known is None:
            raise ProtocolError(f"topic alias {alias} was used before it was set")
        return known


class OutboundAliases:
    """Aliases that we set with the peer: the first topics that come, as many as it allows."""

    __slots__ = ("_aliases", "maximum")

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self._aliases: dict[bytes, int] = {}

    def assign(self, topic: bytes) -> tuple[int, bool]:
        """The alias of ``topic`` (0: none left) and whether the peer knows it already."""
        alias = self._aliases.get(topic, 0)
        if alias:
            return alias, True
        if len(self._aliases) >= self.maximum:
            return 0, False
        alias = len(self._aliases) + 1
        self._aliases[topic] = alias
        return alias, False

    def forget(self, topic: bytes) -> None:
        """The alias that was assigned last is not sent after all: the peer never learns of it."""
        del self._aliases[topic]
