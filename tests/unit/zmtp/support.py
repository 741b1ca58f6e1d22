"""Two connections tied in memory, and strategies, for the tests of ZMTP."""

from __future__ import annotations

import random as random_module
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from hypothesis import strategies as st

from midge.zmtp import events as ev
from midge.zmtp.connection import Connection
from midge.zmtp.curve import key_pair
from midge.zmtp.settings import Settings

NOW = 1000.0

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
