"""Frames and topics, payloads, properties: each way and back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from midge.errors import TopicError
from midge.links.zmq_mapping import (
    FRAMES,
    body_of,
    payload_of,
    properties_frame,
    read_properties,
)
from midge.message import Message
from midge.mqtt.properties import Properties
from midge.topics.frames import MARK, frame_of, topic_of
from midge.topics.names import check_topic

MARKED = st.text("%zmq/2Bab+é", max_size=8).map(lambda rest: MARK + rest)
TOPICS = st.one_of(st.text(min_size=1, max_size=20), MARKED)
FRAMES_OF_TOPICS = st.one_of(
    st.binary(max_size=20),
    TOPICS.map(lambda topic: topic.encode("utf-8", "replace")),
    MARKED.map(lambda topic: b"\xff" + topic.encode()),
    MARKED.map(lambda topic: b"\xff\xff" + topic.encode()),
)


@given(FRAMES_OF_TOPICS)
@example(b"")
@example(b"\xff%zmq/%")
@example(b"\xff%zmq/%FF")
@example(b"\xff%zmq/%2B")
@example(b"%zmq/%2B")
def test_every_frame_is_a_valid_topic_and_comes_back(frame: bytes) -> None:
    topic = topic_of(frame)
    check_topic(topic)
    assert frame_of(topic) == frame


@given(TOPICS)
@example("%zmq/")
@example("%zmq/a")
@example("%zmq/%zz")
@example("%zmq/%ff")
@example("%zmq/%FF%25zmq%2F%25")
@example("%zmq/%FF%25zmq/%25")
def test_every_topic_is_a_frame_and_comes_back(topic: str) -> None:
    try:
        check_topic(topic)
    except TopicError:
        return
    assert topic_of(frame_of(topic)) == topic


@pytest.mark.parametrize(
    ("frame", "topic"),
    [
        (b"shop/1/orders", "shop/1/orders"),
        (b"10001 80 20", "10001 80 20"),
        ("Wärme".encode(), "Wärme"),
        (b"a+b", "%zmq/a%2Bb"),
        (b"", "%zmq/"),
        (b"\x00\xff", "%zmq/%00%FF"),
        (b"%zmq/x", "%zmq/%25zmq/x"),
    ],
)
def test_what_can_be_a_topic_stays_as_it_is(frame: bytes, topic: str) -> None:
    assert topic_of(frame) == topic


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_frames_survive_as_a_payload(body: list[bytes]) -> None:
    payload, properties = payload_of(body)
    assert body_of(Message("t", payload, properties=properties)) == body


@given(st.binary(max_size=40), st.booleans())
def test_any_payload_is_frames_and_comes_back_with_its_properties(
    payload: bytes, claims_to_be_frames: bool
) -> None:
    properties = Properties.of(content_type=FRAMES) if claims_to_be_frames else None
    body = body_of(Message("t", payload, properties=properties))
    again, content = payload_of(body)
    assert again == payload
    if claims_to_be_frames and body != [payload]:
        assert content == properties


def test_properties_go_in_a_frame_of_their_own() -> None:
    properties = Properties.of(
        content_type="text/plain", response_topic="r", user_property=[("a", "b"), ("a", "c")]
    )
    again = read_properties(properties_frame(Message("t", properties=properties)))
    assert again == properties
    assert read_properties(properties_frame(Message("t"))) is None
