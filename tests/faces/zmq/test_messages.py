"""Every way to send and to receive, in midge.zmq and in pyzmq alike."""

from __future__ import annotations

import array
import pickle
from typing import Any

import pytest

from tests.faces.zmq.conftest import Bench

TRANSPORTS = ["inproc", "ipc", "tcp"]


@pytest.fixture(params=TRANSPORTS)
def pair(bench: Bench, request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return bench.pair("PAIR", "PAIR", request.param)


# -- parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535, 65_536, 1_000_000])
def test_a_message_arrives_as_it_was_sent(pair: tuple[Any, Any], size: int) -> None:
    one, other = pair
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    other.send(body)
    assert one.recv() == body
    assert one.rcvmore == 0


@pytest.mark.parametrize(
    "parts",
    [
        [b"one"],
        [b"", b""],
        [b"a", b"b" * 300, b""],
        [b"x" * 70_000, b"y"],
        [b"%d" % n for n in range(100)],
    ],
    ids=["one", "empty", "three", "large", "hundred"],
)
def test_parts_arrive_together(pair: tuple[Any, Any], parts: list[bytes]) -> None:
    one, other = pair
    other.send_multipart(parts)
    assert one.recv_multipart() == parts


def test_parts_are_sent_one_by_one_and_received_one_by_one(bench: Bench) -> None:
    zmq = bench.zmq
    one, other = bench.pair("PAIR", "PAIR")
    for number in range(3):
        other.send(b"part %d" % number, zmq.SNDMORE)
    # Nothing of a message is there before its last part.
    assert one.poll(0) == 0
    other.send(b"last")
    got = [one.recv()]
    while one.rcvmore:
        assert one.getsockopt(zmq.RCVMORE) == 1
        got.append(one.recv())
    assert got == [b"part 0", b"part 1", b"part 2", b"last"]


@pytest.mark.parametrize("kind", ["PUSH", "PAIR", "DEALER"])
def test_a_message_in_parts_is_refused_with_its_first_part(bench: Bench, kind: str) -> None:
    zmq = bench.zmq
    sender = bench.socket(kind)
    for flags in (zmq.SNDMORE | zmq.DONTWAIT, zmq.SNDMORE):
        sender.sndtimeo = 10
        with pytest.raises(zmq.Again):
            sender.send(b"refused", flags)
    receiver = bench.socket({"PUSH": "PULL"}.get(kind, kind))
    bench.join(receiver, sender)
    sender.send(b"head", zmq.SNDMORE)
    sender.send(b"body")
    assert receiver.recv_multipart() == [b"head", b"body"]


def test_a_type_that_cannot_send_says_so_with_the_first_part(bench: Bench) -> None:
    zmq = bench.zmq
    pull, rep = bench.socket("PULL"), bench.socket("REP")
    with pytest.raises(zmq.ZMQError) as caught:
        pull.send(b"head", zmq.SNDMORE)
    assert caught.value.errno == zmq.ENOTSUP
    with pytest.raises(zmq.ZMQError) as caught:
        rep.send(b"head", zmq.SNDMORE)
    assert caught.value.errno == zmq.EFSM


@pytest.mark.parametrize("at_once", [False, True])
def test_parts_are_kept_when_the_room_for_them_has_gone_meanwhile(
    ours: Bench,  # (libzmq drops the message without a word.)
    at_once: bool,
) -> None:
    first, push = ours.pair("PULL", "PUSH")
    push.send(b"head", ours.zmq.SNDMORE)
    first.close()
    while push.poll(0, ours.zmq.POLLOUT):  # until it has heard of that
        pass
    push.sndtimeo = 10
    flags = ours.zmq.DONTWAIT if at_once else 0
    for _ in range(2):
        with pytest.raises(ours.zmq.Again):
            push.send(b"body", flags)
        with pytest.raises(ours.zmq.Again):
            push.send_multipart([b"more", b"body"], flags)
    second = ours.socket("PULL")
    ours.join(second, push)
    push.send(b"body")
    assert second.recv_multipart() == [b"head", b"body"]


def test_the_rest_of_a_message_is_taken_with_recv_multipart(bench: Bench) -> None:
    one, other = bench.pair("PAIR", "PAIR")
    other.send_multipart([b"a", b"b", b"c"])
    other.send(b"next")
    assert one.recv() == b"a"
    assert one.recv_multipart() == [b"b", b"c"]
    assert one.recv_multipart() == [b"next"]


def test_send_multipart_with_sndmore_begins_a_message(bench: Bench) -> None:
    one, other = bench.pair("PAIR", "PAIR")
    other.send_multipart([b"a", b"b"], bench.zmq.SNDMORE)
    other.send_multipart([b"c"])
    assert one.recv_multipart() == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    "data",
    [
        bytearray(b"abcd"),
        memoryview(b"abcd"),
        array.array("B", b"abcd"),
        memoryview(b"abcd").cast("i"),
    ],
    ids=["bytearray", "memoryview", "array", "ints"],
)
@pytest.mark.parametrize("copy", [True, False])
def test_any_buffer_can_be_sent(bench: Bench, data: Any, copy: bool) -> None:
    one, other = bench.pair("PAIR", "PAIR", "tcp")
    other.send(data, copy=copy)
    other.send_multipart([data, b"x", data], copy=copy)
    assert one.recv() == b"abcd"
    assert one.recv_multipart() == [b"abcd", b"x", b"abcd"]


