"""Peers that send what they should not: they are dropped and reported, and the socket lives on.

The same for blocking sockets and those of asyncio, over every transport that has a stream; the
strangers are plain sockets.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import midge.zmq as zmq
import midge.zmq.asyncio
from midge.zmq.auth.thread import ThreadAuthenticator
from midge.zmq.utils.monitor import parse_monitor_message
from tests.faces.zmq.conftest import PATIENCE_MS
from tests.faces.zmq.strangers import (
    COMMAND,
    Piece,
    Stranger,
    greeting,
    huge_header,
    on_the_wire,
    ready,
)

PATIENCE_S = PATIENCE_MS / 1000
PROTOCOL = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
AUTH = zmq.EVENT_HANDSHAKE_FAILED_AUTH
NO_DETAIL = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
SUCCEEDED = zmq.EVENT_HANDSHAKE_SUCCEEDED
DISCONNECTED = zmq.EVENT_DISCONNECTED
TRANSPORTS = ["tcp", "ipc", "ws"]
HUGE = 1 << 40


async def maybe(result: Any) -> Any:
    """What a call of either face gives."""
    return await result if isinstance(result, asyncio.Future) else result


class Face:
    """Sockets of one face, whose calls are awaited either way; the blocking ones block."""

    def __init__(self, module: Any) -> None:
        self.context: Any = module.Context()
        self.made: list[Any] = []
        self.strangers: list[Any] = []

    def socket(self, kind: str, **options: Any) -> Any:
        made = self.context.socket(getattr(zmq, kind))
        self.made.append(made)
        made.linger = 0
        made.rcvtimeo = made.sndtimeo = PATIENCE_MS
        for name, value in options.items():
            setattr(made, name, value)
        return made

    def watched(self, kind: str, **options: Any) -> tuple[Any, Any]:
        """A socket and its monitor."""
        made = self.socket(kind, **options)
        monitor = made.get_monitor_socket()
        monitor.linger = 0
        monitor.rcvtimeo = PATIENCE_MS
        self.made.append(monitor)
        return made, monitor

    def stranger(self, endpoint: str) -> Stranger:
        made = Stranger(endpoint)
        self.strangers.append(made)
        return made

    async def say(self, stranger: Stranger, *pieces: Piece) -> bool:
        """Have something said, while a loop goes on."""
        return await asyncio.to_thread(stranger.say, *pieces)

    async def events(self, monitor: Any, last: int) -> list[tuple[int, int]]:
        """Events and their values, up to the first of a kind."""
        found: list[tuple[int, int]] = []
        while not found or found[-1][0] != last:
            told = parse_monitor_message(await maybe(monitor.recv_multipart()))
            found.append((told["event"], told["value"]))
        return found

    async def still_serves(self, pull: Any, monitor: Any, **options: Any) -> None:
        """Nothing is left of the strangers, and a friend gets in."""
        assert pull.stats()["handshakes"] == 0
        assert pull.stats()["peers"] == []
        friend = self.socket("PUSH", **options)
        friend.connect(pull.last_endpoint.decode())
        await maybe(friend.send_multipart([b"from", b"a friend"]))
        assert await maybe(pull.recv_multipart()) == [b"from", b"a friend"]
        assert [event for event, _ in await self.events(monitor, SUCCEEDED)][-1] == SUCCEEDED

    def end(self) -> None:
        for stranger in self.strangers:
            stranger.close()
        for made in self.made:
            made.close(0)
        self.context.destroy(0)


@pytest.fixture(params=["blocking", "asyncio"])
def run(
    request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[[Callable[[Face], Coroutine[Any, Any, None]]], None]]:
    """Runs a story with a face; nothing may be said on standard error, by whatever thread."""

    def run_it(story: Callable[[Face], Coroutine[Any, Any, None]]) -> None:
        async def told() -> None:
            face = Face(zmq if request.param == "blocking" else midge.zmq.asyncio)
            try:
                await asyncio.wait_for(story(face), 2 * PATIENCE_S)
            finally:
                face.end()

        complaints: list[Any] = []
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(lambda loop, what: complaints.append(what))
            runner.run(told())
        assert not complaints

    yield run_it
    assert capfd.readouterr().err == ""


def endpoint_of(transport: str) -> str:
    return "ipc://*" if transport == "ipc" else f"{transport}://127.0.0.1:*"


def garbage(transport: str) -> list[Piece]:
    return [b"\x00\x01what is this? " * 20]


def http(transport: str) -> list[Piece]:
    return [b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"]


def broken_greeting(transport: str) -> list[Piece]:
    if transport == "ws":
        return [greeting("ws").replace(b"ZWS2.0", b"soap")]
    return [b"\xff" + bytes(8) + b"\x7e" + bytes(54)]


def version_0(transport: str) -> list[Piece]:
    if transport == "ws":
        return [greeting("ws").replace(b"Version: 13", b"Version: 99")]
    return [b"\xff" + bytes(8) + b"\x7f\x00" + bytes(53)]


def other_mechanism(transport: str) -> list[Piece]:
    return [greeting(transport, "PLAIN")]


def wrong_type(transport: str) -> list[Piece]:
    return [greeting(transport), ready("PUB")]


def no_type(transport: str) -> list[Piece]:
    return [greeting(transport), (COMMAND, b"\x05READY")]


def unknown_type(transport: str) -> list[Piece]:
    return [greeting(transport), ready("TROMBONE")]


def broken_metadata(transport: str) -> list[Piece]:
    return [greeting(transport), (COMMAND, b"\x05READY\x0bSocket-Type\xff\xff\xff\xffPUSH")]


def message_first(transport: str) -> list[Piece]:
    return [greeting(transport), (0, b"hello"), ready("PUSH")]


def error_command(transport: str) -> list[Piece]:
    return [greeting(transport), (COMMAND, b"\x05ERROR\x03no!")]


def unknown_command(transport: str) -> list[Piece]:
    return [greeting(transport), (COMMAND, b"\x04BLAH"), ready("PUSH")]


def huge(transport: str, flags: int = 0) -> list[Piece]:
    """A frame that promises too much; a WebSocket is judged by what comes, others by the header."""
    said: list[Piece] = [huge_header(transport, HUGE, flags)]
    return [*said, bytes([flags >> 1]) + bytes(300_000)] if transport == "ws" else said


def huge_handshake(transport: str) -> list[Piece]:
    return [greeting(transport), *huge(transport, COMMAND)]


#: What ends the handshake, and how it is reported.
HANDSHAKES = [
    (garbage, PROTOCOL),
    (http, PROTOCOL),
    (broken_greeting, PROTOCOL),
    (version_0, PROTOCOL),
    (other_mechanism, PROTOCOL),
    (wrong_type, PROTOCOL),
    (no_type, PROTOCOL),
    (unknown_type, PROTOCOL),
    (broken_metadata, PROTOCOL),
    (message_first, PROTOCOL),
    (error_command, PROTOCOL),
    (unknown_command, PROTOCOL),
    (huge_handshake, PROTOCOL),
]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("says", "reported"), HANDSHAKES)
def test_who_begins_badly_is_dropped(
    run: Any, transport: str, says: Callable[[str], list[Piece]], reported: int
) -> None:
    async def story(face: Face) -> None:
        pull, monitor = face.watched("PULL")
        pull.bind(endpoint_of(transport))
        await face.say(face.stranger(pull.last_endpoint.decode()), *says(transport))
        told = [event for event, _ in await face.events(monitor, DISCONNECTED)]
        assert told == [zmq.EVENT_LISTENING, zmq.EVENT_ACCEPTED, reported, DISCONNECTED]
        await face.still_serves(pull, monitor)

    run(story)


def too_large(transport: str) -> list[Piece]:
    return [(0, b"x" * 1001)]


def far_too_large(transport: str) -> list[Piece]:
    return huge(transport)


def unknown_flags(transport: str) -> list[Piece]:
    return [on_the_wire("ws", [(0, b"")])[:-1] + b"\xf8"] if transport == "ws" else [b"\xf8\x00"]


def second_ready(transport: str) -> list[Piece]:
    return [ready("PUSH")]


def broken_command(transport: str) -> list[Piece]:
    return [(COMMAND, b"\xf0PING")]


#: What ends a connection that had begun well.
LATER = [too_large, far_too_large, unknown_flags, second_ready, broken_command]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("says", LATER)
def test_who_goes_on_badly_is_dropped(
    run: Any, transport: str, says: Callable[[str], list[Piece]]
) -> None:
    async def story(face: Face) -> None:
        pull, monitor = face.watched("PULL", maxmsgsize=1000)
        pull.bind(endpoint_of(transport))
        stranger = face.stranger(pull.last_endpoint.decode())
        await face.say(stranger, greeting(transport), ready("PUSH"), (0, b"good"), (1, b"half"))
        await face.events(monitor, SUCCEEDED)
        assert await maybe(pull.recv()) == b"good"
        await face.say(stranger, *says(transport))
        assert await face.events(monitor, DISCONNECTED)
        assert not await maybe(pull.poll(0))
        await face.still_serves(pull, monitor)

    run(story)


# -- credentials -----------------------------------------------------------------------------------


def plain_hello(user: bytes, password: bytes) -> Piece:
    said = bytes([len(user)]) + user + bytes([len(password)]) + password
    return COMMAND, b"\x05HELLO" + said


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("hello", "reported"),
    [
        (plain_hello(b"anna", b"wrong"), AUTH),
        (plain_hello(b"nobody", b""), AUTH),
        ((COMMAND, b"\x05HELLO\xffa"), PROTOCOL),
        ((COMMAND, b"\x08INITIATE"), PROTOCOL),
        ((0, b"hello"), PROTOCOL),
    ],
)
def test_who_has_no_password_is_dropped(
    run: Any, transport: str, hello: Piece, reported: int
) -> None:
    async def story(face: Face) -> None:
        guard = ThreadAuthenticator(zmq.Context.shadow(face.context.underlying))
        guard.start()
        try:
            guard.configure_plain(domain="*", passwords={"anna": "right"})
            pull, monitor = face.watched("PULL", plain_server=True, zap_domain=b"here")
            pull.bind(endpoint_of(transport))
            stranger = face.stranger(pull.last_endpoint.decode())
            await face.say(stranger, greeting(transport, "PLAIN"), hello)
            told = [event for event, _ in await face.events(monitor, DISCONNECTED)]
            assert told == [zmq.EVENT_LISTENING, zmq.EVENT_ACCEPTED, reported, DISCONNECTED]
            right = {"plain_username": b"anna", "plain_password": b"right"}
            await face.still_serves(pull, monitor, **right)
        finally:
            guard.stop()

    run(story)


@pytest.mark.peer("pynacl")
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "hello",
    [
        (COMMAND, b"\x05HELLO\x01\x00" + bytes(192)),
        (COMMAND, b"\x05HELLO"),
        (COMMAND, b"\x08INITIATE" + bytes(248)),
        (COMMAND, b"\x07MESSAGE" + bytes(100)),
    ],
)
def test_who_has_no_key_is_dropped(run: Any, transport: str, hello: Piece) -> None:
    async def story(face: Face) -> None:
        public, secret = zmq.curve_keypair()
        pull, monitor = face.watched("PULL", curve_server=True, curve_secretkey=secret)
        pull.bind(endpoint_of(transport))
        stranger = face.stranger(pull.last_endpoint.decode())
        await face.say(stranger, greeting(transport, "CURVE"), hello)
        told = [event for event, _ in await face.events(monitor, DISCONNECTED)]
        assert told == [zmq.EVENT_LISTENING, zmq.EVENT_ACCEPTED, PROTOCOL, DISCONNECTED]
        mine, own = zmq.curve_keypair()
        keys = {"curve_serverkey": public, "curve_publickey": mine, "curve_secretkey": own}
        await face.still_serves(pull, monitor, **keys)

    run(story)


# -- handshakes without an end ---------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("drips", [False, True])
def test_who_never_comes_to_an_end_is_dropped(run: Any, transport: str, drips: bool) -> None:
    """Silent, or a byte at a time: the whole handshake has its time, not each byte of it."""

    async def story(face: Face) -> None:
        pull, monitor = face.watched("PULL", handshake_ivl=100)
        pull.bind(endpoint_of(transport))
        stranger = face.stranger(pull.last_endpoint.decode())
        opening = on_the_wire(transport, [greeting(transport), ready("PUSH", ("X", bytes(5000)))])
        loop = asyncio.get_running_loop()
        dripping = loop.run_in_executor(None, drip, stranger, opening) if drips else None
        told = [event for event, _ in await face.events(monitor, DISCONNECTED)]
        assert told == [zmq.EVENT_LISTENING, zmq.EVENT_ACCEPTED, NO_DETAIL, DISCONNECTED]
        if dripping is not None:
            assert await dripping < len(opening)
        pull.handshake_ivl = PATIENCE_MS
        await face.still_serves(pull, monitor)

    def drip(stranger: Stranger, said: bytes) -> int:
        for count in range(len(said)):
            time.sleep(0.005)
            if not stranger.say(said[count : count + 1]):
                return count
        return len(said)

    run(story)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_leaves_in_the_middle_is_forgotten(run: Any, transport: str) -> None:
    async def story(face: Face) -> None:
        pull, monitor = face.watched("PULL")
        pull.bind(endpoint_of(transport))
        endpoint = pull.last_endpoint.decode()
        said = on_the_wire(transport, [greeting(transport)])
        for length in (0, 1, 10, 11, 12, 63, len(said)):
            stranger = face.stranger(endpoint)
            await face.say(stranger, said[:length])
            stranger.close()
            told = [event for event, _ in await face.events(monitor, DISCONNECTED)]
            assert told[-3:-1] == [zmq.EVENT_ACCEPTED, NO_DETAIL]
        await face.still_serves(pull, monitor)

    run(story)


# -- the side that connects ------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("answer", "reported"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", PROTOCOL),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", PROTOCOL),
        (b"\xff" * 300 + b"\r\n\r\n", PROTOCOL),
        (b"", NO_DETAIL),
        (None, NO_DETAIL),
    ],
)
def test_who_is_connected_to_and_answers_badly_is_tried_again(
    run: Any, transport: str, answer: bytes | None, reported: int, tmp_path: Any
) -> None:
    """What is queued waits for a better one at the same place. ``None``: there is no answer."""

    async def story(face: Face) -> None:
        if transport == "ipc":
            bad = socket.socket(socket.AF_UNIX)
            bad.bind(str(tmp_path / "s"))
            endpoint = f"ipc://{tmp_path}/s"
        else:
            bad = socket.socket()
            bad.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bad.bind(("127.0.0.1", 0))
            endpoint = f"{transport}://127.0.0.1:{bad.getsockname()[1]}"
        bad.listen()
        bad.settimeout(PATIENCE_S)
        face.strangers.append(bad)
        patience_ms = 100 if answer is None else PATIENCE_MS
        push, monitor = face.watched("PUSH", reconnect_ivl=10, handshake_ivl=patience_ms)
        push.connect(endpoint)
        await maybe(push.send(b"kept"))
        for _ in range(2):
            told = asyncio.get_running_loop().run_in_executor(None, answer_badly, bad, answer)
            seen = [event for event, _ in await face.events(monitor, DISCONNECTED)]
            assert reported in seen
            assert SUCCEEDED not in seen
            face.strangers.append(await told)
        bad.close()
        (tmp_path / "s").unlink(missing_ok=True)
        pull = face.socket("PULL")
        pull.bind(endpoint)
        push.handshake_ivl = PATIENCE_MS
        assert await maybe(pull.recv()) == b"kept"
        await face.events(monitor, SUCCEEDED)

    run(story)


def answer_badly(bad: socket.socket, answer: bytes | None) -> socket.socket:
    """Accept one, and say this, or close, or say nothing at all."""
    made, _ = bad.accept()
    if answer:
        made.sendall(answer)
    elif answer is not None:
        made.close()
    return made
