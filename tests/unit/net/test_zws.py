"""The door of a port for ZeroMQ: tcp and WebSockets told apart, paths, and any garbage."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from midge.net import zmtp_door
from midge.net.http_request import BadRequest
from midge.net.layer import Below
from midge.net.stream import Handler
from midge.net.zmtp_door import ZmtpDoor
from midge.net.zws import ZwsLayer, read_target
from midge.zmtp import events as ev
from midge.zmtp.connection import Connection
from midge.zmtp.settings import PLAIN, Settings
from midge.zmtp.sockets import ANY

READY_PUSH = b"\x02\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"


class Carrier:
    """The stream below, which notes what is written."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.written = b""
        self.closed = False
        self.full = False
        self.username: str | None = None
        self.secured = False

    def peer(self) -> tuple[str, int]:
        return "192.0.2.1", 5

    def write(self, data: bytes) -> None:
        self.written += data

    def hand_over(self, handler: Handler) -> None:
        self.handler = handler

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class Served:
    """The broker's end of a connection of ZMTP."""

    def __init__(self, stream: Below, settings: Settings) -> None:
        self.stream = stream
        self.connection = Connection(settings, 0.0, random=bytes)
        self.events: list[ev.Event] = []
        self.came = b""
        self.text: str | None = None

    def stream_data(self, data: bytes) -> None:
        self.came += data
        self.events += self.connection.receive_data(data, 0.0)
        self.stream_writable()

    def stream_writable(self) -> None:
        for piece in self.connection.data_to_send():
            self.stream.write(piece)

    def stream_closed(self, text: str) -> None:
        self.text = text

    def items(self) -> list[object]:
        return [item for one in self.events if isinstance(one, ev.Messages) for item in one.items]


class Visit:
    """One connection to the door."""

    def __init__(self, settings: Settings | None = None, *origins: str) -> None:
        self.settings = Settings(ANY) if settings is None else settings
        self.carrier = Carrier()
        self.served: Served | None = None
        self.refused: list[str] = []
        self.carrier.handler = ZmtpDoor(
            self.carrier, self.settings, origins, 8192, self._opened, self._refused
        )
        self.ws = WSConnection(ConnectionType.CLIENT)

    def _opened(self, stream: Below) -> Handler:
        self.served = Served(stream, self.settings)
        self.served.stream_writable()
        return self.served

    def _refused(self, _: object, text: str) -> None:
        self.refused.append(text)

    def give(self, data: bytes) -> None:
        assert self.carrier.handler is not None
        self.carrier.handler.stream_data(data)

    def say(self, event: Event) -> None:
        self.give(self.ws.send(event))

    def ask(self, target: str = "/", *subprotocols: str, **headers: str) -> list[Event]:
        """Ask for a WebSocket; the answer."""
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.say(
            Request(
                host="here", target=target, subprotocols=list(subprotocols), extra_headers=extra
            )
        )
        return self.hear()

    def hear(self) -> list[Event]:
        written, self.carrier.written = self.carrier.written, b""
        self.ws.receive_data(written)
        return list(self.ws.events())

    def rejection(self, target: str = "/", *subprotocols: str, **headers: str) -> tuple[int, str]:
        """Status and text of an answer that is no."""
        answer = self.ask(target, *subprotocols, **headers)
        assert isinstance(answer[0], RejectConnection)
        text = b"".join(one.data for one in answer if isinstance(one, RejectData)).decode()
        assert self.carrier.closed
        assert self.served is None
        assert self.refused == [text.rstrip("\n")]
        return answer[0].status_code, text

    @property
    def layer(self) -> ZwsLayer:
        assert self.served is not None
        assert isinstance(self.served.stream, ZwsLayer)
        return self.served.stream


def test_a_peer_over_tcp_has_nothing_between_it_and_the_stream() -> None:
    visit = Visit()
    greeting = Connection(Settings("PUSH"), 0.0).data_to_send()[0]
    visit.give(greeting)
    assert visit.served is not None
    assert visit.served.stream is visit.carrier
    assert visit.carrier.handler is visit.served
    assert visit.served.came == greeting
    assert visit.carrier.written.startswith(greeting)
    assert visit.refused == []


