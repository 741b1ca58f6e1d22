"""What waits in a queue, against sorting: the next, the least, and a look that changes nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from midge.broker.queue_item import Item
from midge.broker.queue_ready import Ready
from midge.message import Message
from midge.testing.pair import World

#: Priority, whether it was given out before, and when it is ready (0: it is).
ENTRIES = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 1, 5, 9]), st.booleans(), st.sampled_from([0, 0, 3, 7])),
    max_size=30,
)
QUEUE = World().broker.queues.need("jobs")


def filled(entries: list[tuple[int, bool, int]]) -> tuple[Ready, list[Item]]:
    ready = Ready()
    items = []
    for serial, (priority, before, ready_at) in enumerate(entries):
        item = Item(QUEUE, Message("t", b"%d" % serial), 1, serial)
        item.priority = priority
        item.ready_at = float(ready_at)
        ready.counted(item.message)
        if priority or ready_at or before:
            ready.insert(item)
        else:
            ready.fifo.append(item)
        items.append(item)
    return ready, items


def in_turn(items: list[Item]) -> list[Item]:
    due = [item for item in items if not item.ready_at]
    return sorted(due, key=lambda item: (-item.priority, item.serial))


@given(ENTRIES, st.integers(1, 40))
def test_what_is_looked_at_is_what_comes_next(
    entries: list[tuple[int, bool, int]], limit: int
) -> None:
    ready, items = filled(entries)
    now, later = ready.peek(limit)
    assert now == in_turn(items)[:limit]
    delayed = [item for item in items if item.ready_at]
    assert later == sorted(delayed, key=lambda item: (item.ready_at, item.serial))[:limit]
    taken = []
    while (item := ready.pop()) is not None:
        taken.append(item)
    assert taken == in_turn(items)
    while ready.pop_delayed() is not None:
        pass
    assert (ready.count, ready.bytes, ready.anything()) == (0, 0, False)


@given(ENTRIES, st.integers(0, 9))
def test_what_goes_first_when_there_is_no_room_is_the_oldest_of_the_lowest_priority(
    entries: list[tuple[int, bool, int]], priority: int
) -> None:
    ready, items = filled(entries)
    wanted = sorted(in_turn(items), key=lambda item: (item.priority, item.serial))
    taken = []
    while (item := ready.pop_least(priority)) is not None:
        taken.append(item)
    assert taken == [item for item in wanted if item.priority <= priority]


@given(ENTRIES)
def test_messages_that_are_numbered_anew_keep_their_turns(
    entries: list[tuple[int, bool, int]],
) -> None:
    ready, items = filled(entries)
    before = [item for item in in_turn(items) if item.priority]
    numbers = iter(range(1000, 2000))

    def number(item: Item) -> None:
        item.serial = next(numbers)

    ready.renumber(number)
    assert [item.serial for item in items if item.serial < 1000] == []
    assert ready.peek(100)[0][: len(before)] == before
    assert len(ready.peek(100)[0]) == len(in_turn(items))


@given(ENTRIES, st.integers(1, 10))
def test_what_is_let_go_of_goes_a_part_at_a_time(
    entries: list[tuple[int, bool, int]], limit: int
) -> None:
    ready, items = filled(entries)
    steps = 1
    while ready.discard(limit):
        steps += 1
    assert steps == max(1, -(-len(items) // limit))
    assert not any((ready.fifo, *ready.heaps, ready.delayed))
