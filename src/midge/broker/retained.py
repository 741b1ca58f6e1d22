"""Retained messages: the last one of each topic (MQTT 5.0 section 3.3.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.message import Message
from midge.topics.trie import TopicTree

if TYPE_CHECKING:
    from midge.store.journal import Journal


class Retained:
    """The store of retained messages."""

    __slots__ = ("_tree", "journal")

    def __init__(self) -> None:
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
            self._tree.set(message.topic, message)
        else:
            self._tree.delete(message.topic)

    def _note(self, journal: Journal, message: Message) -> None:
        previous = self._tree.get(message.topic)
        if message.payload:
            journal.retain(message, previous)
        elif previous is not None:
            journal.drop_retained(message.topic, previous)

    def restore(self, message: Message) -> None:
        """Take a message from the store."""
        self._tree.set(message.topic, message)

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
            self._tree.delete(topic)
        return found
