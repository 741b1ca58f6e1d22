"""One heap for all deadlines: nobody is early, late, forgotten, or remembered for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.broker.deadlines import Deadlines, Ticket
from midge.limits import DEADLINES_STALE_MAX
from midge.testing.pair import World


class Owner:
    def __init__(self, *deadlines: float) -> None:
        self.deadlines = list(deadlines)
        self.ticked: list[float] = []

    def next_deadline(self) -> float | None:
        return self.deadlines[0] if self.deadlines else None

    def tick(self, now: float) -> None:
        self.ticked.append(now)
        self.deadlines.pop(0)


@given(st.lists(st.lists(st.integers(0, 50).map(float), max_size=4), max_size=10))
def test_everybody_is_told_at_the_first_look_after_each_deadline(plans: list[list[float]]) -> None:
    deadlines = Deadlines()
    owners = [Owner(*sorted(set(plan))) for plan in plans]
    wanted = [list(owner.deadlines) for owner in owners]
    for owner in owners:
        deadlines.add(owner)
    while (due := deadlines.next()) is not None:
        deadlines.tick(due)
    assert [owner.ticked for owner in owners] == wanted
    assert len(deadlines) == 0


def test_a_deadline_that_moved_is_asked_for_again() -> None:
    deadlines = Deadlines()
    owner = Owner(5.0)
    deadlines.add(owner)
    owner.deadlines = [8.0]
    deadlines.tick(6.0)
    assert owner.ticked == []
    assert deadlines.next() == 8.0
    deadlines.tick(8.0)
    assert owner.ticked == [8.0]


def test_a_deadline_that_came_closer_is_met_and_one_that_went_away_takes_no_second_place() -> None:
    deadlines = Deadlines()
    owner = Owner(5.0)
    ticket = deadlines.add(owner)
    owner.deadlines = [90.0]
    assert deadlines.move(ticket, owner) is ticket
    assert len(deadlines) == 1
    owner.deadlines = [3.0, 7.0]
    closer = deadlines.move(ticket, owner)
    assert deadlines.next() == 3.0
    deadlines.tick(3.0)
    assert owner.ticked == [3.0]
    deadlines.tick(5.0)  # the place that was left
    assert owner.ticked == [3.0]
    assert deadlines.next() == 7.0
    assert deadlines.move(closer, owner) is closer
    deadlines.tick(7.0)
    assert owner.ticked == [3.0, 7.0]
    assert len(deadlines) == 0
    owner.deadlines = [9.0]
    assert deadlines.move(closer, owner) is not closer  # it had left the heap
    assert deadlines.next() == 9.0


def test_an_owner_that_is_never_satisfied_does_not_hold_up_the_others() -> None:
    class Greedy(Owner):
        def tick(self, now: float) -> None:
            self.ticked.append(now)

    deadlines = Deadlines()
    greedy, other = Greedy(1.0), Owner(2.0)
    deadlines.add(greedy)
    deadlines.add(other)
    deadlines.tick(3.0)
    assert greedy.ticked == [3.0]
    assert other.ticked == [3.0]


def test_cancelled_deadlines_are_swept_out_before_they_come_up() -> None:
    deadlines = Deadlines()
    kept = Owner(1e9)
    deadlines.add(kept)
    tickets: list[Ticket | None] = []
    for _ in range(10 * DEADLINES_STALE_MAX):
        tickets.append(deadlines.add(Owner(1e6)))
        deadlines.cancel(tickets[-1])
        deadlines.cancel(tickets[-1])  # twice is once
    assert len(deadlines) < 2 * DEADLINES_STALE_MAX + 2
    deadlines.tick(1e9)
    assert kept.ticked == [1e9]
    assert len(deadlines) == 0


def test_clients_that_come_and_go_with_long_keep_alives_are_forgotten() -> None:
    world = World()
    for number in range(3000):
        world.connect(f"c{number}", keepalive_s=65535).disconnect()
    assert len(world.broker.sessions) == 0
    assert len(world.broker.deadlines) < 3000


def test_one_that_raises_is_tried_again_in_a_while_and_keeps_nobody_from_their_turn() -> None:
    deadlines = Deadlines()
    ticked: list[tuple[str, float]] = []

    class Faulty:
        def __init__(self, name: str, faults: int) -> None:
            self.name = name
            self.faults = faults
            self.due: float | None = 1.0

        def next_deadline(self) -> float | None:
            return self.due

        def tick(self, now: float) -> None:
            if self.faults:
                self.faults -= 1
                raise LookupError("a fault")
            ticked.append((self.name, now))
            self.due = None

    deadlines.add(Faulty("broken", 2))
    deadlines.add(Faulty("sound", 0))
    with pytest.raises(LookupError):
        deadlines.tick(1.0)
    deadlines.tick(1.0)
    assert ticked == [("sound", 1.0)]
    with pytest.raises(LookupError):
        deadlines.tick(2.0)
    deadlines.tick(3.0)
    assert ticked == [("sound", 1.0), ("broken", 3.0)]
    assert len(deadlines) == 0
