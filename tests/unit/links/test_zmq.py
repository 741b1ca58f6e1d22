"""A ZeroMQ peer of the broker without a network: what it sends, byte for byte, and what it gets."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.auth.base import ALLOWED, Decision, Identity, Pending, deny
from midge.config.queue_settings import parse_queue
from midge.config.settings import ListenerSettings
from midge.limits import HOLD_MAX_S, OUTBOX_HOLD_BYTES, ZMTP_HANDSHAKE_S
from midge.links import zmq_role
from midge.links.zmq import ZmqLink
from midge.links.zmq_answerer import REFUSE
from midge.links.zmq_consumers import Worker
from midge.links.zmq_mapping import read_properties
from midge.links.zmq_place import Place
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.mqtt.property_codec import encode_publish_properties
from midge.server.zmq_place import make_place
from midge.store.memory import MemoryStore
from midge.testing.pair import World
from midge.zmtp import events as ev
from midge.zmtp.connection import Connection
from midge.zmtp.curve import key_pair
from midge.zmtp.frames import encode_message
from midge.zmtp.settings import CURVE, NULL, PLAIN, Settings
from midge.zmtp.sockets import ANY
from midge.zmtp.z85 import encode

KINDS = ["SUB", "XSUB", "PUB", "XPUB", "PUSH", "PULL", "REQ", "DEALER", "REP", "ROUTER"]


class Slow:
    """Whoever asks waits for the answer."""

    def __init__(self) -> None:
        self.pending = Pending()

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        return self.pending


class ZmqPeer:
    """The peer's end of one connection; what the link does not read yet waits here."""

    def __init__(self, there: World, kind: str, name: str = "", **said: Any) -> None:
        self.there = there
        mechanism = PLAIN if name else NULL
        served = Settings(
            ANY,
            mechanism=mechanism,
            as_server=bool(name),
            zap=there.broker.authenticator is not None,
            message_bytes_max=there.settings.packet_bytes_max,
            parts_bytes_max=there.settings.packet_bytes_max,
        )
        now = there.clock.now()
        self.link = ZmqLink(
            there.broker, there.listener, Place(served, "jobs"), "127.0.0.1", 1, 2, now, bytes
        )
        own = Settings(kind, mechanism=mechanism, username=name.encode(), password=b"x", **said)
        self.connection = Connection(own, now, random=bytes)
        self.got: list[Any] = []
        self.sent = bytearray()
        self.exchange()

    def exchange(self) -> None:
        now = self.there.clock.now()
        while True:
            data = b"" if self.link.is_held() else b"".join(self.connection.data_to_send())
            if data:
                self.sent += data
                self.link.receive_data(data, now)
            answer = b"".join(self.link.connection.data_to_send())
            if not data and not answer:
                return
            for event in self.connection.receive_data(answer, now):
                if isinstance(event, ev.Messages):
                    self.got += event.items

    def send(self, *frames: bytes) -> None:
        self.connection.send_multipart(frames)
        self.exchange()

    def received(self) -> list[Any]:
        self.exchange()
        got, self.got = self.got, []
        return got

    def leave(self) -> None:
        self.link.receive_eof(self.there.clock.now())


def with_queue(line: str = "") -> World:
    there = World()
    there.broker.queues.create("jobs", parse_queue(f"jobs {line}")[1])
    return there


def test_who_is_let_in_late_sends_as_anybody_does() -> None:
    slow = Slow()
    there = World(authenticator=slow, allow_anonymous=False)
    push = ZmqPeer(there, "PUSH", "bob")
    assert push.link.is_held()
    assert there.broker.queues.get("jobs") is None
    slow.pending.settle(ALLOWED, 0.0)
    assert push.link in there.broker.released
    push.exchange()
    for number in range(3):
        push.send(b"%d" % number)
    queue = there.broker.queues.get("jobs")
    assert queue is not None
    assert [item.message.payload for item in queue.peek(9)] == [b"0", b"1", b"2"]


