"""Subscriptions by prefix, as ZeroMQ has them: topics that begin with some bytes.

A topic is looked up once for each length that a prefix has, however many prefixes there are; the
router remembers the outcome with the topic's other receivers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midge.broker.session import Session, Subscription


class PrefixSubscriptions:
    """Who wants which prefixes.

    Attributes:
        count: prefixes of all sessions together.
    """

    __slots__ = ("_by_prefix", "_lengths", "count")

    def __init__(self) -> None:
        self._by_prefix: dict[bytes, dict[Session, Subscription]] = {}
        self._lengths: dict[int, int] = {}
        self.count = 0

    def add(self, prefix: bytes, subscription: Subscription) -> None:
        """A session wants a prefix; once, however often it says so."""
        wanted = self._by_prefix.get(prefix)
        if wanted is None:
            wanted = self._by_prefix[prefix] = {}
            self._lengths[len(prefix)] = self._lengths.get(len(prefix), 0) + 1
        if subscription.session not in wanted:
            wanted[subscription.session] = subscription
            self.count += 1

    def remove(self, prefix: bytes, session: Session) -> None:
        """A session wants a prefix no more."""
        wanted = self._by_prefix.get(prefix)
        if wanted is None or wanted.pop(session, None) is None:
            return
        self.count -= 1
        if not wanted:
            del self._by_prefix[prefix]
            left = self._lengths[len(prefix)] - 1
            if left:
                self._lengths[len(prefix)] = left
            else:
                del self._lengths[len(prefix)]

    def match(self, frame: bytes, hidden: bool) -> list[Subscription]:
        """One subscription of each session that wants a prefix of ``frame``.

        Args:
            frame: the topic as subscribers get it (:func:`midge.topics.frames.frame_of`).
            hidden: it begins with ``$``, so that it is only for prefixes that do.
        """
        found: dict[Session, Subscription] = {}
        for length in self._lengths:
            if length <= len(frame) and (length or not hidden):
                wanted = self._by_prefix.get(frame[:length])
                if wanted is not None:
                    found.update(wanted)
        return list(found.values())
