"""Frames: flags, a length of one or eight bytes, a body (RFC 37, framing; the same in RFC 15).

Reading is where the time goes, so ``FrameReader._read_whole`` is one loop over a chunk,
without a call or an object per message that is not the message. Programs tend to send runs of
messages of one size; a run is recognised by comparing every header of it at once (a slice with a
step), and cut by one call of :mod:`struct`. That is four times as fast as the loop, and exact: by
induction, equal headers at equal distances are the headers.

A body that has not come whole is collected apart and joined once, so that a large message is
copied once however many chunks it comes in. Only the length in a header is believed, never
allocated; what is too long is refused there.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final

from midge.limits import (
    ZMTP_BY_REFERENCE_BYTES,
    ZMTP_COMMAND_BYTES_MAX,
    ZMTP_FRAME_BYTES_MAX,
    ZMTP_PARTS_MAX,
)
from midge.zmtp.errors import MALFORMED_COMMAND, MALFORMED_MESSAGE, ZmtpError

#: What a program may give as a part. A view goes out as it is, and is never taken for ``bytes``:
#: compiled code refuses what its types do not say.
Buffer = bytes | memoryview

MORE: Final = 1
LONG: Final = 2
COMMAND: Final = 4

_SHORT: Final = 256
#: Header of the last frame of a message, by length; and of the frames before it.
SHORT_LAST: Final = tuple(bytes((0, size)) for size in range(_SHORT))
SHORT_MORE: Final = tuple(bytes((MORE, size)) for size in range(_SHORT))

#: Frames in one stride of a run: long enough to make its two comparisons cheap, short enough to
#: find runs in small chunks.
_RUN: Final = 32
#: After a guess that failed, so many equal frames must pass before the next one.
_RUN_PAUSE: Final = -64
_RUN_FLAGS: Final = bytes(_RUN)
_RUN_LENGTHS: Final = tuple(bytes((size,)) * _RUN for size in range(_SHORT))
#: Pieces smaller than this are gathered while a body is incomplete: a peer that sends single bytes
#: must not cost us an object for each.
_GATHER_BYTES: Final = 1024

_run_cutters: dict[int, Struct] = {}


def _run_cutter(size: int) -> Struct:
    cutter = _run_cutters.get(size)
    if cutter is None:
        cutter = _run_cutters[size] = Struct(f"2x{size}s" * _RUN)
    return cutter


def encode_header(flags: int, size: int) -> bytes:
    """The header of a frame with ``size`` bytes; LONG is set where it is needed."""
    if size < _SHORT:
        return bytes((flags, size))
    return bytes((flags | LONG,)) + size.to_bytes(8, "big")


def encode_frame(flags: int, body: bytes) -> bytes:
    """One frame."""
    return encode_header(flags, len(body)) + body


def encode_single(body: Buffer) -> bytes:
    """A message of one part."""
    size = len(body)
    return (SHORT_LAST[size] if size < _SHORT else encode_header(0, size)) + body


def encode_message(parts: Sequence[Buffer]) -> bytes:
    """A message of one part or several, in one piece of bytes."""
    return b"".join(message_pieces(parts))


def message_pieces(parts: Sequence[Buffer]) -> list[Buffer]:
    """A message as headers and bodies; the bodies are the very objects that were given."""
    pieces: list[Buffer] = []
    last = len(parts) - 1
    for index, part in enumerate(parts):
        size = len(part)
        more = MORE if index < last else 0
        if size < _SHORT:
            pieces.append(SHORT_MORE[size] if more else SHORT_LAST[size])
        else:
            pieces.append(encode_header(more, size))
        pieces.append(part)
    return pieces


def encode_alike(bodies: list[Any]) -> bytes:
    """Messages of one part and of one length, in one piece of bytes; empty: they are not that.

    One look at each, which costs a compiled loop next to nothing, and spares the join a header for
    each.
    """
    first = bodies[0]
    size = len(first)
    for body in bodies:
        if not isinstance(body, bytes) or len(body) != size:
            return b""
    header = SHORT_LAST[size] if size < _SHORT else encode_header(0, size)
    return header + header.join(bodies)


def encode_mixed(bodies: Sequence[bytes]) -> bytes:
    """Messages of one part each, of whatever lengths, in one piece of bytes."""
    pieces: list[bytes] = []
    for body in bodies:
        size = len(body)
        pieces.append(SHORT_LAST[size] if size < _SHORT else encode_header(0, size))
        pieces.append(body)
    return b"".join(pieces)


def encode_many(bodies: list[bytes]) -> bytes:
    """Messages of one part each, in one piece of bytes."""
    return (encode_alike(bodies) or encode_mixed(bodies)) if bodies else b""


def coalesce(pieces: list[Buffer]) -> list[Buffer]:
    """``pieces`` with the small ones joined and the large ones as they stand."""
    chunks: list[Buffer] = []
    small: list[Buffer] = []
    for piece in pieces:
        if len(piece) < ZMTP_BY_REFERENCE_BYTES:
            small.append(piece)
            continue
        if small:
            chunks.append(b"".join(small))
            small = []
        chunks.append(piece)
    if small:
        chunks.append(b"".join(small))
    return chunks


class FrameReader:
    """Cuts a stream of bytes into frames, and frames into messages.

    Attributes:
        frame_bytes_max: the largest frame of a message.
        parts_bytes_max: the largest message of several parts, as it stands on the wire.
        command_bytes_max: the largest command.
        allowed_flags: a bit outside of it is a fault; 2.0 has no COMMAND.
        command: the body of the last command that :meth:`read_messages` stopped behind.
    """

    __slots__ = (
        "_chunks",
        "_data",
        "_flags",
        "_left",
        "_parts",
        "_parts_bytes",
        "_pos",
        "allowed_flags",
        "command",
        "command_bytes_max",
        "frame_bytes_max",
        "parts_bytes_max",
    )

    def __init__(self, frame_bytes_max: int = -1, parts_bytes_max: int = -1) -> None:
        self.frame_bytes_max: int = ZMTP_FRAME_BYTES_MAX if frame_bytes_max < 0 else frame_bytes_max
        self.parts_bytes_max: int = ZMTP_FRAME_BYTES_MAX if parts_bytes_max < 0 else parts_bytes_max
        self.command_bytes_max: int = ZMTP_COMMAND_BYTES_MAX
        self.allowed_flags: int = MORE | LONG | COMMAND
        self.command = b""
        self._data = b""
        self._pos = 0
        self._chunks: list[bytes | bytearray] = []  # a body that has not come whole
        self._left = 0  # how much of it is missing
        self._flags = 0  # of that frame
        self._parts: list[bytes] = []  # a message that has not come whole
        self._parts_bytes = 0  # its size on the wire

    def feed(self, data: bytes) -> None:
        """Give the next bytes of the stream. All of the last ones must have been read."""
        rest = len(self._data) - self._pos
        # What is left is at most the eight bytes of an incomplete header.
        self._data = self._data[self._pos :] + data if rest else data
        self._pos = 0

    def next_frame(self) -> int:
        """Read one frame: its flags, the body in ``command``; -1 while none is whole.

        For the handshake and for encrypted connections, where each frame is looked at.

        Raises:
            ZmtpError: the frame breaks the rules.
        """
        if self._left:
            return self._resume()
        data = self._data
        pos = self._pos
        size = len(data)
        if size - pos < 2:
            return -1
        flags = data[pos]
        if flags & ~self.allowed_flags:
            raise ZmtpError(f"a frame has the reserved flags {flags:#04x}", MALFORMED_MESSAGE)
        if flags & LONG:
            start = pos + 9
            if start > size:
                return -1
            length = int.from_bytes(data[pos + 1 : start], "big")
        else:
            start = pos + 2
            length = data[pos + 1]
        self._check_length(flags, length)
        end = start + length
        if end > size:
            self._chunks = [data[start:]]
            self._left = end - size
            self._flags = flags
            self._pos = size
            return -1
        self._pos = end
        self.command = data[start:end]
        return flags

    def _check_length(self, flags: int, length: int) -> None:
        if flags & COMMAND:
            if flags & MORE:
                raise ZmtpError("a command has the MORE flag", MALFORMED_COMMAND)
            limit = self.command_bytes_max
        else:
            limit = self.frame_bytes_max
        if length > limit:
            raise ZmtpError(
                f"a frame of {length} bytes is larger than the {limit} allowed", MALFORMED_MESSAGE
            )

    def _resume(self) -> int:
        """Go on with a body that has not come whole."""
        data = self._data
        size = len(data) - self._pos
        chunks = self._chunks
        if size < self._left:
            self._left -= size
            piece = data[self._pos :]
            self._pos += size
            tail = chunks[-1]
            if size >= _GATHER_BYTES:
                chunks.append(piece)
            elif isinstance(tail, bytearray):
                tail += piece
            else:
                chunks.append(bytearray(piece))
            return -1
        end = self._pos + self._left
        chunks.append(data[self._pos : end])
        self._pos = end
        self._left = 0
        self._chunks = []
        self.command = b"".join(chunks)
        return self._flags

    def read_messages(self, items: list[bytes | list[bytes]]) -> bool:
        """Append the messages that have come to ``items``.

        Returns whether it stopped behind a command, whose body is in ``command``: look at it and
        call again. Otherwise everything is read.

        Raises:
            ZmtpError: a frame breaks the rules; the messages in front of it are in ``items``.
        """
        while True:
            # Where the user's limit is smaller than what a short frame can hold, every frame goes
            # the long way, where its size is looked at.
            if not self._left and self.frame_bytes_max >= _SHORT:
                self._read_whole(items)
                if self._pos == len(self._data):
                    return False
            flags = self.next_frame()
            if flags < 0:
                return False
            if flags & COMMAND:
                return True
            self.take_part(flags, self.command, items)

    def take_part(self, flags: int, body: bytes, items: list[bytes | list[bytes]]) -> None:
        """Add a frame to the message that it belongs to; a whole one goes to ``items``.

        Raises:
            ZmtpError: it is larger than allowed, or one part too many.
        """
        parts = self._parts
        if len(body) > self.frame_bytes_max or len(parts) >= ZMTP_PARTS_MAX:
            raise ZmtpError("a message is larger than allowed", MALFORMED_MESSAGE)
        if not parts and not flags & MORE:
            items.append(body)
            return
        size = len(body)
        self._parts_bytes += size + (2 if size < _SHORT else 9)
        if self._parts_bytes > self.parts_bytes_max:
            raise self._too_large()
        parts.append(body)
        if not flags & MORE:
            self._parts = []
            self._parts_bytes = 0
            items.append(parts)

    def _too_large(self) -> ZmtpError:
        return ZmtpError(
            f"a message is larger than the {self.parts_bytes_max} bytes allowed", MALFORMED_MESSAGE
        )

    def _read_whole(self, items: list[bytes | list[bytes]]) -> None:
        """Read the frames of messages that have come whole, up to one that is something else."""
        append = items.append
        parts = self._parts
        data = self._data
        pos = self._pos
        size = len(data)
        longest = self.frame_bytes_max
        largest = self.parts_bytes_max
        parts_bytes = self._parts_bytes
        header = b""  # the last long one, and what it says
        long_length = 0
        before = -1
        same = 0  # how many messages in a row were one short frame of this length
        while pos + 1 < size:
            flags = data[pos]
            if flags > MORE:
                start = pos + 9
                if data[pos:start] == header:
                    # Often the same as the one before: then it need not be taken apart.
                    end = start + long_length
                else:
                    if flags > MORE | LONG or start > size:
                        break
                    long_length = int.from_bytes(data[pos + 1 : start], "big")
                    if long_length > longest:
                        break
                    header = data[pos:start]
                    end = start + long_length
                if end > size:
                    break
                length = -1
                body = data[start:end]
            else:
                length = data[pos + 1]
                end = pos + 2 + length
                if end > size:
                    break
                body = data[pos + 2 : end]
            if flags & MORE:
                parts.append(body)
                parts_bytes += end - pos
                pos = end
                if parts_bytes > largest:
                    raise self._too_large()
                if len(parts) > ZMTP_PARTS_MAX:
                    raise ZmtpError("a message has too many parts", MALFORMED_MESSAGE)
            elif parts:
                if parts_bytes + end - pos > largest:
                    raise self._too_large()
                pos = end
                parts.append(body)
                append(parts)
                parts = self._parts = []
                parts_bytes = 0
            else:
                pos = end
                append(body)
                if length != before or length < 0:
                    before = length
                    if same > 0:
                        same = 0
                    continue
                same += 1
                if same == 2:
                    pos = self._read_run(items, pos, length)
                    same = 0 if pos > end else _RUN_PAUSE
        self._pos = pos
        self._parts_bytes = parts_bytes

    def _read_run(self, items: list[bytes | list[bytes]], pos: int, length: int) -> int:
        """Read whole strides of frames that all have ``length``; returns where they end."""
        data = self._data
        step = length + 2
        stride = step * _RUN
        last = len(data) - stride
        lengths = _RUN_LENGTHS[length]
        cut = _run_cutter(length).unpack_from
        while (
            pos <= last
            and data[pos + 1 : pos + stride : step] == lengths
            and data[pos : pos + stride : step] == _RUN_FLAGS
        ):
            items.extend(cut(data, pos))
            pos += stride
        return pos
