"""What a server writes about time is right, although the clock of the system is set meanwhile."""

from __future__ import annotations

import time

import pytest

from midge.mqtt.packets import Will
from midge.mqtt.properties import Properties
from midge.server.persistence import Calendar
from midge.store.base import SessionRow
from midge.store.memory import MemoryStore
from midge.testing.pair import World

YEARS = 50 * 365 * 86_400.0


class WallClock:
    """The clock of the system, which can be set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, world: World) -> None:
        self.world = world
        self.offset_s = 0.0
        monkeypatch.setattr(time, "time", self.time)

    def time(self) -> float:
        return self.world.clock.now() + self.offset_s


def calendar_of(world: World) -> Calendar:
    keeper = world.broker.keeper
    assert keeper is not None
    return Calendar(world.broker, keeper.journal, world.clock.now)


def leave(world: World, client_id: str) -> None:
    """A client goes whose session lasts for 1000 s, and whose will is due in 100 s."""
    will = Will("w", b"", 0, False, Properties.of(will_delay_interval=100))
    properties = Properties.of(session_expiry_interval=1000)
    world.connect(client_id, clean_start=False, properties=properties, will=will).drop()


def rows(world: World) -> list[SessionRow]:
    world.settle()
    assert world.store is not None
    return world.store.read(0).sessions


@pytest.mark.parametrize("step_s", [YEARS, -YEARS, 60.0])
def test_a_session_that_waits_is_noted_anew_when_the_clock_is_set(
    monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    world = World(store=MemoryStore())
    clock = WallClock(monkeypatch, world)
    calendar = calendar_of(world)
    leave(world, "before")
    left = clock.time()
    clock.offset_s += step_s
    calendar.check()
    leave(world, "after")
    assert [row.ends_at for row in rows(world)] == [left + step_s + 1000, clock.time() + 1000]
    assert [row.will_at for row in rows(world)] == [left + step_s + 100, clock.time() + 100]


def test_nothing_is_written_as_long_as_the_clock_only_drifts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(store=MemoryStore())
    clock = WallClock(monkeypatch, world)
    calendar = calendar_of(world)
    leave(world, "c")
    world.settle()
    clock.offset_s += 1.5
    calendar.check()
    assert world.broker.keeper is not None
    assert not world.broker.keeper.journal.changes


def test_a_will_that_waits_comes_although_the_machine_starts_in_the_past() -> None:
    world = World(store=MemoryStore())
    world.advance(YEARS)
    leave(world, "c")
    world.settle()
    assert world.store is not None
    world.store.close()
    world = World(store=world.store)
    watcher = world.connect("watcher")
    watcher.subscribe("w")
    world.advance(101)
    assert [message.topic for message in watcher.messages()] == ["w"]
