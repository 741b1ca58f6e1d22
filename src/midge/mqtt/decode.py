"""Bytes to packets (MQTT 5.0 section 3), for all versions, and strict.

Every form that the specifications call malformed or a protocol error raises, with a sentence that
says what is wrong and the reason code that goes on the wire. What depends on the role or the state
of a connection is not looked at here: see ``connection``.
"""

from __future__ import annotations

from typing import Final

from midge.errors import MalformedPacket, ProtocolError, TopicError
from midge.limits import VARINT_MAX
from midge.mqtt import packets as p
from midge.mqtt.primitives import read_binary, read_string
from midge.mqtt.properties import (
    AUTHENTICATION_DATA,
    AUTHENTICATION_METHOD,
    TOPIC_ALIAS,
    WILL,
    Properties,
    decode_properties,
)
from midge.mqtt.reasons import Reason
from midge.topics.filters import split_shared
from midge.topics.names import check_filter, check_topic

#: The flags in the first byte that each packet must have; PUBLISH has its own.
_FLAGS: Final = tuple(
    2 if packet_type in (p.PUBREL, p.SUBSCRIBE, p.UNSUBSCRIBE) else 0 for packet_type in range(16)
)

#: The reason codes that a packet may carry in 5.0 (table 2-6).
_REASONS: Final[dict[int, frozenset[int]]] = {
    p.PUBACK: frozenset((0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)),
    p.PUBREC: frozenset((0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)),
    p.PUBREL: frozenset((0, 0x92)),
    p.PUBCOMP: frozenset((0, 0x92)),
    p.SUBACK: frozenset((0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2)),
    p.UNSUBACK: frozenset((0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91)),
    p.DISCONNECT: frozenset(
        (0, 4, *range(0x80, 0x84), 0x87, 0x89, 0x8B, *range(0x8D, 0x91), *range(0x93, 0xA3))
    ),
    p.AUTH: frozenset((0, 0x18, 0x19)),
    p.CONNACK: frozenset(
        (0, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F)
    ),
}


def packet_length(data: bytes, pos: int) -> tuple[int, int]:
    """Where the body of the packet at ``pos`` begins and ends.

    The end may lie behind the data that is there; (0, 0) when the fixed header is not complete.

    Raises:
        MalformedPacket: the remaining length is overlong (section 1.5.5).
    """
    size = len(data)
    at = pos + 1
    if at >= size:
        return 0, 0
    length = data[at]
    if length < 0x80:
        return at + 1, at + 1 + length
    length &= 0x7F
    shift = 7
    while True:
        at += 1
        if at >= size:
            return 0, 0
        byte = data[at]
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0:
                raise MalformedPacket("the remaining length is longer than it needs to be")
            return at + 1, at + 1 + length
        shift += 7
        if shift > 21:
            raise MalformedPacket(f"the remaining length is more than {VARINT_MAX}")


def decode_packet(data: bytes, start: int, end: int, first: int, version: int) -> p.Packet:
    """The packet whose body is ``data[start:end]``.

    Args:
        first: the first byte of its fixed header.
        version: 3, 4 or 5; ignored for CONNECT.

    Raises:
        ProtocolError, MalformedPacket: with the reason code for the wire.
    """
    packet_type = first >> 4
    if packet_type == p.PUBLISH:
        return _publish(data, start, end, first, version)
    flags = first & 0x0F
    wanted = _FLAGS[packet_type]
    # In 3.1 what has flags at all may be sent again, with the DUP flag set.
    if flags != wanted and not (version == p.MQTT_31 and wanted and flags == wanted | 8):
        raise MalformedPacket(f"{p.NAMES[packet_type]} with flags {flags:#x}")
    if p.PUBACK <= packet_type <= p.PUBCOMP:
        return _ack(data, start, end, packet_type, version)
    return _other(data, start, end, packet_type, version)