def test_a_peer_in_a_websocket_says_in_its_frames_what_others_do() -> None:
    visit = Visit()
    (accepted,) = visit.ask("/queue/photos", "ZWS2.0/NULL")[:1]
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == "ZWS2.0/NULL"
    assert visit.layer.queue == "photos"
    visit.say(BytesMessage(data=READY_PUSH))
    (ready,) = visit.hear()  # each frame is a message
    assert isinstance(ready, BytesMessage)
    assert bytes(ready.data).startswith(b"\x02\x05READY")
    visit.say(BytesMessage(data=b"\x01one"))
    visit.say(BytesMessage(data=b"\x00two", message_finished=False))
    visit.say(BytesMessage(data=b" and more"))
    assert visit.served is not None
    assert visit.served.items() == [[b"one", b"two and more"]]
    visit.say(Ping(payload=b"?"))
    assert visit.hear() == [Pong(payload=b"?")]


def test_a_peer_that_says_nothing_of_itself_is_what_the_path_says() -> None:
    visit = Visit()
    (accepted,) = visit.ask("/queue/photos?type=push", "ZWS2.0")[:1]
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == "ZWS2.0"
    visit.say(BytesMessage(data=b"\x00"))  # its routing id, which is empty
    visit.say(BytesMessage(data=b"\x00job"))
    assert visit.served is not None
    (ready,) = [one for one in visit.served.events if isinstance(one, ev.Ready)]
    assert ready.socket_type == "PUSH"
    assert visit.served.items() == [b"job"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/", ("", "")),
        ("http://here:5555", ("", "")),
        ("/queue/photos", ("photos", "")),
        ("/photos", ("photos", "")),  # all that libzmq sends of the line above
        ("/queue%2Fphotos", ("photos", "")),
        ("/queue/caf%C3%A9%20noir", ("café noir", "")),
        ("/queue/a%25b", ("a%b", "")),
        ("/?type=SUB", ("", "SUB")),
        ("/queue/photos?x=1&type=Pull#top", ("photos", "PULL")),
    ],
)
def test_a_path_names_a_queue_and_maybe_a_type(target: str, said: tuple[str, str]) -> None:
    assert read_target(target) == said


@pytest.mark.parametrize(
    "target",
    [
        "/queue/",
        "/queue/a/b",
        "/other/a",
        "//a",
        "/queue/a+b",
        "/queue/%23",
        "/queue/%24SYS",
        "/queue/%00",
        "/queue/%ff",
        "/queue/" + "x" * 70_000,
        "queue/a",
        "*",
        "/?type=PAIR",
        "/?type=%00",
    ],
)
def test_a_path_that_is_none_of_ours_is_refused(target: str) -> None:
    with pytest.raises(BadRequest):
        read_target(target)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40))
def test_no_target_is_more_than_refused(target: str) -> None:
    with contextlib.suppress(BadRequest):
        queue, kind = read_target(target)
        assert "/" not in queue
        assert kind == "" or kind.isupper()


def test_who_is_refused_is_told_why() -> None:
    status, text = Visit().rejection("/queue/a/b", "ZWS2.0/NULL")
    assert (status, "/queue/NAME" in text) == (404, True)
    status, text = Visit().rejection("/", "mqtt")
    assert (status, "ZWS2.0/NULL" in text) == (400, True)
    status, text = Visit().rejection("/", "ZWS2.0")
    assert (status, "?type=SUB" in text) == (400, True)
    plain = Settings(ANY, mechanism=PLAIN, as_server=True)
    status, text = Visit(plain).rejection("/?type=SUB", "ZWS2.0", "ZWS2.0/NULL")
    assert (status, "ZWS2.0/PLAIN" in text, "?type" in text) == (400, True, False)
    status, text = Visit(Settings(ANY, zap=True)).rejection("/?type=SUB", "ZWS2.0")
    assert (status, "?type" in text) == (400, False)
    visit = Visit(None, "https://ours.example")
    status, text = visit.rejection("/", "ZWS2.0/NULL", origin="https://theirs.example")
    assert (status, "websockets_origin" in text) == (403, True)


