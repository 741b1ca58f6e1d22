"""Properties to bytes and back (MQTT 5.0 section 2.2.2), strict both ways.

What is wrong with properties, and the reason code of it:

* 0x81, malformed: an identifier that does not exist or may not stand in this packet, a value that
  is not of its type or is cut off, a length that runs past the packet (section 2.2.2.2).
* 0x82, a protocol error: a property that stands twice, or has a value that its section rules out.
  A payload format indicator other than 0 and 1 is one of these: 0x99 would say that a payload does
  not keep what its indicator promises, which nobody checks here (section 3.3.2.3.2).
* 0x94: a topic alias of zero (section 3.3.2.3.4).

What depends on the role or on other packets is not looked at here: see ``connection``.
"""

from __future__ import annotations

from midge.errors import MalformedPacket, ProtocolError
from midge.mqtt import packets as p
from midge.mqtt.primitives import (
    read_binary,
    read_pair,
    read_string,
    read_varint,
    write_binary,
    write_pair,
    write_string,
    write_uint,
    write_varint,
)
from midge.mqtt.properties import (
    BINARY,
    BYTE,
    FORWARDED,
    FOUR_BYTES,
    IDENTIFIER_LIMIT,
    NAMES,
    NOT_ZERO,
    PAIR,
    PLACES,
    RESPONSE_TOPIC,
    STRING,
    SUBSCRIPTION_IDENTIFIER,
    TYPES,
    VARINT,
    WILL,
    Properties,
)


def decode_properties(
    data: bytes, pos: int, end: int, packet_type: int
) -> tuple[Properties | None, int]:
    """The properties of a packet, which begin with their length (section 2.2.2.1).

    Args:
        packet_type: whose they are; ``WILL`` for those of a will.

    Returns:
        The properties, ``None`` where there are none, and the position behind them.

    Raises:
        MalformedPacket, ProtocolError: for what the docstring of the module lists.
    """
    length, pos = read_varint(data, pos, end)
    if not length:
        return None, pos
    stop = pos + length
    if stop > end:
        raise MalformedPacket("the properties run past the end of their packet")
    start = pos
    properties = Properties()
    values = properties.values
    value: int | str | bytes
    while pos < stop:
        identifier = data[pos]
        if identifier >= IDENTIFIER_LIMIT or not PLACES[identifier] >> packet_type & 1:
            raise _misplaced(identifier, packet_type)
        pos += 1
        kind = TYPES[identifier]
        if kind == PAIR:
            pair, pos = read_pair(data, pos, stop)
            properties.user.append(pair)
            continue
        if kind == STRING:
            value, pos = read_string(data, pos, stop)
        elif kind == BINARY:
            value, pos = read_binary(data, pos, stop)
        elif kind == VARINT:
            pos = _subscription_id(properties, data, pos, stop, packet_type)
            continue
        else:
            value = int.from_bytes(data[pos : pos + (1 << kind)], "big")
            pos += 1 << kind
            if pos > stop:
                raise MalformedPacket(f"the property {NAMES[identifier]} is cut off")
        if identifier in values:
            raise ProtocolError(f"the property {NAMES[identifier]} stands twice")
        _check_value(identifier, kind, value)
        values[identifier] = value
    if packet_type == p.PUBLISH and not properties.subscription_ids and _all_travel(values):
        properties.forwarded = data[start:stop]
    return properties, pos


def _misplaced(identifier: int, packet_type: int) -> MalformedPacket:
    """The error for a property that may not stand in a packet of this type."""
    if identifier not in NAMES:  # all identifiers of 5.0 fit into one byte
        return MalformedPacket(f"there is no property {identifier:#04x}")
    where = "a will" if packet_type == WILL else p.NAMES[packet_type]
    return MalformedPacket(f"the property {NAMES[identifier]} may not stand in {where}")


def _subscription_id(
    properties: Properties, data: bytes, pos: int, end: int, packet_type: int
) -> int:
    """Read a subscription identifier; a PUBLISH may have several (section 3.3.2.3.8)."""
    value, pos = read_varint(data, pos, end)
    if not value:
        raise ProtocolError("a subscription identifier of zero")
    if properties.subscription_ids and packet_type == p.SUBSCRIBE:
        raise ProtocolError("more than one subscription identifier")
    properties.subscription_ids.append(value)
    return pos