def test_who_sends_messages_before_it_is_let_in_is_not_let_in() -> None:
    slow = Slow()
    there = World(authenticator=slow, allow_anonymous=False)
    elsewhere = ZmqPeer(World(), "PUSH")  # what it says there is said here in one breath
    elsewhere.send(b"early")
    place = Place(Settings(ANY, zap=True), "jobs")
    link = ZmqLink(there.broker, there.listener, place, "::1", 1, 2, 0.0, bytes)
    link.receive_data(bytes(elsewhere.sent), 0.0)
    assert link.closing
    slow.pending.settle(ALLOWED, 0.0)
    assert len(there.broker.queues) == 0
    assert not there.broker.guests


def test_who_has_the_wrong_password_is_sent_away_when_the_answer_comes() -> None:
    slow = Slow()
    there = World(authenticator=slow, allow_anonymous=False)
    push = ZmqPeer(there, "PUSH", "bob")
    slow.pending.settle(deny("no such user"), 0.0)
    push.exchange()
    assert push.link.closing
    assert push.link.end_text == "no such user"
    assert len(there.broker.queues) == 0


def test_the_log_says_which_key_is_unknown_and_where_it_would_have_to_be() -> None:
    there = World()
    there.listener.zmtp_curve_keys = "/etc/keys"
    random = Random(1).randbytes
    server, secret = key_pair(random)
    public, own = key_pair(random)
    place = Place(Settings(ANY, mechanism=CURVE, as_server=True, curve_secret=secret, zap=True))
    link = ZmqLink(there.broker, there.listener, place, "::1", 1, 2, 0.0, random)
    said = Settings(
        "PUSH", mechanism=CURVE, curve_public=public, curve_secret=own, curve_server=server
    )
    peer = Connection(said, 0.0, random=random)
    for _ in range(4):
        link.receive_data(b"".join(peer.data_to_send()), 0.0)
        peer.receive_data(b"".join(link.connection.data_to_send()), 0.0)
    assert link.closing
    assert (
        link.end_text
        == f"its CURVE key {encode(public).decode()} is not in zmtp_curve_keys /etc/keys"
    )


def test_an_answer_that_comes_for_who_has_gone_is_nothing() -> None:
    slow = Slow()
    there = World(authenticator=slow, allow_anonymous=False)
    push = ZmqPeer(there, "PUSH", "bob")
    push.leave()
    assert not slow.pending.is_awaited()
    slow.pending.settle(ALLOWED, 0.0)
    assert not there.broker.guests


def test_a_push_waits_while_its_queue_is_full_and_nothing_is_lost() -> None:
    there = with_queue("messages_max=2")
    push = ZmqPeer(there, "PUSH")
    for number in range(6):
        push.connection.send_multipart([b"%d" % number])  # all in one chunk
    push.exchange()
    assert push.link.is_held()
    pull = ZmqPeer(there, "PULL")
    there.broker.released.clear()
    push.exchange()
    assert pull.received() == [b"%d" % number for number in range(6)]
    assert not push.link.is_held()
    assert push.link.dropped == {}


def test_a_push_that_leaves_while_it_waits_for_room_is_forgotten() -> None:
    there = with_queue("messages_max=1")
    push = ZmqPeer(there, "PUSH")
    push.send(b"1")
    push.send(b"2")
    assert push.link.is_held()
    push.leave()
    assert ZmqPeer(there, "PULL").received() == [b"1"]
    assert push.link not in there.broker.guests


def test_what_a_worker_had_when_it_left_another_gets() -> None:
    there = with_queue()
    first = ZmqPeer(there, "REP")
    ZmqPeer(there, "PUSH").send(b"job")
    assert len(first.received()) == 1
    second = ZmqPeer(there, "REP")
    assert second.received() == []
    first.leave()
    (request,) = second.received()
    assert request[-1] == b"job"


