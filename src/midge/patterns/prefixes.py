"""Who subscribed to which prefix: counted, and found by the first bytes of a message.

Prefixes are kept in one table and looked up by length, so that a message costs one look for each
length that anybody uses, however many prefixes there are. Real programs use few lengths.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Prefixes(Generic[T]):
    """Prefixes and their owners.

    Attributes:
        lengths: those in use, the shortest first.
        everybody: who has the empty prefix.
    """

    __slots__ = ("_counts", "_owners", "_wanted", "everybody", "lengths")

    def __init__(self) -> None:
        self._owners: dict[bytes, dict[T, int]] = {}
        self._wanted: dict[T, dict[bytes, None]] = {}  # the prefixes of each owner
        self._counts: dict[int, int] = {}  # how many prefixes have a length
        self.lengths: tuple[int, ...] = ()
        self.everybody: dict[T, int] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, prefix: bytes, owner: T) -> bool:
        """Add a subscription; true when nobody had this prefix."""
        owners = self._owners.get(prefix)
        if owners is None:
            owners = self._owners[prefix] = {}
            self._count(len(prefix), 1)
            if not prefix:
                self.everybody = owners
        first = not owners
        owners[owner] = owners.get(owner, 0) + 1
        self._wanted.setdefault(owner, {})[prefix] = None
        return first

    def remove(self, prefix: bytes, owner: T) -> bool | None:
        """Take one subscription back: whether it was the last of all for this prefix.

        ``None`` when the owner had none.
        """
        owners = self._owners.get(prefix)
        if owners is None or owner not in owners:
            return None
        owners[owner] -= 1
        if owners[owner]:
            return False
        del owners[owner]
        wanted = self._wanted[owner]
        del wanted[prefix]
        if not wanted:
            del self._wanted[owner]
        if owners:
            return False
        del self._owners[prefix]
        self._count(len(prefix), -1)
        if not prefix:
            self.everybody = {}
        return True

    def remove_all(self, owner: T) -> list[bytes]:
        """The owner is gone; returns the prefixes that nobody has any more."""
        gone = []
        for prefix in list(self._wanted.get(owner, ())):
            owners = self._owners[prefix]
            owners[owner] = 1
            if self.remove(prefix, owner):
                gone.append(prefix)
        return gone

    def of(self, owner: T) -> list[bytes]:
        """The prefixes of one owner, each once."""
        return list(self._wanted.get(owner, ()))

    def owners(self, prefix: bytes | None = None) -> list[T]:
        """Who has a prefix, or any."""
        return list(self._wanted if prefix is None else self._owners.get(prefix, ()))

    def _count(self, length: int, by: int) -> None:
        count = self._counts.get(length, 0) + by
        if count:
            self._counts[length] = count
        else:
            del self._counts[length]
        self.lengths = tuple(sorted(self._counts))

    def match(self, head: bytes) -> dict[T, int]:
        """Who subscribed to what ``head`` begins with; not to be changed."""
        found: dict[T, int] | None = None
        own = False  # a table of our own, which may be added to
        for length in self.lengths:
            if length > len(head):
                break
            owners = self._owners.get(bytes(head[:length]))
            if owners is None:
                continue
            if found is None:
                found = owners
            else:
                if not own:
                    found = dict(found)
                    own = True
                found.update(owners)
        return {} if found is None else found

    def matches(self, head: bytes) -> bool:
        """Whether anybody subscribed to what ``head`` begins with."""
        owners = self._owners
        for length in self.lengths:
            if length > len(head):
                return False
            if bytes(head[:length]) in owners:
                return True
        return False