def test_a_buffer_that_was_copied_may_be_changed_at_once(bench: Bench) -> None:
    one, other = bench.pair("PAIR", "PAIR", "tcp")
    data = bytearray(b"a" * 100_000)
    other.send(data)
    data[:] = b"b" * 100_000
    assert one.recv() == b"a" * 100_000


@pytest.mark.parametrize("wrong", ["text", 5, None, object(), 1.5])
def test_what_is_no_buffer_is_refused(bench: Bench, wrong: Any) -> None:
    one, other = bench.pair("PAIR", "PAIR")
    with pytest.raises(TypeError):
        other.send(wrong)
    with pytest.raises(TypeError):
        other.send_multipart([b"good", wrong])
    other.send(b"whole")
    assert one.recv_multipart() == [b"whole"]  # nothing is left of what was refused


# -- conversions ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "plain", "grüße", "日本語", "\x00"])
def test_text_is_sent_in_utf_8_unless_said_otherwise(bench: Bench, text: str) -> None:
    one, other = bench.pair("PAIR", "PAIR")
    other.send_string(text)
    other.send_string(text)
    other.send_string(text, encoding="utf-16")
    assert one.recv() == text.encode()
    assert one.recv_string() == text
    assert one.recv_string(encoding="utf-16") == text
    with pytest.raises(TypeError):
        other.send_string(b"bytes")


def test_bytes_that_are_no_text_say_so(bench: Bench) -> None:
    one, other = bench.pair("PAIR", "PAIR")
    other.send(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        one.recv_string()


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True]}, [], "text", 7])
def test_objects_are_sent_as_json(bench: Bench, value: Any) -> None:
    one, other = bench.pair("PAIR", "PAIR")
    other.send_json(value)
    assert one.recv_json() == value


def test_json_takes_the_arguments_of_json(bench: Bench) -> None:
    one, other = bench.pair("PAIR", "PAIR")
    other.send_json({"b": 1, "a": 2}, sort_keys=True)
    assert one.recv_json(object_pairs_hook=list) == [("a", 2), ("b", 1)]
    with pytest.raises(TypeError):
        other.send_json(object())


def test_objects_are_sent_by_pickle(bench: Bench) -> None:
    one, other = bench.pair("PAIR", "PAIR")
    value = {"set": {1, 2}, "bytes": b"x", "complex": 1j}
    other.send_pyobj(value)
    other.send_pyobj(value, protocol=2)
    assert pickle.loads(one.recv()) == value
    assert one.recv_pyobj() == value


def test_a_serializer_makes_parts_and_its_opposite_an_object(bench: Bench) -> None:
    one, other = bench.pair("PAIR", "PAIR")
    value = {"a": b"1", "b": b"2"}
    other.send_serialized(
        value, lambda kept: [part for item in kept.items() for part in (item[0].encode(), item[1])]
    )
    got = one.recv_serialized(
        lambda parts: {parts[n].decode(): parts[n + 1] for n in range(0, len(parts), 2)}
    )
    assert got == value