@pytest.mark.parametrize(("kind", "ahead"), [("ROUTER", 3), ("REP", 1)])
def test_a_worker_has_no_more_at_a_time_than_it_may(kind: str, ahead: int) -> None:
    there = with_queue("prefetch=3")
    worker = ZmqPeer(there, kind)
    push = ZmqPeer(there, "PUSH")
    for number in range(5):
        push.send(b"%d" % number)
    requests = worker.received()
    assert [request[-1] for request in requests] == [b"%d" % number for number in range(ahead)]
    worker.send(requests[0][0], b"", b"done")
    there.settle()
    assert [request[-1] for request in worker.received()] == [b"%d" % ahead]


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_a_worker_has_a_limit_also_where_its_queue_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("midge.links.zmq_consumers.ZMQ_WORK_MAX", 3)
    there = with_queue("prefetch=0")
    worker = ZmqPeer(there, "ROUTER")
    push = ZmqPeer(there, "PUSH")
    for number in range(5):
        push.send(b"%d" % number)
    requests = worker.received()
    assert [request[-1] for request in requests] == [b"0", b"1", b"2"]
    worker.send(requests[0][0], b"", b"done")
    there.settle()
    assert [request[-1] for request in worker.received()] == [b"3"]


def test_a_job_that_a_worker_refuses_comes_again_and_no_reply_goes_out() -> None:
    there = with_queue("deliveries_max=3")
    asker, worker = ZmqPeer(there, "DEALER"), ZmqPeer(there, "ROUTER")
    asker.send(b"id", b"", b"what?")
    (request,) = worker.received()
    worker.send(request[0], b"", REFUSE)
    (again,) = worker.received()
    assert again[-1] == b"what?"
    assert asker.received() == []
    worker.send(again[0], b"", b"that")
    assert asker.received() == [[b"id", b"", b"that"]]
    queue = there.broker.queues.get("jobs")
    assert queue is not None
    assert (queue.refused, queue.acknowledged) == (1, 1)


def test_who_takes_dead_letters_can_tell_who_asked() -> None:
    there = with_queue("deliveries_max=1")
    asker, worker = ZmqPeer(there, "REQ"), ZmqPeer(there, "ROUTER")
    asker.send(b"", b"what?")
    (request,) = worker.received()
    worker.send(request[0], b"", REFUSE)
    assert asker.received() == []
    undertaker = there.connect("u")
    undertaker.subscribe("$queue/jobs.dead", 1)
    (letter,) = undertaker.messages()
    assert letter.properties is not None
    topic = letter.properties.get_str(props.RESPONSE_TOPIC)
    correlation = letter.properties.get_bytes(props.CORRELATION_DATA)
    assert topic is not None
    undertaker.publish(
        topic, b"nobody could", 1, properties=Properties.of(correlation_data=correlation)
    )
    assert asker.received() == [[b"", b"nobody could"]]


@pytest.mark.parametrize("tail", [[], [b"no delimiter"]])
def test_a_reply_out_of_shape_takes_no_job_away(tail: list[bytes]) -> None:
    there = with_queue()
    worker = ZmqPeer(there, "ROUTER")
    ZmqPeer(there, "PUSH").send(b"job")
    (request,) = worker.received()
    worker.send(request[0], *tail)
    assert worker.link.dropped == {"no such request": 1}
    worker.leave()
    (request,) = ZmqPeer(there, "ROUTER").received()
    assert request[-1] == b"job"


def test_a_reply_for_who_has_gone_is_an_acknowledgement_all_the_same() -> None:
    there = with_queue()
    asker, worker = ZmqPeer(there, "REQ"), ZmqPeer(there, "REP")
    asker.send(b"", b"what?")
    (request,) = worker.received()
    asker.leave()
    worker.send(request[0], b"", b"that")
    queue = there.broker.queues.get("jobs")
    assert queue is not None
    assert (queue.acknowledged, queue.in_flight, queue.waiting) == (1, 0, 0)


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_workers_wait_for_who_does_not_read_its_replies_and_later_they_are_dropped() -> None:
    there = with_queue("prefetch=0")
    asker, worker = ZmqPeer(there, "DEALER"), ZmqPeer(there, "ROUTER")
    count, size = 60, 100_000
    for number in range(count):
        asker.send(b"%d" % number, b"", b"what?")
    requests = worker.received()
    outbox = asker.link.session.outbox  # type: ignore[union-attr]
    sent = 0
    while not worker.link.is_held():
        worker.link.receive_data(encode_message([requests[sent][0], b"", bytes(size)]), 0.0)
        sent += 1
    assert outbox.crowded
    assert OUTBOX_HOLD_BYTES < outbox.used < OUTBOX_HOLD_BYTES + 2 * size
    there.clock.time_s += HOLD_MAX_S + 0.1
    there.broker.tick(there.clock.now())
    there.broker.released.clear()
    assert not worker.link.is_held()
    for request in requests[sent:]:  # it goes on without the asker, which costs those replies
        worker.link.receive_data(encode_message([request[0], b"", bytes(size)]), 0.0)
    assert outbox.used < OUTBOX_HOLD_BYTES + 2 * size
    assert outbox.dropped == there.broker.metrics.dropped_slow == count - sent
    assert len(asker.received()) == sent
    outbox.written(there.clock.now())
    asker.send(b"again", b"", b"what?")
    (request,) = worker.received()
    worker.send(request[0], b"", b"that")
    assert asker.received() == [[b"again", b"", b"that"]]


