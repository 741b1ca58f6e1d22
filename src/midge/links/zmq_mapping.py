"""Messages of ZeroMQ as messages of MQTT, and back.

*Topic* and *prefixes*: see :mod:`midge.topics.frames`.

*Body.* The frames behind the topic (all of them, where there is no topic) are the payload where it
is one; none, or several, are the payload as they stand on the wire of ZMTP 3, with the content type
``application/vnd.zeromq.frames``. Back, a payload of that content type that can be read so is taken
apart, and any other payload is one frame.

*Properties* of MQTT 5.0 other than that content type have no place in the frames of other people's
programs. A peer that says ``X-Midge-Properties`` among its metadata (see ``midge.zmq``) gets one
more frame at the end of each message, with the properties as MQTT has them on the wire, and sends
one: then nothing is lost of a message of MQTT 5.0 but its QoS and retain flag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.errors import MidgeError
from midge.mqtt import packets as p
from midge.mqtt.primitives import write_varint
from midge.mqtt.properties import CONTENT_TYPE, Properties
from midge.mqtt.property_codec import decode_properties, encode_publish_properties
from midge.zmtp.errors import ZmtpError
from midge.zmtp.frames import FrameReader, encode_message

if TYPE_CHECKING:
    from midge.message import Message

#: The content type of a payload that is several frames, or none.
FRAMES: Final = "application/vnd.zeromq.frames"


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