def test_an_error_of_a_serializer_reaches_who_called_it(bench: Bench) -> None:
    one, other = bench.pair("PAIR", "PAIR")
    with pytest.raises(ZeroDivisionError):
        other.send_serialized(1, lambda number: [b"%d" % (number / 0)])
    other.send(b"x")
    with pytest.raises(ZeroDivisionError):
        one.recv_serialized(lambda parts: len(parts) / 0)


# -- into buffers, frames ---------------------------------------------------------------------


def test_a_part_is_received_into_a_buffer(bench: Bench) -> None:
    if not hasattr(bench.zmq.Socket, "recv_into"):
        pytest.skip("recv_into came with pyzmq 26.4")
    one, other = bench.pair("PAIR", "PAIR", "tcp")
    buffer = bytearray(8)
    other.send_multipart([b"abc", b"0123456789", b"xy"])
    assert one.recv_into(buffer) == 3
    assert bytes(buffer) == b"abc" + bytes(5)
    assert one.rcvmore
    # What does not fit is lost, and its size is told.
    assert one.recv_into(buffer) == 10
    assert bytes(buffer) == b"01234567"
    assert one.recv_into(buffer, nbytes=1) == 2
    assert bytes(buffer) == b"x1234567"


@pytest.mark.parametrize("wrong", [b"read-only", memoryview(bytearray(8))[::2]])
def test_a_buffer_must_be_writable_and_in_one_piece(bench: Bench, wrong: Any) -> None:
    one, _ = bench.pair("PAIR", "PAIR")
    with pytest.raises(BufferError):
        one.recv_into(wrong)


def test_more_bytes_than_the_buffer_has_are_refused(bench: Bench) -> None:
    one, _ = bench.pair("PAIR", "PAIR")
    for count in (-1, 9):
        with pytest.raises(ValueError):
            one.recv_into(bytearray(8), nbytes=count)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_message_is_received_as_frames(bench: Bench, transport: str) -> None:
    one, other = bench.pair("PAIR", "PAIR", transport)
    other.send_multipart([b"a" * 70_000, b"b", b""])
    frames = one.recv_multipart(copy=False)
    assert [frame.bytes for frame in frames] == [b"a" * 70_000, b"b", b""]
    assert [frame.more for frame in frames] == [True, True, False]
    assert [len(frame) for frame in frames] == [70_000, 1, 0]
    assert all(isinstance(frame, bench.zmq.Frame) for frame in frames)
    assert frames[1].buffer.tobytes() == bytes(frames[1]) == b"b"


def test_a_received_frame_is_sent_on(bench: Bench) -> None:
    one, other = bench.pair("PAIR", "PAIR", "tcp")
    other.send(b"there")
    frame = one.recv(copy=False)
    one.send(frame)
    one.send_multipart([frame, b"and", frame])
    assert other.recv() == b"there"
    assert other.recv_multipart() == [b"there", b"and", b"there"]


def test_a_frame_knows_its_peer(bench: Bench) -> None:
    one, other = bench.socket("ROUTER"), bench.socket("DEALER", routing_id=b"me")
    bench.join(one, other, "tcp")
    other.send(b"x")
    _, frame = one.recv_multipart(copy=False)
    assert frame["Socket-Type"] == frame.get("Socket-Type") == "DEALER"
    assert frame["Identity"] == "me"
    assert frame["Peer-Address"] == "127.0.0.1"
    with pytest.raises(bench.zmq.ZMQError) as refused:
        frame["No-Such-Thing"]
    assert refused.value.errno == bench.zmq.Errno.EINVAL


def test_a_tracker_tells_when_a_message_has_left(bench: Bench) -> None:
    zmq = bench.zmq
    one, other = bench.pair("PULL", "PUSH", "tcp")
    tracker = other.send(b"x" * 100_000, copy=False, track=True)
    assert isinstance(tracker, zmq.MessageTracker)
    assert one.recv() == b"x" * 100_000
    tracker.wait(10)
    assert tracker.done


