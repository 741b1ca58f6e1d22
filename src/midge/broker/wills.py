"""Wills: what a client wants said when it is gone (MQTT 5.0 section 3.1.2.5)."""

from __future__ import annotations

from midge.message import NEVER, Message
from midge.mqtt import properties as props
from midge.mqtt.packets import Will


def will_message(will: Will, client_id: str, now: float) -> Message:
    """The message of a will that is published now; its expiry interval begins here."""
    expires_at = NEVER
    if will.properties is not None:
        expiry_s = will.properties.get_int(props.MESSAGE_EXPIRY_INTERVAL, -1)
        if expiry_s >= 0:
            expires_at = now + expiry_s
    return Message(
        will.topic, will.payload, will.qos, will.retain, will.properties, expires_at, client_id
    )


def will_delay_s(will: Will) -> int:
    """Seconds between the end of the connection and the will (section 3.1.3.2.2)."""
    if will.properties is None:
        return 0
    return will.properties.get_int(props.WILL_DELAY_INTERVAL)
