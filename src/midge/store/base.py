"""What a store is, and the rows that it keeps.

The broker's memory is the truth; a store is its image on disk. Each turn of the broker leaves
:class:`~midge.store.journal.Changes`, a store writes them as one transaction, and what must not be
said before it is safe waits for that. A store is read as a whole when the broker starts
(:class:`Contents`), and in pages where a queue is longer than memory should hold.

Times are seconds since 1970, since they outlive the clock that the broker lives by; the journal
translates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from midge.errors import MidgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midge.store.journal import Changes

#: A delivery that waits for credit.
QUEUED: Final = 0
#: PUBLISH was sent, PUBACK or PUBREC is outstanding.
SENT: Final = 1
#: PUBREC came, PUBCOMP is outstanding (QoS 2).
RELEASED: Final = 2
#: Waits in a queue, out of the order of its numbers: it has a priority, was delayed, or was given
#: to a consumer before; such messages are always in memory.
HELD: Final = 3


class StoreError(MidgeError):
    """The store cannot do what it was asked to; nothing that was safe before is lost.

    Attributes:
        full: the disk is full, so that it may pass by itself.
        busy: another process has the file, for a moment most likely.
    """

    def __init__(self, text: str, full: bool = False, busy: bool = False) -> None:
        super().__init__(text)
        self.full = full
        self.busy = busy


class SessionRow(NamedTuple):
    """A lasting session.

    Attributes:
        key: its number, never used again for another one.
        connected: it had a connection when this was written.
        ends_at: when it expires without one; ``None``: never, or it is connected.
        will_at: when its will is due; ``None`` while it is connected, or without a will.
        will_topic: ``None`` where it has no will.
        will_properties: as on the wire, their length before them.
    """

    key: int
    client_id: str
    username: str | None
    expiry_s: int
    connected: bool
    ends_at: float | None
    will_at: float | None
    will_topic: str | None
    will_payload: bytes
    will_qos: int
    will_retain: bool
    will_properties: bytes


class SubscriptionRow(NamedTuple):
    """A subscription of a lasting session; ``filter`` with its ``$share`` part.

    Attributes:
        owed: some of its retained messages have not been sent yet.
    """

    session: int
    filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    retain_handling: int
    identifier: int
    owed: bool = False


class MessageRow(NamedTuple):
    """A message, once, for however many sessions it waits.

    Attributes:
        properties: those that travel with it, as on the wire, without their length.
        expires_at: ``None`` where it does not expire.
    """

    id: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: bytes
    expires_at: float | None
    origin: str


class DeliveryRow(NamedTuple):
    """A message on its way to one session.

    Attributes:
        seq: rises with every delivery of the store; the order within a session.
        ids: subscription identifiers, in decimal with commas between.
        packet_id: 0 while it is queued; of a message in a queue, how often it was given out.
        state: :data:`QUEUED`, :data:`SENT`, :data:`RELEASED` or :data:`HELD`.
        priority: in a queue, the higher the sooner.
        ready_at: in a queue, when its delay ends; ``None`` without one.
    """

    session: int
    seq: int
    message: int
    qos: int
    retain: bool
    ids: str
    packet_id: int
    state: int
    priority: int = 0
    ready_at: float | None = None


class QueueRow(NamedTuple):
    """A queue, or a shared subscription with a lasting member; its messages are deliveries.

    Attributes:
        key: from the same numbers as those of sessions.
        name: of a shared subscription, ``$share/GROUP/FILTER``.
        settings: see :mod:`midge.config.queue_settings`.
        given: the number of the last delivery that was given to a consumer.
    """

    key: int
    name: str
    settings: str
    given: int = 0


class Contents:
    """All of a store but the queues, of which the first page is here.

    Attributes:
        sessions, subscriptions: as rows.
        incoming: session and packet identifier of QoS 2 messages that were taken.
        deliveries: those in flight, then the first page of those queued, by session and order.
        queues: as rows; their messages are among the deliveries.
        queued: by session or queue, how many are queued in all, and their bytes (topic and
            payload).
        messages: those that the deliveries here and the retained topics name, by id.
        retained: topic to message id.
        next_session, next_message, next_seq: numbers that were never used.
    """

    __slots__ = (
        "deliveries",
        "incoming",
        "messages",
        "next_message",
        "next_seq",
        "next_session",
        "queued",
        "queues",
        "retained",
        "sessions",
        "subscriptions",
    )

    def __init__(self) -> None:
        self.sessions: list[SessionRow] = []
        self.subscriptions: list[SubscriptionRow] = []
        self.incoming: list[tuple[int, int]] = []
        self.deliveries: list[DeliveryRow] = []
        self.queued: dict[int, tuple[int, int]] = {}
        self.queues: list[QueueRow] = []
        self.messages: dict[int, MessageRow] = {}
        self.retained: dict[str, int] = {}
        self.next_session = 1
        self.next_message = 1
        self.next_seq = 1


class Store(Protocol):
    """Keeps changes. Only :meth:`commit` may be called in another thread, once at a time."""

    def read(self, page: int) -> Contents:
        """All that is kept; ``page``: how many queued deliveries of each session."""
        ...

    def page(
        self, session: int, after: int, limit: int
    ) -> list[tuple[DeliveryRow, MessageRow | None]]:
        """Committed queued deliveries of a session behind the one numbered ``after``.

        With each its message; ``None`` where that is damaged.

        Raises:
            StoreError: they cannot be read.
        """
        ...

    def write(self, changes: Changes) -> Iterator[None]:
        """Put changes into the open transaction, in steps that are short and do not wait.

        The iterator must be run to its end before :meth:`commit`.

        Raises:
            StoreError: from a step: nothing of it was written, it may be tried again from the
                start.
        """
        ...

    def commit(self) -> None:
        """Make safe what was written. Waits for the disk, with the interpreter's lock released.

        Raises:
            StoreError: nothing of it is safe: it must be written again.
        """
        ...

    def has_leftovers(self) -> bool:
        """Whether what ended still has rows: writing a batch, even an empty one, removes some."""
        ...

    def close(self) -> None:
        """Give the file up; what was not committed is lost."""
        ...
