"""Topics as the first frames of ZeroMQ messages, and back.

The first frame of what a publisher sends is the topic, byte for byte, where it can be one:
UTF-8, not empty, no wildcard, no NUL, not too long. Any other frame becomes ``%zmq/`` and its bytes
as in a URL, so that ``b"a+b"`` is the topic ``%zmq/a%2Bb``; a frame that begins like that itself is
treated so as well. Back, a topic that could only have been made so is taken apart, and any other
topic is the frame. A topic that begins with the mark but is no such spelling comes behind a byte
``ff``, which no topic begins with. So both ways nothing is lost, and no two become one:
``frame_of(topic_of(frame)) == frame`` and ``topic_of(frame_of(topic)) == topic``.

A subscription to a prefix gets the topics whose frames begin with it, see
:mod:`midge.broker.prefixes`.
"""

from __future__ import annotations

from typing import Final

from midge.errors import TopicError
from midge.topics.names import check_topic

#: How topics begin whose frames could not be topics.
MARK: Final = "%zmq/"
#: What comes before the frame of a topic that begins with the mark by chance.
_BY_CHANCE: Final = b"\xff"
_UNQUOTED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def topic_of(frame: bytes) -> str:
    """The topic of a publisher's first frame."""
    topic = _plain_topic(frame)
    if topic is not None and not topic.startswith(MARK):
        return topic
    if frame.startswith(_BY_CHANCE):
        rest = _plain_topic(frame[1:])
        if rest is not None and rest.startswith(MARK) and _unquoted(rest) is None:
            return rest
    return MARK + _quote(frame)


def frame_of(topic: str) -> bytes:
    """The frame that a subscriber gets for a topic."""
    if not topic.startswith(MARK):
        return topic.encode()
    frame = _unquoted(topic)
    return _BY_CHANCE + topic.encode() if frame is None else frame


def _plain_topic(frame: bytes) -> str | None:
    try:
        topic = frame.decode()
        check_topic(topic)
    except (UnicodeDecodeError, TopicError):
        return None
    return topic


def _unquoted(topic: str) -> bytes | None:
    """What :func:`topic_of` made a topic with the mark of; ``None`` where it made no such."""
    rest = topic[len(MARK) :].encode()
    pieces = rest.split(b"%")
    frame = bytearray(pieces[0])
    for piece in pieces[1:]:
        try:
            frame.append(int(piece[:2], 16))
        except ValueError:
            return None
        frame += piece[2:]
    found = bytes(frame)
    if _quote(found).encode() != rest:
        return None
    plain = _plain_topic(found)
    if plain is not None and not plain.startswith(MARK):
        return None  # it would have been a topic as it is
    if found.startswith(_BY_CHANCE):
        rest_of_it = _plain_topic(found[1:])
        if rest_of_it is not None and rest_of_it.startswith(MARK):
            return found if _unquoted(rest_of_it) is not None else None
    return found


def _quote(frame: bytes) -> str:
    return "".join(chr(byte) if byte in _UNQUOTED else f"%{byte:02X}" for byte in frame)