def _other(data: bytes, start: int, end: int, packet_type: int, version: int) -> p.Packet:
    if packet_type == p.CONNECT:
        return _connect(data, start, end)
    if packet_type == p.CONNACK:
        return _connack(data, start, end, version)
    if packet_type == p.SUBSCRIBE:
        return _subscribe(data, start, end, version)
    if packet_type == p.SUBACK:
        return _suback(data, start, end, version)
    if packet_type == p.UNSUBSCRIBE:
        return _unsubscribe(data, start, end, version)
    if packet_type == p.UNSUBACK:
        return _unsuback(data, start, end, version)
    if packet_type == p.DISCONNECT:
        return _disconnect(data, start, end, version)
    if packet_type == p.AUTH and version == p.MQTT_5:
        return _auth(data, start, end)
    if packet_type == p.PINGREQ or packet_type == p.PINGRESP:
        _done(start, end, packet_type)
        return p.Pingreq() if packet_type == p.PINGREQ else p.Pingresp()
    raise MalformedPacket(f"packet type {packet_type} does not exist")


def _done(pos: int, end: int, packet_type: int) -> None:
    if pos != end:
        raise MalformedPacket(f"{p.NAMES[packet_type]} has {end - pos} bytes too many")


def _packet_id(data: bytes, pos: int, end: int, packet_type: int) -> int:
    if pos + 2 > end:
        raise MalformedPacket(f"{p.NAMES[packet_type]} is too short")
    packet_id = data[pos] << 8 | data[pos + 1]
    if not packet_id:
        # [MQTT-2.2.1-3], [MQTT-2.2.1-4]
        raise ProtocolError(f"{p.NAMES[packet_type]} with packet identifier 0")
    return packet_id


def _extras(
    data: bytes, pos: int, end: int, packet_type: int, version: int
) -> tuple[Properties | None, int]:
    if version != p.MQTT_5:
        return None, pos
    return decode_properties(data, pos, end, packet_type)


# -- messages ---------------------------------------------------------------


def _publish(data: bytes, start: int, end: int, first: int, version: int) -> p.Publish:
    qos = first >> 1 & 3
    if qos == 3:
        raise MalformedPacket("PUBLISH at QoS 3")  # [MQTT-3.3.1-4]
    dup = first & 8 != 0
    if dup and not qos:
        raise MalformedPacket("PUBLISH at QoS 0 with the DUP flag")  # [MQTT-3.3.1-2]
    pos = start + 2
    if pos > end:
        raise MalformedPacket("PUBLISH is too short")
    stop = pos + (data[start] << 8 | data[start + 1])
    if stop > end:
        raise MalformedPacket("the topic runs past the end of its packet")
    try:
        topic = data[pos:stop].decode()
    except UnicodeDecodeError:
        raise MalformedPacket("the topic is not well-formed UTF-8") from None
    if "+" in topic or "#" in topic or "\0" in topic:
        raise MalformedPacket("the topic has a wildcard or U+0000")  # [MQTT-3.3.2-2]
    pos = stop
    packet_id = 0
    if qos:
        packet_id = _packet_id(data, pos, end, p.PUBLISH)
        pos += 2
    properties = None
    if version == p.MQTT_5:
        if pos < end and not data[pos]:
            pos += 1
        else:
            properties, pos = decode_properties(data, pos, end, p.PUBLISH)
    if not topic and (properties is None or TOPIC_ALIAS not in properties.values):
        raise ProtocolError("PUBLISH without a topic")  # [MQTT-4.7.3-1]
    return p.Publish(topic, data[pos:end], qos, first & 1 != 0, dup, packet_id, properties)


def _ack(data: bytes, start: int, end: int, packet_type: int, version: int) -> p.Packet:
    packet_id = _packet_id(data, start, end, packet_type)
    reason = 0
    properties = None
    pos = start + 2
    if pos < end and version == p.MQTT_5:
        reason = _reason(data[pos], packet_type)
        pos += 1
        if pos < end:
            properties, pos = decode_properties(data, pos, end, packet_type)
    _done(pos, end, packet_type)
    if packet_type == p.PUBACK:
        return p.Puback(packet_id, reason, properties)
    if packet_type == p.PUBREC:
        return p.Pubrec(packet_id, reason, properties)
    if packet_type == p.PUBREL:
        return p.Pubrel(packet_id, reason, properties)
    return p.Pubcomp(packet_id, reason, properties)


