"""A run of plain packets: QoS 0 PUBLISH packets of up to ``PLAIN_BYTES_MAX``, one after the other.

What the fast lane passes on is such a run, as it came: whoever makes one has checked that the
packets are whole, and that their properties travel (see :meth:`midge.broker.fanout.Fanout`).
"""

from __future__ import annotations

from typing import Final, TypeAlias

#: The bytes of a run.
Run: TypeAlias = bytes
#: First byte of a PUBLISH at QoS 0 that is neither a duplicate nor retained.
PLAIN: Final = 0x30
#: :func:`repeats` looks at so many packets together and, as long as they are alike, at ever more,
#: where what they have in common is no longer than this; else, to ask for each of them is shorter.
_WINDOW: Final = 64
_COLUMNS_MAX: Final = 64
#: The fast lane takes packets with at most two bytes of length: these, and three of header.
PLAIN_BYTES_MAX: Final = 0x4000 + 3


def split(run: Run, version: int) -> tuple[list[bytes], list[int]]:
    """The packets of a run, and the bytes of payload of each."""
    packets: list[bytes] = []
    payloads: list[int] = []
    pos = 0
    size = len(run)
    while pos < size:
        length = run[pos + 1]
        start = pos + 2
        if length >= 0x80:
            length = length & 0x7F | run[start] << 7
            start += 1
        end = start + length
        body = start + 2 + (run[start] << 8 | run[start + 1])
        if version == 5:
            body += 1 + run[body]
        packets.append(run[pos:end])
        payloads.append(end - body)
        pos = end
    return packets, payloads


def repeats(data: bytes, prefix: bytes, pos: int, step: int) -> int:
    """How many packets of ``step`` bytes, one behind the other from ``pos`` on, begin so.

    Many are looked at together: one byte of all of them, then another one, which takes a fourth of
    what asking for each of them would.
    """
    found = 0
    most = (len(data) - pos) // step
    if len(prefix) <= _COLUMNS_MAX and data.startswith(prefix, pos):  # many runs are short
        while found < most:
            window = min(most - found, _WINDOW + found)
            end = pos + window * step
            for column in range(len(prefix) - 1, -1, -1):  # names differ at their ends
                if data[pos + column : end : step] != prefix[column : column + 1] * window:
                    break
            else:
                found += window
                pos = end
                continue
            break
    while found < most and data.startswith(prefix, pos):
        found += 1
        pos += step
    return found


def respell(run: Run, version: int) -> Run:
    """A run of plain packets of one version in the form of the other.

    The only difference is the byte of the property length, zero, between topic and payload.
    """
    pieces: list[bytes] = []
    pos = 0
    size = len(run)
    while pos < size:
        length = run[pos + 1]
        start = pos + 2
        if length >= 0x80:
            length = length & 0x7F | run[start] << 7
            start += 1
        end = start + length
        body = start + 2 + (run[start] << 8 | run[start + 1])
        if version == 5:
            pieces.append(_header(length - 1))
            pieces.append(run[start:body])
            pieces.append(run[body + 1 : end])
        else:
            pieces.append(_header(length + 1))
            pieces.append(run[start:body])
            pieces.append(b"\0" + run[body:end])
        pos = end
    return b"".join(pieces)


def _header(length: int) -> bytes:
    """The fixed header of a plain PUBLISH of up to 2 MiB."""
    if length < 0x80:
        return bytes((PLAIN, length))
    if length < 0x4000:
        return bytes((PLAIN, length & 0x7F | 0x80, length >> 7))
    return bytes((PLAIN, length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14))
