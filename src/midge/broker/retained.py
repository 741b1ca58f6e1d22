"""Retained messages: the last one of each topic (MQTT 5.0 section 3.3.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.limits import SLICE_ENTRIES
from midge.message import NEVER, Message
from midge.topics.trie import TopicTree

if TYPE_CHECKING:
    from midge.store.journal import Journal


class Retained:
    """The store of retained messages.

    Attributes:
        bytes: their payload in all.
    """

    __slots__ = ("_expiring", "_tree", "bytes", "journal")

    def __init__(self) -> None:
        self.bytes = 0
        # When the messages that expire do so; to be found without walking the tree.
        self._expiring: dict[str, float] = {}
        self._tree: TopicTree[Message] = TopicTree()
        #: Where changes are noted, if they are to outlive the process.
        self.journal: Journal | None = None

    def __len__(self) -> int:
        return len(self._tree)

    def keep(self, message: Message) -> None:
        """Keep ``message`` in place of its topic's last; an empty payload clears the topic."""
        if self.journal is not None and not message.topic.startswith("$SYS"):
            self._note(self.journal, message)
        if message.payload:
            self._set(message)
        else:
            self._delete(message.topic)

    def _set(self, message: Message) -> None:
        before = self._tree.set(message.topic, message)
        self.bytes += len(message.payload) - (0 if before is None else len(before.payload))
        if message.expires_at != NEVER:
            self._expiring[message.topic] = message.expires_at
        elif self._expiring:
            self._expiring.pop(message.topic, None)

    def _delete(self, topic: str) -> None:
        before = self._tree.delete(topic)
        if before is not None:
            self.bytes -= len(before.payload)
            self._expiring.pop(topic, None)

    def _note(self, journal: Journal, message: Message) -> None:
        previous = self._tree.get(message.topic)
        if message.payload:
            journal.retain(message, previous)
        elif previous is not None:
            journal.drop_retained(message.topic, previous)

    def restore(self, message: Message) -> None:
        """Take a message from the store."""
        self._set(message)

    def get(self, topic: str) -> Message | None:
        """The retained message of one topic."""
        return self._tree.get(topic)

    def matching(self, filter: str, now: float) -> list[Message]:
        """The messages that a filter matches; expired ones are removed [MQTT-3.3.2-5]."""
        found: list[Message] = []
        expired: list[str] = []
        for topic, message in self._tree.match(filter):
            if message.expires_at <= now:
                expired.append(topic)
            else:
                found.append(message)
        for topic in expired:
            if self.journal is not None:
                self.journal.drop_retained(topic, self._tree.get(topic))
            self._delete(topic)
        return found

    def expired(self, now: float) -> list[str]:
        """The topics whose messages have expired."""
        return [topic for topic, when in self._expiring.items() if when <= now]

    def remove_expired(self, topics: list[str], now: float) -> None:
        """Remove some of :meth:`expired`, as many as one step may hold, taking them off the list.

        What was replaced meanwhile stays.
        """
        for topic in topics[-SLICE_ENTRIES:]:
            if self._expiring.get(topic, NEVER) <= now:
                if self.journal is not None:
                    self.journal.drop_retained(topic, self._tree.get(topic))
                self._delete(topic)
        del topics[-SLICE_ENTRIES:]