def _reason(reason: int, packet_type: int) -> int:
    if reason not in _REASONS[packet_type]:
        raise ProtocolError(f"{p.NAMES[packet_type]} with reason code {reason:#04x}")
    return reason


# -- coming and going ---------------------------------------------------------------


def _connect(data: bytes, start: int, end: int) -> p.Connect:
    name, pos = read_binary(data, start, end)
    if pos + 4 > end:
        raise MalformedPacket("CONNECT is too short")
    version = _version(name, data[pos])
    bridge = data[pos] >= 0x80
    flags = data[pos + 1]
    keepalive_s = data[pos + 2] << 8 | data[pos + 3]
    pos += 4
    _check_connect_flags(flags, version)
    properties, pos = _extras(data, pos, end, p.CONNECT, version)
    _check_authentication(properties)
    client_id, pos = read_string(data, pos, end)
    will = None
    if flags & 4:
        will, pos = _will(data, pos, end, flags, version)
    username = None
    password = None
    if flags & 0x80:
        username, pos = read_string(data, pos, end)
    if flags & 0x40:
        password, pos = read_binary(data, pos, end)
    _done(pos, end, p.CONNECT)
    clean_start = flags & 2 != 0
    return p.Connect(
        client_id, version, clean_start, keepalive_s, username, password, will, properties, bridge
    )


def _version(name: bytes, level: int) -> int:
    version = level & 0x7F
    if name == b"MQTT" or name == b"MQIsdp":
        if name == b"MQIsdp":
            if version == p.MQTT_31:
                return version
        elif version == p.MQTT_311 or level == p.MQTT_5:
            return version
        raise ProtocolError(  # [MQTT-3.1.2-2]
            f"version {level} of {name.decode()} is not supported",
            int(Reason.UNSUPPORTED_PROTOCOL_VERSION),
        )
    raise ProtocolError("CONNECT for another protocol than MQTT")  # [MQTT-3.1.2-1]


def _check_connect_flags(flags: int, version: int) -> None:
    if flags & 1:
        raise MalformedPacket("CONNECT with its reserved flag")  # [MQTT-3.1.2-3]
    if flags & 4:
        if flags & 0x18 == 0x18:
            raise MalformedPacket("a will at QoS 3")  # [MQTT-3.1.2-12]
    elif flags & 0x38:
        raise MalformedPacket("will flags without a will")  # [MQTT-3.1.2-11], [MQTT-3.1.2-13]
    if version != p.MQTT_5 and flags & 0xC0 == 0x40:
        # [3.1.1: MQTT-3.1.2-22]
        raise MalformedPacket("a password without a user name")


def _check_authentication(properties: Properties | None) -> None:
    if (
        properties is not None
        and AUTHENTICATION_DATA in properties.values
        and AUTHENTICATION_METHOD not in properties.values
    ):
        raise ProtocolError("authentication data without a method")


def _will(data: bytes, pos: int, end: int, flags: int, version: int) -> tuple[p.Will, int]:
    properties, pos = _extras(data, pos, end, WILL, version)
    topic, pos = read_string(data, pos, end)
    payload, pos = read_binary(data, pos, end)
    try:
        check_topic(topic)
    except TopicError as error:
        raise MalformedPacket(f"the will: {error}") from None
    return p.Will(topic, payload, flags >> 3 & 3, flags & 0x20 != 0, properties), pos


def _connack(data: bytes, start: int, end: int, version: int) -> p.Connack:
    if start + 2 > end:
        raise MalformedPacket("CONNACK is too short")
    session_present = data[start]
    reason = data[start + 1]
    if session_present > 1:
        raise MalformedPacket("CONNACK with reserved flags")
    if version == p.MQTT_5:
        _reason(reason, p.CONNACK)
    elif reason > 5:
        raise ProtocolError(f"CONNACK with return code {reason}")
    properties, pos = _extras(data, start + 2, end, p.CONNACK, version)
    _check_authentication(properties)
    _done(pos, end, p.CONNACK)
    return p.Connack(reason, session_present == 1, properties)