@pytest.mark.parametrize("kind", ["PUB", "XPUB"])
def test_who_publishes_waits_for_a_subscriber_that_is_behind_and_is_read_again(kind: str) -> None:
    there, payload = World(), bytes(10_000)
    reader, publisher = ZmqPeer(there, "SUB"), ZmqPeer(there, kind)
    reader.connection.subscribe(b"home/")
    reader.exchange()
    outbox = reader.link.session.outbox  # type: ignore[union-attr]
    count = 3 * OUTBOX_HOLD_BYTES // len(payload)
    for number in range(count):
        publisher.send(b"home/%d" % number, payload)
    assert publisher.link.held_by is outbox
    assert publisher.link.is_held()
    assert OUTBOX_HOLD_BYTES < outbox.used < OUTBOX_HOLD_BYTES + 2 * len(payload)
    there.broker.released.clear()
    topics: list[bytes] = []
    for _ in range(count):  # it is held again as often as the reader is behind again
        topics += [topic for topic, _ in reader.received()]
        outbox.written(there.clock.now())
        if publisher.link not in there.broker.released:
            break
        there.broker.released.clear()
        publisher.exchange()
    assert topics == [b"home/%d" % number for number in range(count)]
    assert not publisher.link.is_held()
    assert not publisher.connection.data_to_send()
    assert there.broker.metrics.dropped_slow == outbox.dropped == 0


def test_who_publishes_waits_for_a_subscriber_only_for_so_long() -> None:
    there, payload = World(), bytes(10_000)
    reader, publisher = ZmqPeer(there, "SUB"), ZmqPeer(there, "PUB")
    reader.connection.subscribe(b"home/")
    reader.exchange()
    count = 3 * OUTBOX_HOLD_BYTES // len(payload)
    for _ in range(count):
        publisher.send(b"home/door", payload)
    there.clock.time_s += HOLD_MAX_S - 0.1
    there.broker.tick(there.clock.now())
    assert publisher.link.is_held()
    there.clock.time_s += 0.2
    there.broker.tick(there.clock.now())
    assert publisher.link in there.broker.released
    publisher.exchange()
    assert not publisher.link.is_held()
    dropped = there.broker.metrics.dropped_slow
    assert dropped > 0
    assert len(reader.received()) + dropped == count


def test_a_prefix_is_one_of_the_frame_that_the_publisher_sent() -> None:
    there = World()
    peers = {prefix: ZmqPeer(there, "SUB") for prefix in (b"", b"a+", b"\xff\x00", b"$", b"%zmq/")}
    for prefix, peer in peers.items():
        peer.connection.subscribe(prefix)
        peer.exchange()
    publisher = ZmqPeer(there, "PUB")
    frames = [b"a+b", b"\xff\x00\x01", b"$\x00", b"%zmq/x", b"%zmq", b""]
    for frame in frames:
        publisher.send(frame, b"x")
    got = {prefix: [topic for topic, _ in peer.received()] for prefix, peer in peers.items()}
    assert got == {
        prefix: [frame for frame in frames if frame.startswith(prefix)] for prefix in peers
    }


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_of_too_many_requests_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midge.links.zmq_requests.ZMQ_REQUESTS_MAX", 2)
    there = with_queue()
    asker = ZmqPeer(there, "DEALER")
    for name in (b"1", b"2", b"3"):
        asker.send(name, b"", b"what?")
    assert asker.link.dropped == {"forgotten request": 1}
    worker = ZmqPeer(there, "ROUTER")
    for request in worker.received():
        worker.send(request[0], b"", b"that")
    assert asker.received() == [[b"2", b"", b"that"], [b"3", b"", b"that"]]


