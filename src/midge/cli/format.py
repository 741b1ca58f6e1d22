"""``-F``: what ``midge sub`` prints for each message, from a format like that of ``printf``.

A format is read once, into a list of pieces: bytes that stand as they are, and functions of a
message. ``%`` begins a field of the message, ``@`` a part of the time (as in ``strftime``, and
``@N`` for nanoseconds), a backslash a control character. Between ``%`` and its letter may stand
``-`` (left-aligned), ``0`` (padded with zeros), a width, ``.`` and a precision, and for hexadecimal
a separator.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from midge.cli.flags import FlagError
from midge.mqtt import properties as props
from midge.mqtt.packets import Publish
from midge.mqtt.properties import Properties

#: Makes the bytes of one field.
Piece = Callable[[Publish], bytes]

_ESCAPES: Final = {
    "\\": b"\\",
    "0": b"\0",
    "a": b"\a",
    "e": b"\x1b",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
}
_SEPARATORS: Final = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~ "
_FIELDS: Final = "ACDEFIJPRSUXdfjlmpqrtx%"


class Spec:
    """How a field is to be laid out.

    Attributes:
        left: aligned to the left.
        pad: what fills it up, a space or ``0``.
        width: the least number of characters; 0 for none.
        precision: digits, or characters at most; -1 for none.
        separator: between the bytes of a hexadecimal payload; empty for none.
    """

    __slots__ = ("left", "pad", "precision", "separator", "width")

    def __init__(self) -> None:
        self.left = False
        self.pad = " "
        self.width = 0
        self.precision = -1
        self.separator = ""

    def text(self, value: str) -> bytes:
        """A text, cut to the precision."""
        if self.precision >= 0:
            value = value.encode()[: self.precision].decode(errors="ignore")
        return self._fill(value.encode(), b" ")

    def integer(self, value: int) -> bytes:
        """A whole number."""
        return self._fill(b"%d" % value, b"0" if self.pad == "0" and not self.left else b" ")

    def real(self, value: float) -> bytes:
        """A number with six decimals, or as many as the precision says."""
        digits = f"{value:.{6 if self.precision < 0 else self.precision}f}".encode()
        if self.pad == "0" and not self.left and digits.startswith(b"-"):
            return b"-" + digits[1:].rjust(self.width - 1, b"0")
        return self._fill(digits, b"0" if self.pad == "0" and not self.left else b" ")

    def absent(self) -> bytes:
        """What stands for a property that the message does not have."""
        return self.pad.encode() * self.width

    def payload(self, data: bytes) -> bytes:
        """The payload as it is; a width cuts it too."""
        if self.width:
            data = data[: self.width]
        return self._fill(data, self.pad.encode())

    def hexadecimal(self, data: bytes, capital: bool) -> bytes:
        """The payload as digits, with the separator after each ``precision`` of them."""
        if self.width:
            data = data[: self.width]
        digits = data.hex().upper() if capital else data.hex()
        missing = self.width - len(digits)
        text = digits if self.left else self.pad * missing + digits
        if self.precision > 0:
            parts = [text[at : at + self.precision] for at in range(0, len(text), self.precision)]
            text = (self.separator or " ").join(parts)
        return (text + " " * missing if self.left else text).encode()

    def _fill(self, data: bytes, pad: bytes) -> bytes:
        return data.ljust(self.width) if self.left else data.rjust(self.width, pad)


class Format:
    """A format that was read.

    Attributes:
        pieces: what is to be printed, in order.
    """

    __slots__ = ("pieces",)

    def __init__(self, text: str, pretty: bool = False) -> None:
        """Read a format; ``pretty`` breaks JSON into lines.

        Raises:
            FlagError: it is not one.
        """
        self.pieces: list[bytes | Piece] = []
        at = 0
        while at < len(text):
            letter = text[at]
            at += 1
            if letter == "%":
                at = self._field(text, at, pretty)
            elif letter == "@":
                if at == len(text):
                    raise FlagError("Error: Incomplete format specifier.")
                self.pieces.append(_time_piece(text[at]))
                at += 1
            elif letter == "\\":
                if at == len(text):
                    raise FlagError("Error: Incomplete escape specifier.")
                escape = _ESCAPES.get(text[at])
                if escape is None:
                    raise FlagError(f"Error: Invalid escape specifier '{text[at]}'.")
                self.pieces.append(escape)
                at += 1
            else:
                self.pieces.append(letter.encode(errors="surrogateescape"))

    def render(self, packet: Publish) -> bytes:
        """What to print for a message.

        Raises:
            ValueError: a field of it cannot be printed as asked; the text says why.
        """
        return b"".join(
            [piece if isinstance(piece, bytes) else piece(packet) for piece in self.pieces]
        )

    def _field(self, text: str, at: int, pretty: bool) -> int:
        spec = Spec()
        if text[at : at + 1] == "-":
            spec.left = True
            at += 1
        if text[at : at + 1] == "0":
            spec.pad = "0"
            at += 1
        spec.width, at = _digits(text, at)
        if text[at : at + 1] == ".":
            spec.precision, at = _digits(text, at + 1)
        if text[at : at + 1] and text[at] in _SEPARATORS:
            spec.separator = text[at]
            at += 1
        if at >= len(text):
            raise FlagError("Error: Incomplete format specifier.")
        letter = text[at]
        if letter not in _FIELDS:
            raise FlagError(f"Error: Invalid format specifier '{letter}'.")
        self.pieces.append(_field_piece(letter, spec, pretty))
        return at + 1


def _digits(text: str, at: int) -> tuple[int, int]:
    end = at
    while end < len(text) and text[end] in "0123456789":
        end += 1
    # A width beyond this is a slip of the hand, and would be memory for nothing.
    return min(int(text[at:end] or "0"), 1_000_000), end


def _time_piece(letter: str) -> bytes | Piece:
    if letter == "@":
        return b"@"
    if letter == "N":
        return lambda packet: b"%09d" % (time.time_ns() % 1_000_000_000)
    return lambda packet: time.strftime("%" + letter).encode(errors="surrogateescape")


def _field_piece(letter: str, spec: Spec, pretty: bool) -> bytes | Piece:
    if letter == "%":
        return b"%"
    if letter in _INTEGER_PROPERTIES:
        return _integer_property(_INTEGER_PROPERTIES[letter], spec)
    if letter in "CR":
        return _text_property(letter, spec)
    if letter in "jJ":
        from midge.cli.json_output import message_json

        return lambda packet: message_json(packet, letter == "J", pretty)
    return {
        "D": lambda packet: _correlation_data(packet),
        "I": lambda packet: spec.text(time.strftime("%Y-%m-%dT%H:%M:%S%z")),
        "P": lambda packet: _user_properties(packet),
        "S": lambda packet: _subscription_id(packet, spec),
        "U": lambda packet: _unix_time(),
        "X": lambda packet: spec.hexadecimal(packet.payload, True),
        "x": lambda packet: spec.hexadecimal(packet.payload, False),
        "d": lambda packet: _real(packet, "d", 8, spec),
        "f": lambda packet: _real(packet, "f", 4, spec),
        "l": lambda packet: spec.integer(len(packet.payload)),
        "m": lambda packet: spec.integer(packet.packet_id),
        "p": lambda packet: spec.payload(packet.payload),
        "q": lambda packet: b"%d" % packet.qos,
        "r": lambda packet: b"1" if packet.retain else b"0",
        "t": lambda packet: spec.text(packet.topic),
    }[letter]


_INTEGER_PROPERTIES: Final = {
    "A": props.TOPIC_ALIAS,
    "E": props.MESSAGE_EXPIRY_INTERVAL,
    "F": props.PAYLOAD_FORMAT_INDICATOR,
}
_NONE: Final = Properties()


def _integer_property(identifier: int, spec: Spec) -> Piece:
    def piece(packet: Publish) -> bytes:
        value = (packet.properties or _NONE).values.get(identifier)
        return spec.integer(value) if isinstance(value, int) else spec.absent()

    return piece


def _text_property(letter: str, spec: Spec) -> Piece:
    identifier = props.CONTENT_TYPE if letter == "C" else props.RESPONSE_TOPIC

    def piece(packet: Publish) -> bytes:
        value = (packet.properties or _NONE).get_str(identifier)
        if value is None:
            return spec.absent() if letter == "C" else b""
        return spec.text(value)

    return piece


def _correlation_data(packet: Publish) -> bytes:
    return (packet.properties or _NONE).get_bytes(props.CORRELATION_DATA) or b""


def _user_properties(packet: Publish) -> bytes:
    return " ".join(f"{name}:{value}" for name, value in (packet.properties or _NONE).user).encode()


def _subscription_id(packet: Publish, spec: Spec) -> bytes:
    identifiers = (packet.properties or _NONE).subscription_ids
    return spec.integer(identifiers[0]) if identifiers else spec.absent()


def _unix_time() -> bytes:
    now_ns = time.time_ns()
    return b"%d.%09d" % (now_ns // 1_000_000_000, now_ns % 1_000_000_000)


def _real(packet: Publish, code: str, size: int, spec: Spec) -> bytes:
    if len(packet.payload) != size:
        kind = "float" if code == "f" else "double"
        raise ValueError(f"requested {kind} printing, but non-{kind} data received")
    import struct

    value: float = struct.unpack("=" + code, packet.payload)[0]
    return spec.real(value)