def _disconnect(data: bytes, start: int, end: int, version: int) -> p.Disconnect:
    reason = 0
    properties = None
    pos = start
    if pos < end and version == p.MQTT_5:
        reason = _reason(data[pos], p.DISCONNECT)
        pos += 1
        if pos < end:
            properties, pos = decode_properties(data, pos, end, p.DISCONNECT)
    _done(pos, end, p.DISCONNECT)
    return p.Disconnect(reason, properties)


def _auth(data: bytes, start: int, end: int) -> p.Auth:
    reason = 0
    properties = None
    pos = start
    if pos < end:
        reason = _reason(data[pos], p.AUTH)
        pos += 1
        if pos < end:
            properties, pos = decode_properties(data, pos, end, p.AUTH)
    _done(pos, end, p.AUTH)
    _check_authentication(properties)
    return p.Auth(reason, properties)


# -- subscriptions ---------------------------------------------------------------


def _filter(data: bytes, pos: int, end: int) -> tuple[str, int, bool]:
    """A filter, the position behind it, and whether it is a shared one."""
    filter, pos = read_string(data, pos, end)
    try:
        check_filter(filter)
        shared = split_shared(filter) is not None
    except TopicError as error:
        raise MalformedPacket(str(error)) from None
    return filter, pos, shared


def _subscribe(data: bytes, start: int, end: int, version: int) -> p.Subscribe:
    packet_id = _packet_id(data, start, end, p.SUBSCRIBE)
    properties, pos = _extras(data, start + 2, end, p.SUBSCRIBE, version)
    entries: list[p.SubscribeTo] = []
    while pos < end:
        filter, pos, shared = _filter(data, pos, end)
        if pos >= end:
            raise MalformedPacket("SUBSCRIBE ends before the options of a filter")
        options = data[pos]
        pos += 1
        if options & 3 == 3 or options & (0xC0 if version == p.MQTT_5 else 0xFC):
            # [MQTT-3.8.3-5]
            raise MalformedPacket(f"subscription options {options:#04x}")
        handling = options >> 4 & 3
        if handling == 3:
            raise ProtocolError("retain handling 3")
        if shared and options & 4:
            raise ProtocolError("No Local on a shared subscription")  # [MQTT-3.8.3-4]
        entries.append(
            p.SubscribeTo(filter, options & 3, options & 4 != 0, options & 8 != 0, handling)
        )
    if not entries:
        raise ProtocolError("SUBSCRIBE without a filter")  # [MQTT-3.8.3-2]
    return p.Subscribe(packet_id, entries, properties)


def _suback(data: bytes, start: int, end: int, version: int) -> p.Suback:
    packet_id = _packet_id(data, start, end, p.SUBACK)
    properties, pos = _extras(data, start + 2, end, p.SUBACK, version)
    reasons = list(data[pos:end])
    if not reasons:
        raise MalformedPacket("SUBACK without a reason code")
    for reason in reasons:
        if version == p.MQTT_5:
            _reason(reason, p.SUBACK)
        elif reason not in (0, 1, 2, 0x80):
            raise ProtocolError(f"SUBACK with return code {reason:#04x}")
    return p.Suback(packet_id, reasons, properties)


def _unsubscribe(data: bytes, start: int, end: int, version: int) -> p.Unsubscribe:
    packet_id = _packet_id(data, start, end, p.UNSUBSCRIBE)
    properties, pos = _extras(data, start + 2, end, p.UNSUBSCRIBE, version)
    filters: list[str] = []
    while pos < end:
        filter, pos, _ = _filter(data, pos, end)
        filters.append(filter)
    if not filters:
        raise ProtocolError("UNSUBSCRIBE without a filter")  # [MQTT-3.10.3-2]
    return p.Unsubscribe(packet_id, filters, properties)


def _unsuback(data: bytes, start: int, end: int, version: int) -> p.Unsuback:
    packet_id = _packet_id(data, start, end, p.UNSUBACK)
    properties, pos = _extras(data, start + 2, end, p.UNSUBACK, version)
    if version != p.MQTT_5:
        _done(pos, end, p.UNSUBACK)
        return p.Unsuback(packet_id)
    reasons = [_reason(reason, p.UNSUBACK) for reason in data[pos:end]]
    if not reasons:
        raise MalformedPacket("UNSUBACK without a reason code")
    return p.Unsuback(packet_id, reasons, properties)
