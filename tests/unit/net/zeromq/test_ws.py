"""Sockets in WebSockets, beside a peer that is made by hand."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from midge.net.zeromq.blocking import BlockingEngine
from midge.patterns import monitor
from midge.patterns.errors import SocketError
from midge.zmtp.errors import WS_UNSPECIFIED

Make = Callable[..., BlockingEngine]
WAIT_MS = 5000
WAIT_S = WAIT_MS / 1000

#: READY of a PUSH, as a message of ZWS.
READY_PUSH = b"\x02\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"


class Raw:
    """A client or server of WebSockets that says what it is told to."""

    def __init__(self, sock: socket.socket, kind: ConnectionType) -> None:
        self.sock = sock
        sock.settimeout(WAIT_S)
        self.ws = WSConnection(kind)

    def say(self, *events: Event) -> None:
        for event in events:
            self.sock.sendall(self.ws.send(event))

    def hear(self) -> list[Event]:
        """The next events; none where the peer has closed."""
        while True:
            found = list(self.ws.events())
            if found:
                return found
            try:
                data = self.sock.recv(65536)
            except ConnectionError:
                return []
            if not data:
                return []
            self.ws.receive_data(data)

    def rest(self) -> list[Event]:
        """All that comes until the peer closes."""
        events: list[Event] = []
        while found := self.hear():
            events += found
            if isinstance(found[-1], CloseConnection | RejectConnection):
                break
        return events


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    made: list[socket.socket] = []
    yield made
    for one in made:
        one.close()


class Bound:
    """A PULL that is bound, whose monitor writes down, and strangers who come to it."""

    def __init__(self, blocking: Make, sockets: list[socket.socket], **options: Any) -> None:
        self.pull = blocking("PULL", **options)
        self.seen: list[tuple[int, int]] = []
        self.pull.engine.on_monitor = lambda event, value, _: self.seen.append((event, value))
        self.endpoint = self.pull.call(self.pull.engine.bind, "ws://127.0.0.1:*/some/path")
        self._sockets = sockets

    def stranger(self, *subprotocols: str) -> Raw:
        port = int(self.endpoint.split(":")[2].partition("/")[0])
        sock = socket.create_connection(("127.0.0.1", port))
        self._sockets.append(sock)
        raw = Raw(sock, ConnectionType.CLIENT)
        if subprotocols:
            raw.say(Request(host="here", target="/", subprotocols=list(subprotocols)))
        return raw

    def friend(self) -> Raw:
        """A stranger that has shaken hands as a PUSH."""
        raw = self.stranger("ZWS2.0/NULL")
        accepted = raw.hear()[0]
        assert isinstance(accepted, AcceptConnection)
        assert accepted.subprotocol == "ZWS2.0/NULL"
        raw.say(BytesMessage(data=READY_PUSH))
        return raw

    def until(self, event: int) -> int:
        """Wait for an event of the monitor; its value."""
        for _ in range(500):
            for what, value in self.seen:
                if what == event:
                    return value
            self.pull.poll(10)
        raise AssertionError(f"{event} has not come: {self.seen}")

    def still_works(self) -> None:
        friend = self.friend()
        friend.say(BytesMessage(data=b"\x00still here"))
        assert self.pull.receive(WAIT_MS) == b"still here"


@pytest.fixture
def bound(blocking: Make, sockets: list[socket.socket]) -> Bound:
    return Bound(blocking, sockets)


def test_the_endpoint_has_the_real_port_and_the_path(bound: Bound) -> None:
    assert bound.endpoint.startswith("ws://127.0.0.1:")
    assert bound.endpoint.endswith("/some/path")
    assert not bound.endpoint.endswith("*/some/path")
    assert bound.pull.engine.last_endpoint == bound.endpoint


def test_frames_are_messages_of_the_websocket(bound: Bound) -> None:
    raw = bound.friend()
    raw.say(BytesMessage(data=b"\x01one"), BytesMessage(data=b"\x00"), BytesMessage(data=b"\x00x"))
    assert bound.pull.receive(WAIT_MS) == [b"one", b""]
    assert bound.pull.receive(WAIT_MS) == b"x"


def test_a_message_in_fragments_is_joined(bound: Bound) -> None:
    raw = bound.friend()
    raw.say(
        BytesMessage(data=b"\x00he", message_finished=False),
        BytesMessage(data=b"", message_finished=False),
        BytesMessage(data=b"llo", message_finished=True),
    )
    assert bound.pull.receive(WAIT_MS) == b"hello"


def test_a_peer_without_a_mechanism_says_its_identity_first(bound: Bound) -> None:
    raw = bound.stranger("ZWS2.0")
    heard = raw.hear()
    raw.say(BytesMessage(data=b"\x00me"), BytesMessage(data=b"\x00hello"))
    assert bound.pull.receive(WAIT_MS) == b"hello"
    while len(heard) < 2:
        heard += raw.hear()
    assert isinstance(heard[0], AcceptConnection)
    assert isinstance(heard[1], BytesMessage)
    assert bytes(heard[1].data) == b"\x00"  # we have no identity
    assert bound.pull.engine.pattern.peers()[0].identity == b"me"


def test_subscriptions_come_in_the_older_form(blocking: Make, sockets: list[socket.socket]) -> None:
    sub, listener = blocking("SUB"), socket.create_server(("127.0.0.1", 0))
    sockets.append(listener)
    sub.call(sub.engine.pattern.subscribe, b"news")
    sub.call(sub.engine.connect, f"ws://127.0.0.1:{listener.getsockname()[1]}/a/path?x=1")
    listener.settimeout(WAIT_S)
    sub.poll(50)
    sock, _ = listener.accept()
    sockets.append(sock)
    raw = Raw(sock, ConnectionType.SERVER)
    sub.poll(50)
    request = raw.hear()[0]
    assert isinstance(request, Request)
    assert request.target == "/a/path?x=1"
    assert request.host == f"127.0.0.1:{listener.getsockname()[1]}"
    assert request.subprotocols == ["ZWS2.0/NULL", "ZWS2.0"]
    raw.say(AcceptConnection(subprotocol="ZWS2.0"), BytesMessage(data=b"\x00"))
    sub.poll(50)
    said: list[bytes] = []
    while len(said) < 2:
        said += [bytes(event.data) for event in raw.hear() if isinstance(event, BytesMessage)]
        sub.poll(10)
    assert said == [b"\x00", b"\x00\x01news"]


def garbage(raw: Raw) -> None:
    raw.sock.sendall(b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL\r\n\r\n")


def endless(raw: Raw) -> None:
    raw.sock.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 20_000)


def plain_http(raw: Raw) -> None:
    raw.sock.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")


def wrong_subprotocol(raw: Raw) -> None:
    raw.say(Request(host="here", target="/", subprotocols=["mqtt"]))


def no_subprotocol(raw: Raw) -> None:
    raw.say(Request(host="here", target="/"))


def other_mechanism(raw: Raw) -> None:
    raw.say(Request(host="here", target="/", subprotocols=["ZWS2.0/PLAIN"]))


@pytest.mark.parametrize(
    "begin", [garbage, endless, plain_http, wrong_subprotocol, no_subprotocol, other_mechanism]
)
def test_who_asks_for_something_else_is_dropped(bound: Bound, begin: Callable[[Raw], None]) -> None:
    begin(bound.stranger())
    assert bound.until(monitor.HANDSHAKE_FAILED_PROTOCOL) == WS_UNSPECIFIED
    assert bound.pull.engine.shaking.count == 0
    bound.still_works()


def test_who_is_refused_is_told_with_a_status(bound: Bound) -> None:
    raw = bound.stranger("mqtt")
    bound.until(monitor.HANDSHAKE_FAILED_PROTOCOL)
    refused = raw.hear()[0]
    assert isinstance(refused, RejectConnection)
    assert refused.status_code == 400


@pytest.mark.parametrize(
    "event",
    [
        TextMessage(data="hello"),
        BytesMessage(data=b"\x07what"),
        BytesMessage(data=b""),
        BytesMessage(data=b"\x00" + bytes(70_000)),
    ],
    ids=["text", "flags", "empty", "oversize"],
)
def test_who_breaks_the_rules_later_is_dropped(
    blocking: Make, sockets: list[socket.socket], event: Event
) -> None:
    bound = Bound(blocking, sockets, message_bytes_max=50_000)
    raw = bound.friend()
    bound.until(monitor.HANDSHAKE_SUCCEEDED)
    raw.say(event)
    bound.until(monitor.DISCONNECTED)
    assert bound.pull.engine.pattern.peers() == []
    bound.still_works()


def test_an_endless_message_in_fragments_is_cut_off(
    blocking: Make, sockets: list[socket.socket]
) -> None:
    bound = Bound(blocking, sockets, message_bytes_max=1000)
    raw = bound.friend()
    bound.until(monitor.HANDSHAKE_SUCCEEDED)
    raw.say(BytesMessage(data=b"\x00", message_finished=False))
    for _ in range(70):
        raw.say(BytesMessage(data=bytes(1000), message_finished=False))
    bound.until(monitor.DISCONNECTED)


def test_a_handshake_has_its_time(blocking: Make, sockets: list[socket.socket]) -> None:
    bound = Bound(blocking, sockets, handshake_ms=20)
    bound.stranger()
    bound.until(monitor.HANDSHAKE_FAILED_NO_DETAIL)
    assert bound.pull.engine.shaking.count == 0


def test_pings_are_answered(bound: Bound) -> None:
    raw = bound.friend()
    bound.until(monitor.HANDSHAKE_SUCCEEDED)
    raw.say(Ping(payload=b"are you there"))
    heard: list[Event] = []
    while not any(isinstance(event, Pong) for event in heard):
        bound.pull.poll(20)
        heard += raw.hear()
    assert [bytes(one.payload) for one in heard if isinstance(one, Pong)] == [b"are you there"]


def test_a_silent_peer_is_pinged_and_then_dropped(
    blocking: Make, sockets: list[socket.socket]
) -> None:
    bound = Bound(blocking, sockets, heartbeat_interval_ms=20, heartbeat_timeout_ms=20)
    raw = bound.friend()
    bound.until(monitor.HANDSHAKE_SUCCEEDED)
    bound.until(monitor.DISCONNECTED)
    assert any(isinstance(event, Ping) for event in raw.rest())


def test_a_goodbye_is_answered(bound: Bound) -> None:
    raw = bound.friend()
    bound.until(monitor.HANDSHAKE_SUCCEEDED)
    raw.say(CloseConnection(code=1000))
    bound.until(monitor.DISCONNECTED)
    assert isinstance(raw.rest()[-1], CloseConnection)


def test_who_closes_says_goodbye(bound: Bound) -> None:
    raw = bound.friend()
    bound.until(monitor.HANDSHAKE_SUCCEEDED)
    bound.pull.close(0)
    last = raw.rest()[-1]
    assert isinstance(last, CloseConnection)
    assert last.code == 1000


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_without_wsproto_the_error_says_what_to_install(
    blocking: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wsproto", None)
    pull = blocking("PULL")
    with pytest.raises(SocketError, match=r"midge\[ws\]"):
        pull.call(pull.engine.bind, "ws://127.0.0.1:*")


@pytest.mark.parametrize("endpoint", ["ws://127.0.0.1:9/a b", "ws://h\u00f6st:9", "wss://.x:9"])
def test_what_cannot_be_asked_for_is_an_error_at_once(blocking: Make, endpoint: str) -> None:
    push = blocking("PUSH")
    with pytest.raises(SocketError) as caught:
        push.call(push.engine.connect, endpoint)
    assert caught.value.errno == errno.EINVAL