def pass_time(there: World, seconds: float) -> None:
    """As ``World.advance``, for peers that it does not know."""
    end = there.clock.now() + seconds
    while (due := there.broker.next_deadline()) is not None and due <= end:
        there.clock.time_s = max(there.clock.now(), due)
        there.broker.tick(there.clock.now())
    there.clock.time_s = end


def rest_until_read(there: World, peer: ZmqPeer) -> None:
    """Let the time pass that the link rests, and read on."""
    pass_time(there, peer.link.rested_until - there.clock.now())
    assert peer.link in there.broker.released
    peer.exchange()


def test_a_peer_that_is_too_fast_is_read_later_and_loses_nothing() -> None:
    there = World(rate_limit_messages=10)
    push = ZmqPeer(there, "PUSH")
    for number in range(31):
        push.send(b"%d" % number)
    queue = there.broker.queues.get("jobs")
    assert queue is not None
    assert len(queue.peek(99)) == 11  # one second's worth, and the one that overdrew
    assert push.link.is_held()
    assert there.broker.metrics.throttled == 1
    rest_until_read(there, push)
    assert [int(item.message.payload) for item in queue.peek(99)] == list(range(31))
    assert push.link.is_held()  # they came in one piece
    assert push.link.rested_until - there.clock.now() == pytest.approx(2.0, abs=0.1)
    push.leave()
    pass_time(there, 3.0)  # and nobody wakes who is gone


def test_bytes_of_a_peer_have_a_limit_of_their_own() -> None:
    there = World(rate_limit_bytes=1000)
    pub, sub = ZmqPeer(there, "PUB"), ZmqPeer(there, "SUB")
    sub.connection.subscribe(b"t")
    sub.exchange()
    pub.send(b"t", bytes(3000))
    assert pub.link.rested_until - there.clock.now() == pytest.approx(2.1, abs=0.1)
    assert len(sub.received()) == 1
    assert not sub.link.is_held()
    pub.send(b"t", b"later")
    assert sub.received() == []
    rest_until_read(there, pub)
    assert sub.received() == [[b"t", b"later"]]


def test_a_peer_that_has_to_rest_is_not_missed_by_its_heartbeats() -> None:
    there = World(rate_limit_bytes=100)
    push = ZmqPeer(there, "PUSH", heartbeat_s=1.0, heartbeat_ttl_s=2.0)
    push.connection.send(bytes(1000))
    push.connection.ping()  # which says how long it may be silent
    push.exchange()
    assert push.link.is_held()
    pass_time(there, 8)
    assert not push.link.closing
    rest_until_read(there, push)
    assert not push.link.closing


def test_a_limit_that_is_lifted_lets_the_peer_go_on_at_once() -> None:
    there = World(rate_limit_messages=1)
    push = ZmqPeer(there, "PUSH")
    for _ in range(3):
        push.send(b"")
    assert push.link.is_held()
    there.settings.rate_limit_messages = 0
    push.link.rates_changed(there.clock.now())
    pass_time(there, 0.001)
    assert not push.link.is_held()
    push.exchange()
    queue = there.broker.queues.get("jobs")
    assert queue is not None
    assert len(queue.peek(9)) == 3


def test_one_cancel_ends_a_subscription_however_often_the_peer_asked_for_it() -> None:
    """SUB sockets, libzmq's too, tell each of their wishes, but only the last cancel."""
    there = World()
    sub, pub = ZmqPeer(there, "SUB"), ZmqPeer(there, "PUB")
    for _ in range(2):
        sub.connection.subscribe(b"a")
    sub.exchange()
    pub.send(b"a", b"1")
    assert sub.received() == [[b"a", b"1"]]
    sub.connection.cancel(b"a")
    sub.exchange()
    pub.send(b"a", b"2")
    assert sub.received() == []


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_of_too_many_prefixes_the_last_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zmq_role, "SUBSCRIPTIONS_MAX", 2)
    sub = ZmqPeer(World(), "SUB")
    for prefix in (b"a", b"b", b"b", b"c"):
        sub.connection.subscribe(prefix)
    sub.exchange()
    assert sub.link.dropped == {"too many prefixes": 1}


