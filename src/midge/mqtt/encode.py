"""Packets to bytes (MQTT 5.0 section 3), for all versions.

:func:`encode` takes any packet. What is sent often has functions of its own:
:func:`publish_parts` and :func:`encode_ack`.
"""

from __future__ import annotations

from midge.mqtt import packets as p
from midge.mqtt.primitives import write_binary, write_string, write_varint
from midge.mqtt.properties import Properties, encode_properties, encode_publish_properties

__all__ = [
    "encode",
    "encode_ack",
    "encode_properties",
    "encode_publish_properties",
    "publish_parts",
]

_PINGREQ = b"\xc0\x00"
_PINGRESP = b"\xd0\x00"


def encode(packet: p.Packet, version: int) -> bytes:
    """The bytes of any packet; ``version`` is ignored for CONNECT, which has its own.

    Raises:
        MalformedPacket: a value does not fit into the form of the packet.
    """
    if isinstance(packet, p.Publish):
        return _publish(packet, version)
    if isinstance(packet, p.Puback | p.Pubrec | p.Pubrel | p.Pubcomp):
        return _ack(packet, version)
    packet_type = packet.type
    flags = 2 if packet_type in (p.SUBSCRIBE, p.UNSUBSCRIBE) else 0
    body = _body(packet, version)
    return bytes((packet_type << 4 | flags,)) + write_varint(len(body)) + body


def _body(packet: p.Packet, version: int) -> bytes:
    if isinstance(packet, p.Connect):
        return _connect(packet)
    if isinstance(packet, p.Connack):
        return bytes((packet.session_present, packet.reason)) + _extras(packet.properties, version)
    if isinstance(packet, p.Subscribe):
        entries = b"".join(_entry(entry) for entry in packet.entries)
        return _head(packet.packet_id, packet.properties, version) + entries
    if isinstance(packet, p.Suback):
        return _head(packet.packet_id, packet.properties, version) + bytes(packet.reasons)
    if isinstance(packet, p.Unsubscribe):
        filters = b"".join(write_string(filter) for filter in packet.filters)
        return _head(packet.packet_id, packet.properties, version) + filters
    if isinstance(packet, p.Unsuback):
        reasons = bytes(packet.reasons) if version == p.MQTT_5 else b""
        return _head(packet.packet_id, packet.properties, version) + reasons
    if isinstance(packet, p.Disconnect | p.Auth):
        return _reason(packet.reason, packet.properties, version)
    return b""  # PINGREQ, PINGRESP


def _head(packet_id: int, properties: Properties | None, version: int) -> bytes:
    return packet_id.to_bytes(2, "big") + _extras(properties, version)


def _extras(properties: Properties | None, version: int) -> bytes:
    return encode_properties(properties) if version == p.MQTT_5 else b""


def _reason(reason: int, properties: Properties | None, version: int) -> bytes:
    """A reason code and properties in their shortest form."""
    if version != p.MQTT_5:
        return b""
    if properties:
        return bytes((reason,)) + encode_properties(properties)
    return bytes((reason,)) if reason else b""


def _connect(packet: p.Connect) -> bytes:
    five = packet.version == p.MQTT_5
    will = packet.will
    flags = 2 if packet.clean_start else 0
    if will is not None:
        flags |= 4 | will.qos << 3 | will.retain << 5
    if packet.password is not None:
        flags |= 0x40
    if packet.username is not None:
        flags |= 0x80
    name = b"\x00\x06MQIsdp" if packet.version == p.MQTT_31 else b"\x00\x04MQTT"
    pieces = [
        name,
        bytes((packet.version | packet.bridge << 7, flags)),
        packet.keepalive_s.to_bytes(2, "big"),
    ]
    if five:
        pieces.append(encode_properties(packet.properties))
    pieces.append(write_string(packet.client_id))
    if will is not None:
        if five:
            pieces.append(encode_properties(will.properties))
        pieces += [write_string(will.topic), write_binary(will.payload)]
    if packet.username is not None:
        pieces.append(write_string(packet.username))
    if packet.password is not None:
        pieces.append(write_binary(packet.password))
    return b"".join(pieces)


def _entry(entry: p.SubscribeTo) -> bytes:
    options = (
        entry.qos
        | entry.no_local << 2
        | entry.retain_as_published << 3
        | entry.retain_handling << 4
    )
    return write_string(entry.filter) + bytes((options,))


def _publish(packet: p.Publish, version: int) -> bytes:
    pieces = [write_string(packet.topic)]
    if packet.qos:
        pieces.append(packet.packet_id.to_bytes(2, "big"))
    if version == p.MQTT_5:
        pieces.append(encode_properties(packet.properties))
    pieces.append(packet.payload)
    size = sum(map(len, pieces))
    first = p.PUBLISH << 4 | packet.dup << 3 | packet.qos << 1 | packet.retain
    return b"".join((bytes((first,)), write_varint(size), *pieces))


def _ack(packet: p.Puback | p.Pubrec | p.Pubrel | p.Pubcomp, version: int) -> bytes:
    if not packet.properties:
        return encode_ack(packet.type, packet.packet_id, packet.reason, version)
    body = packet.packet_id.to_bytes(2, "big") + _reason(packet.reason, packet.properties, version)
    first = packet.type << 4 | (2 if packet.type == p.PUBREL else 0)
    return bytes((first,)) + write_varint(len(body)) + body


def encode_ack(packet_type: int, packet_id: int, reason: int, version: int) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP without properties."""
    first = packet_type << 4 | (2 if packet_type == p.PUBREL else 0)
    if reason and version == p.MQTT_5:
        return bytes((first, 3, packet_id >> 8, packet_id & 0xFF, reason))
    return bytes((first, 2, packet_id >> 8, packet_id & 0xFF))


def publish_parts(
    topic: bytes, payload: bytes, qos: int, retain: bool, version: int, properties: bytes
) -> tuple[bytes, bytes]:
    """Head and tail of a PUBLISH; at QoS 1 and 2 the packet identifier goes between them.

    Whoever sends it again sets the DUP flag, bit 3 of the first byte.

    Args:
        topic: in UTF-8.
        properties: encoded, without their length; ignored before 5.0.
    """
    length = len(topic)
    size = length + 2 + len(payload)
    if qos:
        size += 2
    tail = payload
    if version == p.MQTT_5:
        if properties:
            extras = write_varint(len(properties)) + properties
            size += len(extras)
            tail = extras + payload
        else:
            size += 1
            tail = b"\0" + payload
    first = p.PUBLISH << 4 | qos << 1 | retain
    if size < 0x80:
        return bytes((first, size, length >> 8, length & 0xFF)) + topic, tail
    return (
        bytes((first,)) + write_varint(size) + bytes((length >> 8, length & 0xFF)) + topic,
        tail,
    )
