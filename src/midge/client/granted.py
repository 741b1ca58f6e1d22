"""What a server allows on a connection, as its CONNACK says (MQTT 5.0 section 3.2.2.3)."""

from __future__ import annotations

from midge.errors import ProtocolError
from midge.limits import RECEIVE_MAXIMUM_DEFAULT
from midge.mqtt import properties as props
from midge.mqtt.packets import Publish
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import Reason

_NONE = Properties()


class Granted:
    """The limits of one connection; before 5.0, and before the CONNACK, there are none.

    Attributes:
        max_qos: the highest quality of service that the server takes.
        retain_available: whether it takes retained messages.
        receive_maximum: how many unacknowledged messages it takes.
        topic_alias_maximum: how many topic aliases it takes.
    """

    __slots__ = ("max_qos", "receive_maximum", "retain_available", "topic_alias_maximum")

    def __init__(self, properties: Properties | None = None) -> None:
        given = _NONE if properties is None else properties
        self.max_qos = given.get_int(props.MAXIMUM_QOS, 2)
        self.retain_available = given.get_int(props.RETAIN_AVAILABLE, 1) != 0
        self.receive_maximum = given.get_int(props.RECEIVE_MAXIMUM, RECEIVE_MAXIMUM_DEFAULT)
        self.topic_alias_maximum = given.get_int(props.TOPIC_ALIAS_MAXIMUM)

    def check(self, packet: Publish) -> None:
        """See whether the server takes a message.

        Raises:
            ProtocolError: it does not.
        """
        if packet.qos > self.max_qos:  # [MQTT-3.2.2-11]
            raise ProtocolError(
                f"the server takes messages up to QoS {self.max_qos}",
                int(Reason.QOS_NOT_SUPPORTED),
            )
        if packet.retain and not self.retain_available:  # [MQTT-3.2.2-14]
            raise ProtocolError(
                "the server takes no retained messages", int(Reason.RETAIN_NOT_SUPPORTED)
            )