def test_a_tracker_waits_for_a_message_that_cannot_leave(bench: Bench) -> None:
    zmq = bench.zmq
    lonely = bench.socket("PUSH")
    lonely.connect("tcp://127.0.0.1:1")  # where nobody listens
    tracker = lonely.send(b"x" * 100_000, copy=False, track=True)
    assert not tracker.done
    with pytest.raises(zmq.NotDone):
        tracker.wait(0.01)


def test_a_frame_must_be_tracked_from_the_beginning(bench: Bench) -> None:
    zmq = bench.zmq
    _, other = bench.pair("PULL", "PUSH")
    with pytest.raises(ValueError):
        other.send(zmq.Frame(b"x" * 100_000), copy=False, track=True)
    tracked = zmq.Frame(b"x" * 100_000, track=True)
    other.send(tracked, copy=False, track=True)
    assert isinstance(tracked.tracker, zmq.MessageTracker)


# -- what cannot be done at once --------------------------------------------------------------


def test_nothing_to_receive_is_told_at_once_with_dontwait(bench: Bench) -> None:
    zmq = bench.zmq
    one, _ = bench.pair("PAIR", "PAIR")
    for receive in (one.recv, one.recv_multipart, one.recv_string, one.recv_json, one.recv_pyobj):
        with pytest.raises(zmq.Again) as told:
            receive(flags=zmq.DONTWAIT)
        assert told.value.errno == zmq.EAGAIN


def test_rcvtimeo_ends_a_receive(bench: Bench) -> None:
    one, _ = bench.pair("PAIR", "PAIR")
    one.rcvtimeo = 5
    with pytest.raises(bench.zmq.Again):
        one.recv()


def test_sndtimeo_ends_a_send(bench: Bench) -> None:
    zmq = bench.zmq
    lonely = bench.socket("PUSH", sndtimeo=5)
    for _ in range(2):
        with pytest.raises(zmq.Again):
            lonely.send(b"x")
        with pytest.raises(zmq.Again):
            lonely.send(b"x", zmq.DONTWAIT)
        with pytest.raises(zmq.Again):
            lonely.send_multipart([b"x", b"y"], zmq.DONTWAIT)


@pytest.mark.parametrize(
    ("kind", "verb"), [("PUSH", "recv"), ("PUB", "recv"), ("PULL", "send"), ("SUB", "send")]
)
def test_a_type_that_goes_one_way_refuses_the_other(bench: Bench, kind: str, verb: str) -> None:
    zmq = bench.zmq
    made = bench.socket(kind)
    with pytest.raises(zmq.ZMQError) as refused:
        made.recv() if verb == "recv" else made.send(b"x")
    assert refused.value.errno == zmq.ENOTSUP


@pytest.mark.parametrize("kind", ["REQ", "REP"])
def test_requests_and_replies_take_turns(bench: Bench, kind: str) -> None:
    zmq = bench.zmq
    reply, request = bench.pair("REP", "REQ")
    wrong = request.recv if kind == "REQ" else lambda: reply.send(b"x")
    with pytest.raises(zmq.ZMQError) as refused:
        wrong()
    assert refused.value.errno == zmq.EFSM
    request.send(b"question")
    if kind == "REQ":
        with pytest.raises(zmq.ZMQError) as refused:
            request.send(b"another")
        assert refused.value.errno == zmq.EFSM
    assert reply.recv() == b"question"
    reply.send(b"answer")
    assert request.recv() == b"answer"


def test_a_router_that_must_knows_its_peers(bench: Bench) -> None:
    zmq = bench.zmq
    router, _ = bench.pair("ROUTER", "DEALER")
    router.send_multipart([b"nobody", b"lost"])
    router.router_mandatory = 1
    with pytest.raises(zmq.ZMQError) as refused:
        router.send_multipart([b"nobody", b"told"])
    assert refused.value.errno == zmq.EHOSTUNREACH


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_messages_arrive_once_and_in_order(bench: Bench, transport: str) -> None:
    pull, push = bench.pair("PULL", "PUSH", transport)
    for start in range(0, 5000, 500):
        for number in range(start, start + 500):
            push.send(b"%d" % number)
        assert [pull.recv() for _ in range(500)] == [
            b"%d" % number for number in range(start, start + 500)
        ]
