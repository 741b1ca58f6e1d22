"""Prefix tables against the plain definition: a prefix is what a message begins with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from midge.patterns import prefixes
from midge.patterns.prefixes import (
    AGAIN,
    FIRST,
    FURTHER,
    LAST,
    REFUSED,
    SHARED,
    UNKNOWN,
    Prefixes,
    Wanted,
)

words = st.text("ab", max_size=4).map(str.encode)
owners = st.integers(0, 2)


class PrefixTable(RuleBasedStateMachine):
    """What is told and found must be what a plain set of pairs says."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Prefixes[int] = Prefixes()
        self.model: set[tuple[bytes, int]] = set()

    @rule(prefix=words, owner=owners)
    def add(self, prefix: bytes, owner: int) -> None:
        if (prefix, owner) in self.model:
            wanted = AGAIN
        else:
            wanted = FURTHER if any(one == prefix for one, _ in self.model) else FIRST
        assert self.table.add(prefix, owner) == wanted
        self.model.add((prefix, owner))

    @rule(prefix=words, owner=owners)
    def remove(self, prefix: bytes, owner: int) -> None:
        known = (prefix, owner) in self.model
        self.model.discard((prefix, owner))
        others = any(one == prefix for one, _ in self.model)
        wanted = (SHARED if others else LAST) if known else UNKNOWN
        assert self.table.remove(prefix, owner) == wanted

    @rule(owner=owners)
    def remove_all(self, owner: int) -> None:
        mine = {prefix for prefix, one in self.model if one == owner}
        self.model = {pair for pair in self.model if pair[1] != owner}
        left = {prefix for prefix, _ in self.model}
        assert set(self.table.of(owner)) == mine
        assert set(self.table.remove_all(owner)) == mine - left

    @rule(head=words, rest=st.binary(max_size=2), buffer=st.booleans())
    def match(self, head: bytes, rest: bytes, buffer: bool) -> None:
        message = head + rest
        wanted = {owner for prefix, owner in self.model if message.startswith(prefix)}
        found = self.table.match(memoryview(message) if buffer else message)  # type: ignore[arg-type]
        assert set(found) == wanted

    @rule(prefix=words)
    def look(self, prefix: bytes) -> None:
        wanted = {owner for one, owner in self.model if one == prefix}
        assert set(self.table.exactly(prefix)) == set(self.table.owners(prefix)) == wanted

    @invariant()
    def counts(self) -> None:
        used = {prefix for prefix, _ in self.model}
        assert len(self.table) == len(used)
        assert self.table.lengths == tuple(sorted({len(prefix) for prefix in used}))
        assert set(self.table.everybody) == {owner for prefix, owner in self.model if not prefix}
        assert set(self.table.owners()) == {owner for _, owner in self.model}


TestPrefixTable = PrefixTable.TestCase


@given(st.lists(st.tuples(st.booleans(), words), max_size=30), st.lists(words, max_size=5))
def test_wishes_are_counted(steps: list[tuple[bool, bytes]], heads: list[bytes]) -> None:
    wanted, model = Wanted(), dict[bytes, int]()
    for more, prefix in steps:
        times = model.get(prefix, 0)
        if more:
            assert wanted.add(prefix) == (times == 0)
            model[prefix] = times + 1
        else:
            assert wanted.remove(prefix) == (UNKNOWN, LAST, SHARED)[min(times, 2)]
            model[prefix] = max(times - 1, 0)
        model = {prefix: times for prefix, times in model.items() if times}
        assert list(wanted) == list(model)
        assert len(wanted) == len(model)
        for head in heads:
            assert wanted.matches(head) == any(map(head.startswith, model))
            assert wanted.matches(memoryview(head)) == wanted.matches(head)  # type: ignore[arg-type]


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_what_one_owner_may_have_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "ZMQ_PREFIXES_MAX", 3)
    monkeypatch.setattr(prefixes, "ZMQ_PREFIX_BYTES_MAX", 10)
    table: Prefixes[str] = Prefixes()
    assert [table.add(prefix, "ann") for prefix in (b"", b"a", b"b")] == [FIRST] * 3
    assert table.add(b"c", "ann") == REFUSED
    assert table.add(b"a", "ann") == AGAIN
    assert table.add(b"c", "bob") == FIRST
    assert table.remove(b"a", "ann") == LAST
    assert table.add(b"123456789", "ann") == FIRST
    table.remove(b"", "ann")
    assert table.add(b"x", "ann") == REFUSED
    table.remove_all("ann")
    assert table.add(b"1234567890", "ann") == FIRST
    assert table.add(b"1", "ann") == REFUSED