def test_a_page_of_a_named_origin_comes_in() -> None:
    visit = Visit(None, "https://ours.example")
    answer = visit.ask("/", "ZWS2.0/NULL", origin="https://ours.example")
    assert isinstance(answer[0], AcceptConnection)


def test_without_the_library_a_websocket_is_refused_and_tcp_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zmtp_door, "find_spec", lambda name: None)
    visit = Visit()
    visit.give(b"GET /queue/photos HTTP/1.1\r\nHost: here\r\nUpgrade: web")
    assert not visit.carrier.closed
    visit.give(b"socket\r\n\r\n")
    assert visit.carrier.written.startswith(b"HTTP/1.1 501 ")
    assert b"pip install 'midge[ws]'" in visit.carrier.written
    assert visit.carrier.closed
    assert [text for text in visit.refused if text] == [
        "WebSockets need the library wsproto: pip install 'midge[ws]'"
    ]
    other = Visit()
    other.give(b"\xff")
    assert other.served is not None


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (TextMessage(data="hello"), ""),
        (BytesMessage(data=b"\x08what flags are these"), "flags"),
        (BytesMessage(data=b""), "without flags"),
    ],
)
def test_who_breaks_the_rules_in_a_websocket_is_told_goodbye(event: Event, why: str) -> None:
    visit = Visit()
    visit.ask("/", "ZWS2.0/NULL")
    visit.say(BytesMessage(data=READY_PUSH))
    visit.hear()
    visit.say(event)
    assert isinstance(visit.hear()[-1], CloseConnection)
    assert visit.carrier.closed
    visit.layer.write(b"\x00\x02no")  # nothing follows a goodbye
    assert visit.carrier.written == b""
    visit.layer.stream_closed("closed")
    assert visit.served is not None
    assert why in (visit.served.text or "")


def test_a_message_that_is_larger_than_allowed_is_not_gathered() -> None:
    visit = Visit(Settings(ANY, message_bytes_max=100))
    visit.ask("/", "ZWS2.0/NULL")
    visit.say(BytesMessage(data=READY_PUSH))
    visit.hear()
    for _ in range(100):
        visit.say(BytesMessage(data=bytes(10_000), message_finished=False))
        if visit.carrier.closed:
            break
    assert visit.carrier.closed
    assert visit.served is not None
    assert visit.served.items() == []


@given(
    st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.sampled_from([b"", b"G", b"GET /"])
)
def test_no_garbage_at_the_door_raises(chunks: list[bytes], first: bytes) -> None:
    visit = Visit()
    for chunk in [first, *chunks] if first else chunks:
        if not visit.carrier.closed:
            visit.give(chunk)
    assert visit.carrier.handler is not None
    visit.carrier.handler.stream_closed("")


@given(
    st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=8),
    st.binary(max_size=40),
    st.sampled_from(["ZWS2.0", "ZWS2.0/NULL"]),
    st.sampled_from(["SUB", "PUB", "REQ", "PULL"]),
)
def test_no_message_in_a_websocket_raises(
    messages: list[tuple[bytes, bool]], garbage: bytes, subprotocol: str, kind: str
) -> None:
    visit = Visit(Settings(ANY, message_bytes_max=50))
    visit.ask(f"/?type={kind}", subprotocol)
    for data, finished in messages:
        if not visit.carrier.closed:
            visit.say(BytesMessage(data=data, message_finished=finished))
    if garbage and not visit.carrier.closed:
        visit.give(garbage)
    assert visit.carrier.handler is not None
    visit.carrier.handler.stream_closed("")
    assert visit.served is not None
    assert visit.served.text is not None
