"""``-D PACKET NAME VALUE``: MQTT 5.0 properties on the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from midge.cli.flags import FlagError, whole_number
from midge.limits import STRING_BYTES_MAX, VARINT_MAX
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties

#: What a client may set (section 2.2.2.2): name, identifier, and the type of its value.
_PROPERTIES: Final[dict[str, tuple[int, int]]] = {
    "authentication-data": (props.AUTHENTICATION_DATA, props.BINARY),
    "authentication-method": (props.AUTHENTICATION_METHOD, props.STRING),
    "content-type": (props.CONTENT_TYPE, props.STRING),
    "correlation-data": (props.CORRELATION_DATA, props.BINARY),
    "maximum-packet-size": (props.MAXIMUM_PACKET_SIZE, props.FOUR_BYTES),
    "message-expiry-interval": (props.MESSAGE_EXPIRY_INTERVAL, props.FOUR_BYTES),
    "payload-format-indicator": (props.PAYLOAD_FORMAT_INDICATOR, props.BYTE),
    "reason-string": (props.REASON_STRING, props.STRING),
    "receive-maximum": (props.RECEIVE_MAXIMUM, props.TWO_BYTES),
    "request-problem-information": (props.REQUEST_PROBLEM_INFORMATION, props.BYTE),
    "request-response-information": (props.REQUEST_RESPONSE_INFORMATION, props.BYTE),
    "response-topic": (props.RESPONSE_TOPIC, props.STRING),
    "session-expiry-interval": (props.SESSION_EXPIRY_INTERVAL, props.FOUR_BYTES),
    "subscription-identifier": (props.SUBSCRIPTION_IDENTIFIER, props.VARINT),
    "topic-alias": (props.TOPIC_ALIAS, props.TWO_BYTES),
    "topic-alias-maximum": (props.TOPIC_ALIAS_MAXIMUM, props.TWO_BYTES),
    "user-property": (props.USER_PROPERTY, props.PAIR),
    "will-delay-interval": (props.WILL_DELAY_INTERVAL, props.FOUR_BYTES),
}

_OF_A_MESSAGE: Final = (
    "payload-format-indicator message-expiry-interval content-type response-topic "
    "correlation-data user-property"
)
#: The packets that a command sends, and what may stand in each.
_PACKETS: Final[dict[str, str]] = {
    "connect": "session-expiry-interval receive-maximum maximum-packet-size topic-alias-maximum "
    "request-response-information request-problem-information user-property "
    "authentication-method authentication-data",
    "publish": _OF_A_MESSAGE + " topic-alias",
    "subscribe": "subscription-identifier user-property",
    "unsubscribe": "user-property",
    "disconnect": "session-expiry-interval reason-string user-property",
    "will": _OF_A_MESSAGE + " will-delay-interval",
}
_HIGHEST: Final = {
    props.BYTE: 0xFF,
    props.TWO_BYTES: 0xFFFF,
    props.FOUR_BYTES: 0xFFFFFFFF,
    props.VARINT: VARINT_MAX,
}


def take_property(found: dict[str, Properties], arguments: Sequence[str]) -> int:
    """Read what follows ``-D`` into ``found``, by the name of the packet.

    Returns:
        How many arguments it was: three, or four for a user property.

    Raises:
        FlagError: it is no property, or not one of that packet.
    """
    if len(arguments) < 3:
        raise _incomplete()
    packet_name, name, text = arguments[0], arguments[1], arguments[2]
    allowed = _PACKETS.get(packet_name.lower())
    if allowed is None:
        raise FlagError(f"Error: Invalid command {packet_name} given in --property argument.")
    if name not in _PROPERTIES:
        raise FlagError(f"Error: Invalid property name {name} given in --property argument.")
    if name not in allowed.split():
        raise FlagError(
            f"Error: {name} property not allowed for {packet_name} in --property argument."
        )
    properties = found.setdefault(packet_name.lower(), Properties())
    identifier, kind = _PROPERTIES[name]
    if kind == props.PAIR:
        if len(arguments) < 4:
            raise _incomplete()
        properties.user.append((_text(text, name), _text(arguments[3], name)))
        return 4
    if identifier in properties.values or (kind == props.VARINT and properties.subscription_ids):
        raise FlagError(f"Error: Property {name} was given twice.")
    if kind == props.STRING:
        properties.values[identifier] = _text(text, name)
    elif kind == props.BINARY:
        properties.values[identifier] = _binary(text, name)
    elif kind == props.VARINT:
        properties.subscription_ids.append(_number(text, name, kind))
    else:
        properties.values[identifier] = _number(text, name, kind)
    return 3


def _incomplete() -> FlagError:
    return FlagError("Error: --property argument given but not enough arguments specified.")


def _number(text: str, name: str, kind: int) -> int:
    value = whole_number(text, 0, _HIGHEST[kind])
    if value is None:
        raise FlagError(f"Error: Property value ({text}) out of range for property {name}.")
    return value


def _binary(text: str, name: str) -> bytes:
    data = os.fsencode(text)
    if len(data) > STRING_BYTES_MAX:
        raise FlagError(f"Error: Property value too long for property {name}.")
    return data


def _text(text: str, name: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise FlagError(f"Error: Malformed UTF-8 in the value of property {name}.") from None
    if size > STRING_BYTES_MAX:
        raise FlagError(f"Error: Property value too long for property {name}.")
    return text
