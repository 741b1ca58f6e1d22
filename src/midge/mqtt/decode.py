"""Bytes to packets (MQTT 5.0 section 3), for all versions, and strict.

Every form that the specifications call malformed or a protocol error raises, with a sentence that
says what is wrong and the reason code that goes on the wire. What depends on the role or the state
of a connection is not looked at here: see ``connection``.
"""

from __future__ import annotations

from typing import Final

from midge.errors import MalformedPacket, ProtocolError, TopicError
from midge.limits import TOPIC_LEVELS_MAX, VARINT_MAX
from midge.mqtt import packets as p
from midge.mqtt.primitives import read_binary, read_string
from midge.mqtt.properties import (
    AUTHENTICATION_DATA,
    AUTHENTICATION_METHOD,
    TOPIC_ALIAS,
    WILL,
    Properties,
)
from midge.mqtt.property_codec import decode_properties
from midge.mqtt.reasons import ALLOWED, Reason
from midge.topics.filters import split_shared
from midge.topics.names import check_filter, check_topic

#: The flags in the first byte that each packet must have; PUBLISH has its own.
_FLAGS: Final = tuple(
    2 if packet_type in (p.PUBREL, p.SUBSCRIBE, p.UNSUBSCRIBE) else 0 for packet_type in range(16)
)


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
            if byte == 0:  # [MQTT-1.5.5-1]
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
        # [MQTT-2.1.3-1], [3.1.1: MQTT-2.2.2-2]
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
    raise MalformedPacket(f"packet type {packet_type} does not exist in this version")


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
    # The hot path: what it needs is written out here instead of called.
    qos = first >> 1 & 3
    pos = start + 2
    if pos > end:
        raise MalformedPacket("PUBLISH is too short")
    stop = pos + (data[start] << 8 | data[start + 1])
    if stop > end:
        raise MalformedPacket("the topic runs past the end of its packet")
    try:
        topic = data[pos:stop].decode()
    except UnicodeDecodeError:
        raise MalformedPacket("the topic is not well-formed UTF-8") from None  # [MQTT-1.5.4-1]
    if "+" in topic or "#" in topic or "\0" in topic or stop - pos > TOPIC_LEVELS_MAX:
        _check_unusual_topic(topic)
    packet_id = 0
    if qos:
        if qos == 3:
            raise MalformedPacket("PUBLISH at QoS 3")  # [MQTT-3.3.1-4]
        pos = stop + 2
        if pos > end:
            raise MalformedPacket("PUBLISH ends before its packet identifier")
        packet_id = data[stop] << 8 | data[stop + 1]
        if not packet_id:  # [MQTT-2.2.1-4]
            raise ProtocolError("PUBLISH with packet identifier 0")
        stop = pos
    elif first & 8:
        raise MalformedPacket("PUBLISH at QoS 0 with the DUP flag")  # [MQTT-3.3.1-2]
    properties = None
    if version == p.MQTT_5:
        if stop < end and not data[stop]:
            stop += 1
        else:
            properties, stop = decode_properties(data, stop, end, p.PUBLISH)
    if not topic and (properties is None or TOPIC_ALIAS not in properties.values):
        raise ProtocolError("PUBLISH without a topic")  # [MQTT-4.7.3-1]
    return p.Publish(
        topic, data[stop:end], qos, first & 1 != 0, first & 8 != 0, packet_id, properties
    )


def _check_unusual_topic(topic: str) -> None:
    """Refuse a topic that cannot be one, or is too deep for the tree."""
    if topic:
        try:
            check_topic(topic)
        except TopicError as error:
            raise _invalid(topic, error, int(Reason.TOPIC_NAME_INVALID)) from None


def _invalid(text: str, error: TopicError, reason: int) -> ProtocolError:
    """The error for a topic or filter that ``topics`` does not take.

    Most of them are malformed [MQTT-3.3.2-2], [MQTT-4.7.1-1]. ``reason`` says that one is well
    formed but not accepted (table 3-10): here those with more levels than the tree has room for.
    """
    if text.count("/") > TOPIC_LEVELS_MAX:
        return ProtocolError(str(error), reason)
    return MalformedPacket(str(error))


def _ack(data: bytes, start: int, end: int, packet_type: int, version: int) -> p.Packet:
    pos = start + 2
    if pos > end:
        raise MalformedPacket(f"{p.NAMES[packet_type]} is too short")
    packet_id = data[start] << 8 | data[start + 1]
    if not packet_id:
        raise ProtocolError(f"{p.NAMES[packet_type]} with packet identifier 0")
    reason = 0
    properties = None
    if pos < end:
        if version == p.MQTT_5:
            reason = _reason(data[pos], packet_type)
            pos += 1
            if pos < end:  # the properties may be left out with their length (section 3.4.2.2.1)
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
    if reason not in ALLOWED[packet_type]:
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
    # In 3.1 the remaining length has precedence over these two flags: the string may be missing.
    if flags & 0x80 and not (version == p.MQTT_31 and pos == end):
        username, pos = read_string(data, pos, end)
    if flags & 0x40 and not (version == p.MQTT_31 and pos == end):
        password, pos = read_binary(data, pos, end)
    _done(pos, end, p.CONNECT)
    clean_start = flags & 2 != 0
    return p.Connect(
        client_id, version, clean_start, keepalive_s, username, password, will, properties, bridge
    )


