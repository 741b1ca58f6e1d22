"""Messages of ZeroMQ as messages of MQTT, and back.

*Topic.* The first frame of what a publisher sends is the topic, byte for byte, where it can be one:
UTF-8, not empty, no wildcard, no NUL, not too long. Any other frame becomes ``%zmq/`` and its bytes
as in a URL, so that ``b"a+b"`` is the topic ``%zmq/a%2Bb``; a frame that begins like that itself is
treated so as well. Back, a topic that could only have been made so is taken apart, and any other
topic is the frame. A topic that begins with the mark but is no such spelling comes behind a byte
``ff``, which no topic begins with. So both ways nothing is lost, and no two become one:
``frame_of(topic_of(frame)) == frame`` and ``topic_of(frame_of(topic)) == topic``.

*Body.* The frames behind the topic (all of them, where there is no topic) are the payload where it
is one; none, or several, are the payload as they stand on the wire of ZMTP 3, with the content type
``application/vnd.zeromq.frames``. Back, a payload of that content type that can be read so is taken
apart, and any other payload is one frame.

*Prefixes.* A subscription to a prefix gets the topics whose frames begin with it. Topics that begin
with ``$`` are only for prefixes that do.

*Properties* of MQTT 5.0 other than that content type have no place in the frames of other people's
programs. A peer that says ``X-Midge-Properties`` among its metadata (see ``midge.zmq``) gets one
more frame at the end of each message, with the properties as MQTT has them on the wire, and sends
one: then nothing is lost of a message of MQTT 5.0 but its QoS and retain flag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.errors import MidgeError, TopicError
from midge.mqtt import packets as p
from midge.mqtt.primitives import write_varint
from midge.mqtt.properties import CONTENT_TYPE, Properties
from midge.mqtt.property_codec import decode_properties, encode_publish_properties
from midge.topics.names import check_topic
from midge.zmtp.errors import ZmtpError
from midge.zmtp.frames import FrameReader, encode_message

if TYPE_CHECKING:
    from midge.message import Message

#: How topics begin whose frames could not be topics.
MARK: Final = "%zmq/"
#: What comes before the frame of a topic that begins with the mark by chance.
_BY_CHANCE: Final = b"\xff"
#: The content type of a payload that is several frames, or none.
FRAMES: Final = "application/vnd.zeromq.frames"
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


def payload_of(body: list[bytes]) -> tuple[bytes, Properties | None]:
    """The payload of these frames, and the properties that say how to take it apart."""
    if len(body) == 1:
        return body[0], None
    data = encode_message(body) if body else b""
    return data, Properties.of(content_type=FRAMES)


def body_of(message: Message) -> list[bytes]:
    """The frames of a payload; at least one, but where it was made of none."""
    properties = message.properties
    if properties is not None and properties.values.get(CONTENT_TYPE) == FRAMES:
        frames = _frames(message.payload)
        if frames is not None:
            return frames
    return [message.payload]


def _frames(data: bytes) -> list[bytes] | None:
    """One message of several frames, or none at all; ``None`` for anything else."""
    if not data:
        return []
    reader = FrameReader(len(data))
    items: list[bytes | list[bytes]] = []
    reader.feed(data)
    try:
        if reader.read_messages(items):
            return None  # a command
    except ZmtpError:
        return None
    if len(items) != 1 or not isinstance(items[0], list):
        return None
    return items[0] if encode_message(items[0]) == data else None


def properties_frame(message: Message) -> bytes:
    """The last frame of a message for a peer that takes properties."""
    return encode_publish_properties(message.properties, -1, (), 0)


def read_properties(frame: bytes) -> Properties | None:
    """The properties of such a frame.

    Raises:
        MidgeError: it is none.
    """
    if not frame:
        return None
    data = write_varint(len(frame)) + frame
    properties, end = decode_properties(data, 0, len(data), p.PUBLISH)
    if end != len(data):
        raise MidgeError("there is something behind the properties")
    return properties
