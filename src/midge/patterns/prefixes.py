"""Prefixes and who wants them: found by the first bytes of a message.

Prefixes are kept in one table and looked up by length, so that a message costs one look for each
length that anybody uses, however many prefixes there are. Real programs use few lengths.

A publisher keeps :class:`Prefixes`: each peer has a prefix or has it not, because a subscriber
tells every wish for one, but only the last cancel. The subscriber counts, in :class:`Wanted`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Final, Generic, TypeVar

from midge.limits import ZMQ_PREFIX_BYTES_MAX, ZMQ_PREFIXES_MAX
from midge.zmtp.frames import Buffer

T = TypeVar("T", bound=Hashable)

#: What adding a prefix for an owner did.
FIRST: Final = 3  # nobody had it
FURTHER: Final = 2  # others had it, this owner had not
AGAIN: Final = 1  # this owner had it
REFUSED: Final = 0  # this owner has too many

#: What removing one did.
LAST: Final = 3  # nobody has it any more
SHARED: Final = 2  # others have it
UNKNOWN: Final = 0  # this owner had it not

_NOBODY: Final[dict[Any, None]] = {}


class Lengths:
    """Which lengths the prefixes of a table have.

    Attributes:
        lengths: those in use, the shortest first.
    """

    __slots__ = ("_counts", "lengths")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}  # how many prefixes have a length
        self.lengths: tuple[int, ...] = ()

    def _count_in(self, length: int) -> None:
        counts = self._counts
        if length in counts:
            counts[length] += 1
        else:
            counts[length] = 1
            self.lengths = tuple(sorted(counts))

    def _count_out(self, length: int) -> None:
        counts = self._counts
        counts[length] -= 1
        if not counts[length]:
            del counts[length]
            self.lengths = tuple(sorted(counts))


class Prefixes(Lengths, Generic[T]):
    """Prefixes and their owners.

    Attributes:
        everybody: who has the empty prefix.
        table: who has each prefix; to look into, not to change.
    """

    __slots__ = ("_bytes", "_of", "everybody", "table")

    def __init__(self) -> None:
        super().__init__()
        self.table: dict[bytes, dict[T, None]] = {}
        self._of: dict[T, dict[bytes, None]] = {}  # the prefixes of each owner
        self._bytes: dict[T, int] = {}  # and how long they are together
        self.everybody: dict[T, None] = {}

    def __len__(self) -> int:
        return len(self.table)

    def add(self, prefix: bytes, owner: T) -> int:
        """Let an owner have a prefix: FIRST, FURTHER, AGAIN or REFUSED.

        How many one owner may have, and how many bytes, is bounded: owners are strangers.
        """
        mine = self._of.get(owner)
        if mine is None:
            mine = self._of[owner] = {}
            self._bytes[owner] = 0
        elif prefix in mine:
            return AGAIN
        size = self._bytes[owner] + len(prefix)
        if size > ZMQ_PREFIX_BYTES_MAX or len(mine) >= ZMQ_PREFIXES_MAX:
            return REFUSED
        self._bytes[owner] = size
        mine[prefix] = None
        owners = self.table.get(prefix)
        if owners is not None:
            owners[owner] = None
            return FURTHER
        owners = self.table[prefix] = {owner: None}
        self._count_in(len(prefix))
        if not prefix:
            self.everybody = owners
        return FIRST

    def remove(self, prefix: bytes, owner: T) -> int:
        """Take a prefix from an owner: LAST, SHARED or UNKNOWN."""
        mine = self._of.get(owner)
        if mine is None or prefix not in mine:
            return UNKNOWN
        del mine[prefix]
        self._bytes[owner] -= len(prefix)
        if not mine:
            del self._of[owner]
            del self._bytes[owner]
        owners = self.table[prefix]
        del owners[owner]
        if owners:
            return SHARED
        del self.table[prefix]
        self._count_out(len(prefix))
        if not prefix:
            self.everybody = {}
        return LAST

    def remove_all(self, owner: T) -> list[bytes]:
        """The owner is gone; returns the prefixes that nobody has any more."""
        return [prefix for prefix in self.of(owner) if self.remove(prefix, owner) == LAST]

    def of(self, owner: T) -> list[bytes]:
        """The prefixes of one owner, the oldest first."""
        return list(self._of.get(owner, ()))

    def owners(self, prefix: bytes | None = None) -> list[T]:
        """Who has a prefix, or any."""
        return list(self._of if prefix is None else self.table.get(prefix, ()))

    def exactly(self, prefix: bytes) -> dict[T, None]:
        """Who has this very prefix; not to be changed."""
        return self.table.get(prefix, _NOBODY)

    def match(self, head: Buffer) -> dict[T, None]:
        """Who has a prefix that ``head`` begins with, each once; not to be changed."""
        lengths = self.lengths
        if not lengths:
            return _NOBODY
        start = head if type(head) is bytes else bytes(head[: lengths[-1]])
        table = self.table
        size = len(start)
        found: dict[T, None] | None = None
        own = False  # a table of our own, which may be added to
        for length in lengths:
            if length > size:
                break
            owners = table.get(start[:length])
            if owners is None:
                continue
            if found is None:
                found = owners
            elif own:
                found.update(owners)
            else:
                found = {**found, **owners}
                own = True
        return _NOBODY if found is None else found


class Wanted(Lengths):
    """What one subscriber wants: prefixes, counted.

    Attributes:
        times: how often each is wanted; to look into, not to change.
    """

    __slots__ = ("times",)

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.times)

    def add(self, prefix: bytes) -> bool:
        """Want a prefix once more; true when it was not wanted before."""
        times = self.times.get(prefix, 0)
        self.times[prefix] = times + 1
        if times:
            return False
        self._count_in(len(prefix))
        return True

    def remove(self, prefix: bytes) -> int:
        """Want it once less: LAST, SHARED (with an earlier wish of the same) or UNKNOWN."""
        times = self.times.get(prefix, 0)
        if not times:
            return UNKNOWN
        if times > 1:
            self.times[prefix] = times - 1
            return SHARED
        del self.times[prefix]
        self._count_out(len(prefix))
        return LAST

    def matches(self, head: Buffer) -> bool:
        """Whether a message that begins with ``head`` is wanted."""
        lengths = self.lengths
        if not lengths:
            return False
        start = head if type(head) is bytes else bytes(head[: lengths[-1]])
        wanted = self.times
        size = len(start)
        for length in lengths:
            if length > size:
                return False
            if start[:length] in wanted:
                return True
        return False