@pytest.mark.parametrize(
    ("said", "queue"),
    [
        ({}, "jobs"),
        ({"identity": b"queue/mail/7"}, "mail"),
        ({"metadata": [("X-Midge-Queue", b"post")], "identity": b"queue/mail"}, "post"),
    ],
)
def test_the_name_of_the_queue_comes_from_who_says_it_nearest(
    said: dict[str, Any], queue: str
) -> None:
    there = World()
    assert not ZmqPeer(there, "DEALER", **said).link.closing
    assert [one.name for one in there.broker.queues.all()] == [queue]


def test_a_message_that_is_too_large_ends_the_connection() -> None:
    there = World(packet_bytes_max=1000)
    push = ZmqPeer(there, "PUSH")
    push.send(b"x" * 1000)
    assert not push.link.closing
    push.send(b"x" * 1001)
    assert push.link.closing


@pytest.mark.parametrize(
    "frames",
    [[b"x" * 495, b"y" * 495], [b"x" * 250] * 4, [b"x"] * 334, [b"x" * 400, b"", b"y" * 587]],
)
@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("chunk_bytes", [100_000, 7])
def test_the_parts_of_a_message_may_not_be_larger_together(
    frames: list[bytes], ended: bool, chunk_bytes: int
) -> None:
    there = World(packet_bytes_max=1000)
    push = ZmqPeer(there, "PUSH")
    wire = encode_message(frames if ended else [*frames, b""])
    if not ended:
        wire = wire[:-2]  # without the last frame: it may go on for ever
    for start in range(0, len(wire), chunk_bytes):
        push.link.receive_data(wire[start : start + chunk_bytes], 0.0)
    assert push.link.closing
    assert there.broker.queues.need("jobs").waiting == 0


def test_a_message_of_several_parts_may_be_as_large_as_a_packet() -> None:
    there = World(packet_bytes_max=1000)
    push = ZmqPeer(there, "PUSH")
    for _ in range(3):
        push.send(b"x" * 491, b"y" * 491)
        push.send(*[b"z" * 8] * 100)
    assert not push.link.closing
    assert there.broker.queues.need("jobs").waiting == 6


def test_a_handshake_without_an_end_is_ended() -> None:
    there = World()
    served = Settings(ANY, handshake_s=ZMTP_HANDSHAKE_S)
    link = ZmqLink(there.broker, there.listener, Place(served), "::1", 1, 2, 0.0, bytes)
    link.receive_data(b"\xff", 0.0)
    due = link.next_deadline()
    assert due == ZMTP_HANDSHAKE_S
    link.tick(due)
    assert link.closing


