"""Packets to bytes (MQTT 5.0 section 3), for all versions.

:func:`encode` takes any packet, and refuses what does not fit into its form: numbers out of range,
strings too long, properties where they may not stand. What is sent often has functions of its own,
:func:`publish_parts` and :func:`encode_ack`, which check nothing.

Deliberately not here: whether a topic or a reason code is a good one for the packet, and how large
the receiver lets a packet be.
"""

from __future__ import annotations

from midge.errors import MalformedPacket
from midge.mqtt import packets as p
from midge.mqtt.primitives import write_binary, write_string, write_uint, write_varint
from midge.mqtt.properties import WILL, Properties
from midge.mqtt.property_codec import encode_properties, encode_publish_properties

__all__ = [
    "encode",
    "encode_ack",
    "encode_properties",
    "encode_publish_properties",
    "publish_parts",
]


def encode(packet: p.Packet, version: int) -> bytes:
    """The bytes of any packet; ``version`` is ignored for CONNECT, which has its own.

    Raises:
        MalformedPacket, ProtocolError: a value does not fit into the form of the packet.
    """
    if isinstance(packet, p.Publish):
        return _publish(packet, version)
    if isinstance(packet, p._Ack):
        return _ack(packet, version)
    packet_type = packet.type
    if not packet_type:
        raise TypeError(f"{type(packet).__name__} is not a packet of its own")
    if packet_type == p.AUTH and version != p.MQTT_5:
        raise MalformedPacket("AUTH does not exist before 5.0")
    flags = 2 if packet_type in (p.SUBSCRIBE, p.UNSUBSCRIBE) else 0
    body = _body(packet, version)
    first = packet_type << 4 | flags
    if len(body) < 0x80:
        return (first << 8 | len(body)).to_bytes(2, "big") + body
    return bytes((first,)) + write_varint(len(body)) + body


def _body(packet: p.Packet, version: int) -> bytes:
    if isinstance(packet, p.Connect):
        return _connect(packet)
    if isinstance(packet, p.Connack):
        flags = write_uint(packet.session_present, 1)
        return flags + write_uint(packet.reason, 1) + _extras(packet, packet.properties, version)
    if isinstance(packet, p.Subscribe):
        entries = b"".join([_entry(entry) for entry in packet.entries])
        return _head(packet, version) + entries
    if isinstance(packet, p.Suback):
        return _head(packet, version) + _reasons(packet.reasons)
    if isinstance(packet, p.Unsubscribe):
        filters = b"".join([write_string(filter) for filter in packet.filters])
        return _head(packet, version) + filters
    if isinstance(packet, p.Unsuback):
        reasons = _reasons(packet.reasons) if version == p.MQTT_5 else b""
        return _head(packet, version) + reasons
    if isinstance(packet, p.Disconnect):
        return _reason(packet, packet.reason, packet.properties, version)
    if isinstance(packet, p.Auth):
        return _auth(packet)
    return b""  # PINGREQ, PINGRESP


def _head(packet: p.Subscribe | p.Suback | p.Unsubscribe | p.Unsuback, version: int) -> bytes:
    return _packet_id(packet.packet_id) + _extras(packet, packet.properties, version)


def _packet_id(packet_id: int) -> bytes:
    if not packet_id:  # [MQTT-2.2.1-3]
        raise MalformedPacket("a packet identifier of 0")
    return write_uint(packet_id, 2)


def _qos(qos: int) -> int:
    if not 0 <= qos <= 2:
        raise MalformedPacket(f"QoS {qos}")
    return qos


def _reasons(reasons: list[int]) -> bytes:
    return b"".join([write_uint(reason, 1) for reason in reasons])


def _extras(packet: p.Packet, properties: Properties | None, version: int) -> bytes:
    return encode_properties(properties, packet.type) if version == p.MQTT_5 else b""


