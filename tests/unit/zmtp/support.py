"""Two connections tied in memory, and strategies, for the tests of ZMTP."""

from __future__ import annotations

import random as random_module
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from hypothesis import strategies as st

from midge.zmtp import commands, frames
from midge.zmtp import events as ev
from midge.zmtp.connection import READY, Connection
from midge.zmtp.curve import key_pair
from midge.zmtp.greeting import OPENING, rest_of_greeting
from midge.zmtp.metadata import encode_metadata
from midge.zmtp.settings import Settings

NOW = 1000.0
MECHANISMS = ["NULL", "PLAIN", "CURVE"]

messages = st.one_of(
    st.binary(max_size=300),
    st.lists(st.binary(max_size=300), min_size=2, max_size=4),
)


def seeded(seed: int) -> Callable[[int], bytes]:
    """A source of bytes that is the same in every run."""
    return random_module.Random(seed).randbytes


SERVER_PUBLIC, SERVER_SECRET = key_pair(seeded(1))
CLIENT_PUBLIC, CLIENT_SECRET = key_pair(seeded(2))


def connect(settings: Settings, seed: int = 3) -> Connection:
    return Connection(settings, NOW, address=b"127.0.0.1", random=seeded(seed))


def taken(connection: Connection) -> bytes:
    return b"".join(connection.data_to_send())


def exchange(
    left: Connection, right: Connection, now: float = NOW
) -> tuple[list[ev.Event], list[ev.Event]]:
    """Carry bytes both ways until both are silent; what each side saw."""
    seen: tuple[list[ev.Event], list[ev.Event]] = ([], [])
    for _ in range(20):
        going, coming = taken(left), taken(right)
        if not going and not coming:
            return seen
        seen[1].extend(right.receive_data(going, now))
        seen[0].extend(left.receive_data(coming, now))
    raise AssertionError("the two never fall silent")


def pair(ours: str, theirs: str, **options: object) -> tuple[Connection, Connection]:
    """Two connections that have shaken hands."""
    left, right = connect(Settings(ours, **options)), connect(Settings(theirs, **options))  # type: ignore[arg-type]
    exchange(left, right)
    return left, right


def curve_settings(ours: str, theirs: str, **options: object) -> tuple[Settings, Settings]:
    """Settings of a CURVE client and server that know each other."""
    client = Settings(
        ours,
        mechanism="CURVE",
        curve_public=CLIENT_PUBLIC,
        curve_secret=CLIENT_SECRET,
        curve_server=SERVER_PUBLIC,
    )
    server = Settings(
        theirs,
        mechanism="CURVE",
        as_server=True,
        curve_secret=SERVER_SECRET,
        **options,  # type: ignore[arg-type]
    )
    return client, server


def plain_settings(ours: str, theirs: str) -> tuple[Settings, Settings]:
    client = Settings(ours, mechanism="PLAIN", username=b"ann", password=b"secret")
    return client, Settings(theirs, mechanism="PLAIN", as_server=True, zap_domain=b"house")


def received(events: list[ev.Event]) -> list[bytes | list[bytes]]:
    return [item for e in events if isinstance(e, ev.Messages) for item in e.items]


Event = TypeVar("Event", bound=ev.Event)


def only(events: list[ev.Event], kind: type[Event]) -> Event:
    """The one event of this kind."""
    found = [event for event in events if isinstance(event, kind)]
    assert len(found) == 1, [type(event).__name__ for event in events]
    return found[0]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` in pieces, cut at ``places`` modulo its length."""
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(at)]


def shaken(mechanism: str, ours: str, theirs: str) -> tuple[Connection, Connection]:
    """Two connections that have shaken hands with ``mechanism``; the second is the server."""
    if mechanism == "NULL":
        return pair(ours, theirs)
    make = plain_settings if mechanism == "PLAIN" else curve_settings
    client_settings, server_settings = make(ours, theirs)
    client, server = connect(client_settings, 3), connect(server_settings, 4)
    _, seen = exchange(client, server)
    if mechanism == "PLAIN":
        only(seen, ev.ZapRequest)
        assert server.zap_reply(200, NOW) == []
        exchange(client, server)
    assert client.state == server.state == READY
    return client, server


def send(connection: Connection, message: bytes | list[bytes]) -> None:
    if isinstance(message, bytes):
        connection.send(message)
    else:
        connection.send_multipart(message)


def opened(socket_type: str = "PULL", peer_type: bytes = b"PUSH") -> Connection:
    """A connection that has shaken hands with bytes written here by hand."""
    connection = connect(Settings(socket_type))
    ready = commands.READY + encode_metadata([("Socket-Type", peer_type)])
    wire = OPENING + rest_of_greeting("NULL", False) + frames.encode_frame(frames.COMMAND, ready)
    only(connection.receive_data(wire, NOW), ev.Ready)
    taken(connection)
    return connection


def exchange_opening(client: Connection, server: Connection) -> None:
    """Carry the greetings, and leave the client's HELLO in its queue."""
    client_opening, server_opening = taken(client), taken(server)
    client.receive_data(server_opening, NOW)
    server.receive_data(client_opening, NOW)
    client_rest, server_rest = taken(client), taken(server)
    server.receive_data(client_rest, NOW)
    client.receive_data(server_rest, NOW)


def described(events: list[ev.Event]) -> list[object]:
    """Events as values that compare; messages one by one, since their batches may differ."""
    out: list[object] = []
    for event in events:
        if isinstance(event, ev.Messages):
            out += event.items
        elif isinstance(event, (ev.Subscribe, ev.Cancel)):
            out.append((type(event).__name__, event.prefix))
        else:
            assert isinstance(event, ev.Closed)
            out.append((event.code, event.text))
    return out