@pytest.mark.parametrize("kind", ["PULL", "SUB"])
def test_who_reads_nothing_for_long_is_waited_for(kind: str) -> None:
    """It has as much as it can hold, and its program is busy: that is no sign of death."""
    there = World()
    place = make_place(there.settings, ListenerSettings(protocol="zmtp", zmtp_queue="jobs"))
    assert place is not None
    link = ZmqLink(there.broker, there.listener, place, "::1", 1, 2, 0.0, bytes)
    peer = Connection(Settings(kind), 0.0)
    for _ in range(3):
        link.receive_data(b"".join(peer.data_to_send()), 0.0)
        peer.receive_data(b"".join(link.connection.data_to_send()), 0.0)
    assert link.session is not None
    there.advance(3600)
    assert not link.closing
    assert link.next_deadline() is None


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=4), max_size=6),
    st.binary(max_size=60),
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
)
def test_whatever_comes_in_whatever_chunks_the_broker_lives_on_and_counts_all(
    kind: str, messages: list[list[bytes]], garbage: bytes, cuts: list[int]
) -> None:
    there = with_queue()
    peer = ZmqPeer(there, kind)
    for frames in messages:
        peer.connection.send_multipart(frames)
    data = b"".join(peer.connection.data_to_send()) + garbage
    number = 0
    while data:
        size = cuts[number % len(cuts)]
        peer.link.receive_data(data[:size], 0.0)
        data = data[size:]
        number += 1
    received = there.broker.metrics.publish_received
    dropped = sum(peer.link.dropped.values())
    queue = there.broker.queues.get("jobs")
    assert queue is not None
    if kind in ("SUB", "XSUB"):  # what begins so is a subscription in its older form
        messages = [one for one in messages if len(one) > 1 or one[0][:1] not in (b"\0", b"\1")]
    assert received >= len(messages)
    if kind in ("PUSH", "REQ", "DEALER"):
        assert queue.put_count + dropped == received
    elif kind in ("SUB", "XSUB", "PULL", "REP", "ROUTER"):
        assert dropped >= len(messages)
    peer.leave()
    assert not there.broker.guests
    assert not queue.consumers
    reader = there.connect("r")
    reader.subscribe("alive")
    reader.publish("alive", b"yes")
    assert [message.payload for message in reader.messages()] == [b"yes"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_no_garbage_in_place_of_a_handshake_raises_or_stays(chunks: list[bytes]) -> None:
    there = World()
    link = ZmqLink(there.broker, there.listener, Place(Settings(ANY)), "::1", 1, 2, 0.0, bytes)
    for chunk in chunks:
        link.receive_data(chunk, 0.0)
    link.receive_eof(1.0)
    assert not there.broker.guests


def test_a_job_of_a_worker_that_is_silent_too_long_another_gets_and_it_is_done_once() -> None:
    there = with_queue("lease_s=5")
    silent = ZmqPeer(there, "REP")
    ZmqPeer(there, "PUSH").send(b"job")
    (had,) = silent.received()
    other = ZmqPeer(there, "REP")
    there.advance(6)
    (request,) = other.received()
    assert request[-1] == b"job"
    silent.send(had[0], b"", b"late")
    other.send(request[0], b"", b"done")
    queue = there.broker.queues.get("jobs")
    assert queue is not None
    assert (queue.timed_out, queue.late, queue.acknowledged, queue.in_flight) == (1, 1, 1, 0)


@pytest.mark.parametrize(("kind", "ahead"), [("ROUTER", 2), ("REP", 1)])
def test_a_worker_that_loses_jobs_gets_others_once_their_time_is_over(
    kind: str, ahead: int
) -> None:
    there = with_queue("lease_s=5 prefetch=2 deliveries_max=1")
    worker = ZmqPeer(there, kind)
    push = ZmqPeer(there, "PUSH")
    for number in range(6):
        push.send(b"%d" % number)
    assert len(worker.received()) == ahead  # and it loses them
    there.clock.time_s += 6
    there.broker.tick(there.clock.now())
    done = []
    while requests := worker.received():
        for request in requests:
            done.append(request[-1])
            worker.send(request[0], b"", b"done")
    assert done == [b"%d" % number for number in range(ahead, 6)]


def test_of_the_jobs_that_a_worker_loses_again_and_again_few_are_remembered() -> None:
    there = with_queue("lease_s=5 prefetch=2 deliveries_max=0")
    worker = ZmqPeer(there, "ROUTER")
    push = ZmqPeer(there, "PUSH")
    push.send(b"1")
    push.send(b"2")
    for _ in range(100):
        there.clock.time_s += 6
        there.broker.tick(there.clock.now())
    consumer = worker.link.role.consumer  # type: ignore[union-attr]
    assert isinstance(consumer, Worker)
    assert len(consumer.working) <= 20
    requests = worker.received()
    assert len(requests) == 202
    for request in requests[-2:]:
        worker.send(request[0], b"", b"done")
    queue = there.broker.queues.need("jobs")
    assert (queue.acknowledged, queue.in_flight, queue.waiting) == (2, 0, 0)
    worker.send(requests[0][0], b"", b"late")
    assert worker.link.dropped == {"no such request": 1}


def test_properties_that_cannot_be_read_drop_the_message_and_no_other() -> None:
    there = with_queue()
    push = ZmqPeer(there, "PUSH", metadata=[("X-Midge-Properties", b"1")])
    push.send(b"1", b"\xff\xff")
    push.send(b"2", b"")
    push.send(b"3", b"\x03\x00\x04text")  # a content type
    queue = there.broker.queues.get("jobs")
    assert queue is not None
    assert [item.message.payload for item in queue.peek(9)] == [b"2", b"3"]
    assert push.link.dropped == {"bad properties": 1}


def test_properties_travel_with_requests_and_replies() -> None:
    there = with_queue()
    said = [("X-Midge-Properties", b"1")]
    asker = ZmqPeer(there, "DEALER", metadata=said)
    worker = ZmqPeer(there, "ROUTER", metadata=said)
    question = Properties.of(
        content_type="text", correlation_data=b"mine", user_property=[("a", "b")]
    )
    asker.send(b"1", b"", b"what?", encode_publish_properties(question, -1, (), 0))
    (request,) = worker.received()
    assert request[1:3] == [b"", b"what?"]
    seen = read_properties(request[3])
    assert seen is not None
    assert seen.get_str(props.CONTENT_TYPE) == "text"
    assert seen.user == [("a", "b")]
    assert seen.get_bytes(props.CORRELATION_DATA) != b"mine"  # that is between us and the worker
    answer = Properties.of(content_type="number", user_property=[("c", "d")])
    worker.send(request[0], b"", b"7", encode_publish_properties(answer, -1, (), 0))
    (reply,) = asker.received()
    assert reply[:3] == [b"1", b"", b"7"]
    assert read_properties(reply[3]) == Properties.of(
        content_type="number", correlation_data=b"mine", user_property=[("c", "d")]
    )


def test_a_reply_with_bad_properties_acknowledges_nothing() -> None:
    there = with_queue()
    worker = ZmqPeer(there, "ROUTER", metadata=[("X-Midge-Properties", b"1")])
    ZmqPeer(there, "PUSH").send(b"job")
    (request,) = worker.received()
    worker.send(request[0], b"", b"done", b"\xff\xff")
    assert worker.link.dropped == {"bad properties": 1}
    worker.send(request[0], b"", b"done", b"")
    queue = there.broker.queues.get("jobs")
    assert queue is not None
    assert (queue.acknowledged, queue.in_flight) == (1, 0)


def test_the_reply_of_a_worker_that_was_too_slow_is_not_sent_on() -> None:
    there = with_queue("lease_s=5")
    slow = ZmqPeer(there, "REP")
    client = there.connect("c")
    client.subscribe("answers")
    wanted = Properties.of(response_topic="answers", correlation_data=b"1")
    there.connect("p").publish("$queue/jobs", b"what?", 1, properties=wanted)
    (had,) = slow.received()
    other = ZmqPeer(there, "REP")
    there.advance(6)
    (request,) = other.received()
    slow.send(had[0], b"", b"late")
    other.send(request[0], b"", b"in time")
    there.settle()
    assert [one.payload for one in client.messages()] == [b"in time"]
    assert slow.link.dropped == {"late reply": 1}


@pytest.mark.source_only("it replaces what compiled code does not look up again")
@pytest.mark.parametrize("kind", ["PUSH", "DEALER"])
def test_who_puts_into_a_stored_queue_waits_for_the_disk(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midge.broker.keeper.STORE_PENDING_ROWS", 10)
    there = World(store=MemoryStore())
    there.broker.queues.create("jobs", parse_queue("jobs durable=true")[1])
    there.broker.queues.create("passing", parse_queue("passing durable=false")[1])
    there.settle()
    there.committing = False
    keeper = there.broker.keeper
    assert keeper is not None
    peer = ZmqPeer(there, kind)
    for number in range(100):
        peer.send(b"", b"%d" % number) if kind == "DEALER" else peer.send(b"%d" % number)
    assert peer.link.is_held()
    assert len(keeper.journal.changes) <= 13
    queue = there.broker.queues.need("jobs")
    before = queue.waiting
    # What is not stored needs no disk.
    publisher = there.connect("p")
    publisher.publish("$queue/passing", b"x")
    assert there.broker.queues.need("passing").waiting == 1
    for _ in range(100):
        there._commit()
        there.broker.released.clear()
        peer.exchange()
    assert before < queue.waiting == 100
    assert len(keeper.journal.changes) == 0