def _reason(packet: p.Packet, reason: int, properties: Properties | None, version: int) -> bytes:
    """A reason code and properties in their shortest form."""
    if version != p.MQTT_5:
        return b""
    if properties:
        return write_uint(reason, 1) + encode_properties(properties, packet.type)
    return write_uint(reason, 1) if reason else b""


def _auth(packet: p.Auth) -> bytes:
    # Its only short form is the empty one (section 3.15.2.1).
    if not packet.reason and not packet.properties:
        return b""
    return write_uint(packet.reason, 1) + encode_properties(packet.properties, p.AUTH)


def _connect(packet: p.Connect) -> bytes:
    five = packet.version == p.MQTT_5
    will = packet.will
    flags = 2 if packet.clean_start else 0
    if will is not None:
        flags |= 4 | _qos(will.qos) << 3 | will.retain << 5
    if packet.password is not None:
        flags |= 0x40
    if packet.username is not None:
        flags |= 0x80
    name = b"\x00\x06MQIsdp" if packet.version == p.MQTT_31 else b"\x00\x04MQTT"
    pieces = [
        name,
        bytes((packet.version | packet.bridge << 7, flags)),
        write_uint(packet.keepalive_s, 2),
    ]
    if five:
        pieces.append(encode_properties(packet.properties, p.CONNECT))
    pieces.append(write_string(packet.client_id))
    if will is not None:
        if five:
            pieces.append(encode_properties(will.properties, WILL))
        pieces += [write_string(will.topic), write_binary(will.payload)]
    if packet.username is not None:
        pieces.append(write_string(packet.username))
    if packet.password is not None:
        pieces.append(write_binary(packet.password))
    return b"".join(pieces)


def _entry(entry: p.SubscribeTo) -> bytes:
    if not 0 <= entry.retain_handling <= 2:
        raise MalformedPacket(f"retain handling {entry.retain_handling}")
    options = (
        _qos(entry.qos)
        | entry.no_local << 2
        | entry.retain_as_published << 3
        | entry.retain_handling << 4
    )
    return write_string(entry.filter) + bytes((options,))


def _publish(packet: p.Publish, version: int) -> bytes:
    pieces = [write_string(packet.topic)]
    if packet.qos:
        pieces.append(_packet_id(packet.packet_id))
    elif packet.dup:  # [MQTT-3.3.1-2]
        raise MalformedPacket("PUBLISH at QoS 0 with the DUP flag")
    if version == p.MQTT_5:
        pieces.append(encode_properties(packet.properties, p.PUBLISH))
    pieces.append(packet.payload)
    size = sum(map(len, pieces))
    first = p.PUBLISH << 4 | packet.dup << 3 | _qos(packet.qos) << 1 | packet.retain
    return b"".join((bytes((first,)), write_varint(size), *pieces))


def _ack(packet: p._Ack, version: int) -> bytes:
    body = _packet_id(packet.packet_id)
    body += _reason(packet, packet.reason, packet.properties, version)
    first = packet.type << 4 | (2 if packet.type == p.PUBREL else 0)
    return bytes((first,)) + write_varint(len(body)) + body


def encode_ack(packet_type: int, packet_id: int, reason: int, version: int) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP without properties."""
    # One number instead of four costs a third of it, and there is one of these for each message.
    first = packet_type << 4 | (2 if packet_type == p.PUBREL else 0)
    if reason and version == p.MQTT_5:
        return (first << 32 | 3 << 24 | packet_id << 8 | reason).to_bytes(5, "big")
    return (first << 24 | 2 << 16 | packet_id).to_bytes(4, "big")


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
        return (first << 24 | size << 16 | length).to_bytes(4, "big") + topic, tail
    if size < 0x4000:
        header = first << 16 | (size & 0x7F | 0x80) << 8 | size >> 7
        return (header << 16 | length).to_bytes(5, "big") + topic, tail
    return (
        bytes((first,)) + write_varint(size) + length.to_bytes(2, "big") + topic,
        tail,
    )