def _check_value(identifier: int, kind: int, value: int | str | bytes) -> None:
    """Refuse the values that the section of a property rules out."""
    if kind == BYTE:
        if value not in (0, 1):
            raise ProtocolError(f"the property {NAMES[identifier]} is {value!r}, not 0 or 1")
    elif value == 0:
        if identifier in NOT_ZERO:
            raise ProtocolError(f"the property {NAMES[identifier]} is zero", NOT_ZERO[identifier])
    elif identifier == RESPONSE_TOPIC:
        assert isinstance(value, str)
        if not value or "+" in value or "#" in value:
            raise ProtocolError("the response topic is no topic name")  # [MQTT-3.3.2-14]


def _all_travel(values: dict[int, int | str | bytes]) -> bool:
    """Whether all of them go from publisher to subscriber unchanged."""
    # This loop sees one to four properties, and stops at the first that does not travel.
    for identifier in values:  # noqa: SIM110
        if identifier not in FORWARDED:
            return False
    return True


def encode_properties(properties: Properties | None, packet_type: int = -1) -> bytes:
    """Properties with their length before them.

    Args:
        packet_type: whose they are, to check that they may stand there; -1 for no check.

    Raises:
        MalformedPacket, ProtocolError: a property that the other side would have to refuse.
    """
    if properties is None:
        return b"\0"
    if packet_type >= 0:
        _check_places(properties, packet_type)
    pieces = [_encode_one(key, value) for key, value in properties.values.items()]
    pieces += [_encode_subscription_id(value) for value in properties.subscription_ids]
    pieces += [b"\x26" + write_pair(pair) for pair in properties.user]
    body = b"".join(pieces)
    return write_varint(len(body)) + body


def _check_places(properties: Properties, packet_type: int) -> None:
    identifiers = list(properties.values)
    if properties.subscription_ids:
        identifiers.append(SUBSCRIPTION_IDENTIFIER)
        if len(properties.subscription_ids) > 1 and packet_type == p.SUBSCRIBE:
            raise ProtocolError("more than one subscription identifier")
    for identifier in identifiers:
        if not 0 <= identifier < IDENTIFIER_LIMIT or not PLACES[identifier] >> packet_type & 1:
            raise _misplaced(identifier, packet_type)


def _encode_one(identifier: int, value: int | str | bytes) -> bytes:
    kind = TYPES[identifier] if 0 <= identifier < IDENTIFIER_LIMIT else -1
    if kind == STRING and isinstance(value, str):
        encoded = write_string(value)
    elif kind == BINARY and isinstance(value, bytes):
        encoded = write_binary(value)
    elif 0 <= kind <= FOUR_BYTES and isinstance(value, int):
        encoded = write_uint(value, 1 << kind)
    else:
        name = NAMES.get(identifier, hex(identifier))
        raise MalformedPacket(f"a {type(value).__name__} is no value of the property {name}")
    _check_value(identifier, kind, value)
    return bytes((identifier,)) + encoded


def _encode_subscription_id(value: int) -> bytes:
    if not value:
        raise ProtocolError("a subscription identifier of zero")
    return b"\x0b" + write_varint(value)


def encode_publish_properties(
    properties: Properties | None,
    expiry_s: int,
    subscription_ids: tuple[int, ...] | list[int],
    alias: int,
) -> bytes:
    """The properties of a forwarded PUBLISH, without their length.

    Args:
        properties: as they came; what does not travel is left out.
        expiry_s: seconds that the message has left; -1 for no expiry.
        subscription_ids: identifiers of the receiver's subscriptions.
        alias: a topic alias; 0 for none.

    Raises:
        MalformedPacket, ProtocolError: a property that the other side would have to refuse.
    """
    encoded = b""
    if properties is not None:
        if properties.forwarded is None:
            properties.forwarded = _encode_forwarded(properties)
        encoded = properties.forwarded
    if expiry_s >= 0:
        encoded += b"\x02" + write_uint(expiry_s, 4)
    if alias:
        encoded += b"\x23" + write_uint(alias, 2)
    if subscription_ids:
        encoded += b"".join([_encode_subscription_id(value) for value in subscription_ids])
    return encoded


def _encode_forwarded(properties: Properties) -> bytes:
    values = properties.values
    pieces = [_encode_one(key, values[key]) for key in FORWARDED if key in values]
    pieces += [b"\x26" + write_pair(pair) for pair in properties.user]
    return b"".join(pieces)