def _version(name: bytes, level: int) -> int:
    """The version of a protocol name and level; Mosquitto's bridges set the level's highest bit."""
    if name == b"MQTT" and (level & 0x7F == p.MQTT_311 or level == p.MQTT_5):
        return level & 0x7F
    if name == b"MQIsdp" and level & 0x7F == p.MQTT_31:
        return p.MQTT_31
    if name == b"MQTT" or name == b"MQIsdp":
        text = f"version {level} of {name.decode()} is not supported"  # [MQTT-3.1.2-2]
    else:
        text = "CONNECT for another protocol than MQTT"  # [MQTT-3.1.2-1]
    raise ProtocolError(text, int(Reason.UNSUPPORTED_PROTOCOL_VERSION))


def _check_connect_flags(flags: int, version: int) -> None:
    # 3.1 calls these flags unused, and asks for no particular value where they mean nothing.
    strict = version != p.MQTT_31
    if flags & 1 and strict:
        raise MalformedPacket("CONNECT with its reserved flag")  # [MQTT-3.1.2-3]
    if flags & 4:
        if flags & 0x18 == 0x18:
            raise MalformedPacket("CONNECT with a will at QoS 3")  # [MQTT-3.1.2-12]
    elif flags & 0x38 and strict:
        # [MQTT-3.1.2-11], [MQTT-3.1.2-13]
        raise MalformedPacket("CONNECT with will flags but no will")
    if version != p.MQTT_5 and flags & 0xC0 == 0x40:
        # [3.1.1: MQTT-3.1.2-22]
        raise MalformedPacket("CONNECT with a password but no user name")


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
        raise _invalid(topic, error, int(Reason.TOPIC_NAME_INVALID)) from None
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
    if session_present and reason:  # [MQTT-3.2.2-6], [3.1.1: MQTT-3.2.2-4]
        raise ProtocolError("CONNACK that refuses, with a session present")
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
    if start == end:
        return p.Auth()  # the short form of success, without properties (section 3.15.2.1)
    reason = _reason(data[start], p.AUTH)
    # No other short form: here the length of the properties may not be missing.
    properties, pos = decode_properties(data, start + 1, end, p.AUTH)
    _done(pos, end, p.AUTH)
    if properties is None or AUTHENTICATION_METHOD not in properties.values:
        raise ProtocolError("AUTH without its authentication method")  # section 3.15.2.2.2
    return p.Auth(reason, properties)


# -- subscriptions ---------------------------------------------------------------


def _filter(data: bytes, pos: int, end: int) -> tuple[str, int, bool]:
    """A filter, the position behind it, and whether it is a shared one."""
    filter, pos = read_string(data, pos, end)
    try:
        check_filter(filter)
        shared = split_shared(filter) is not None
    except TopicError as error:
        raise _invalid(filter, error, int(Reason.TOPIC_FILTER_INVALID)) from None
    return filter, pos, shared


def _subscribe(data: bytes, start: int, end: int, version: int) -> p.Subscribe:
    packet_id = _packet_id(data, start, end, p.SUBSCRIBE)
    properties, pos = _extras(data, start + 2, end, p.SUBSCRIBE, version)
    reserved = 0xC0 if version == p.MQTT_5 else 0xFC
    entries: list[p.SubscribeTo] = []
    while pos < end:
        filter, pos, shared = _filter(data, pos, end)
        if pos >= end:
            raise MalformedPacket("SUBSCRIBE ends before the options of a filter")
        options = data[pos]
        pos += 1
        if options & reserved:  # [MQTT-3.8.3-5], [3.1.1: MQTT-3-8.3-4]
            raise MalformedPacket(f"SUBSCRIBE with the reserved options {options & reserved:#04x}")
        entries.append(_entry(filter, options, shared))
    if not entries:
        raise ProtocolError("SUBSCRIBE without a filter")  # [MQTT-3.8.3-2]
    return p.Subscribe(packet_id, entries, properties)


def _entry(filter: str, options: int, shared: bool) -> p.SubscribeTo:
    """One entry of a SUBSCRIBE; the reserved bits of its options are known to be zero."""
    qos = options & 3
    if qos == 3:
        raise ProtocolError("SUBSCRIBE at QoS 3")
    no_local = options & 4 != 0
    if no_local and shared:
        raise ProtocolError("No Local on a shared subscription")  # [MQTT-3.8.3-4]
    handling = options >> 4
    if handling == 3:
        raise ProtocolError("SUBSCRIBE with retain handling 3")
    return p.SubscribeTo(filter, qos, no_local, options & 8 != 0, handling)


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
