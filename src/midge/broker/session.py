"""What the broker knows of a client beyond its connection (MQTT 5.0 section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.broker.delivery import NO_IDS
from midge.broker.outbox import Outbox
from midge.mqtt.inflight import Incoming

if TYPE_CHECKING:
    from midge.auth.base import Identity
    from midge.broker.groups import Group
    from midge.broker.link import Link
    from midge.broker.sessions import Absence
    from midge.mqtt.packets import Will

#: A session expiry interval of this does not expire (section 3.1.2.11.2).
EXPIRES_NEVER: Final = 0xFFFFFFFF


class Subscription:
    """One filter of one session, with its options (section 3.8.3.1).

    Attributes:
        filter: as the client gave it, the ``$share`` part included.
        ids: the subscription identifier, as a tuple of none or one.
        variant: what decides in which form a message is delivered, as a small int; -1 where an
            identifier makes the form this subscription's own.
        group: the shared subscription that it is a member of.
        owed: the store knows that some of its retained messages have not been sent yet.
    """

    __slots__ = (
        "filter",
        "group",
        "ids",
        "no_local",
        "outbox",
        "owed",
        "qos",
        "retain_as_published",
        "retain_handling",
        "session",
        "variant",
    )

    def __init__(
        self,
        session: Session,
        filter: str,
        qos: int,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        identifier: int = 0,
    ) -> None:
        self.session = session
        self.outbox: Outbox = session.outbox
        self.filter = filter
        self.qos = qos
        self.no_local = no_local
        self.retain_as_published = retain_as_published
        self.retain_handling = retain_handling
        self.ids: tuple[int, ...] = (identifier,) if identifier else NO_IDS
        self.variant = -1 if identifier else qos | retain_as_published << 2
        self.group: Group | None = None
        self.owed = False


class Session:
    """The state of one client: subscriptions, messages under way, its will, its end.

    Attributes:
        client_id: who it is.
        username: as whom it connected, or ``None``.
        identity: the same with all that was found out about it, for who decides what it may do.
        subscriptions: by filter.
        outbox: messages to it.
        incoming: QoS 2 messages from it that are not released yet.
        link: its connection, while there is one.
        key: its number in the store; 0 where it does not outlive the process.
        expiry_s: how long it outlives its connection; ``EXPIRES_NEVER`` for ever.
        will: what is published when the connection is lost.
        absence: what will become due, while there is no connection.
    """

    __slots__ = (
        "absence",
        "client_id",
        "expiry_s",
        "identity",
        "incoming",
        "key",
        "link",
        "outbox",
        "subscriptions",
        "username",
        "will",
    )

    def __init__(self, client_id: str, outbox: Outbox) -> None:
        self.client_id = client_id
        self.username: str | None = None
        self.identity: Identity | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.outbox = outbox
        self.incoming = Incoming()
        self.link: Link | None = None
        self.key = 0
        self.expiry_s = 0
        self.will: Will | None = None
        self.absence: Absence | None = None
