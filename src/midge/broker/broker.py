"""The broker core: it holds the parts together and has no policy of its own.

What should happen outside is noted in three lists, which the shell empties once per turn of its
loop: outboxes with bytes to write (``dirty``), links to close (``ending``), links to read from
again (``released``). Time (``next_deadline``, ``tick``) is the shell's to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker import control
from midge.broker.deadlines import Deadlines
from midge.broker.hooks import Hooks
from midge.broker.metrics import Metrics
from midge.broker.outbox import Outbox
from midge.broker.permission import forbidden_queues
from midge.broker.pressure import Pressure
from midge.broker.router import Router
from midge.broker.session import Session
from midge.broker.sessions import Sessions, publish_will
from midge.limits import HOLD_MAX_S
from midge.mqtt.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.auth.base import Authenticator, Authorizer
    from midge.auth.extended import ExtendedAuthenticator
    from midge.broker.keeper import Keeper
    from midge.broker.link import Link
    from midge.config.settings import Settings


class Broker:
    """Sessions, subscriptions, messages: a broker without sockets, clock or randomness.

    Attributes:
        settings: limits and choices.
        hooks: who looks on.
        new_client_id: makes an id for a client that came without; the shell's randomness.
        authenticator, authorizer: who may come in and who may do what; ``None``: everybody.
        extended: authentication methods with exchanges of their own (AUTH), by name.
        keeper: what outlives the process; ``None`` where nothing does.
        dirty: outboxes with bytes to write.
        queues: the named queues.
        crowd: receivers and queues that their publishers wait for.
        ending: links that are to be closed.
        released: links that may be read from again.
        guests: links of parties that have no session that could outlive them: ZeroMQ's peers.
        fast_lane: plain QoS 0 packets may skip stops; off, everything behaves the same.
    """

    __slots__ = (
        "authenticator",
        "authorizer",
        "crowd",
        "deadlines",
        "dirty",
        "ending",
        "extended",
        "fast_lane",
        "guests",
        "hooks",
        "keeper",
        "metrics",
        "new_client_id",
        "queues",
        "released",
        "router",
        "sessions",
        "settings",
    )

    def __init__(
        self,
        settings: Settings,
        new_client_id: Callable[[], str],
        hooks: Hooks | None = None,
        authenticator: Authenticator | None = None,
        authorizer: Authorizer | None = None,
        extended: dict[str, ExtendedAuthenticator] | None = None,
    ) -> None:
        self.settings = settings
        self.new_client_id = new_client_id
        self.hooks = Hooks() if hooks is None else hooks
        self.authenticator = authenticator
        self.authorizer = authorizer
        self.extended: dict[str, ExtendedAuthenticator] = {} if extended is None else extended
        self.keeper: Keeper | None = None
        self.metrics = Metrics()
        self.dirty: list[Outbox] = []
        self.crowd: dict[Pressure, None] = {}
        self.ending: list[Link] = []
        self.released: list[Link] = []
        self.guests: dict[Link, None] = {}
        self.deadlines = Deadlines()
        self.router = Router(settings, self.metrics, self.crowd, self.deadlines)
        self.queues = self.router.queues
        self.router.authorizer = self.queues.authorizer = authorizer
        self.sessions = Sessions(self)
        self.fast_lane = True
        self.router.subscriptions.add_control(control.TOPIC, control.QueueControl(self))

    def set_rules(self, authenticator: Authenticator | None, authorizer: Authorizer | None) -> None:
        """Ask others from here on; what was remembered of the old rules is dropped.

        Those who are connected stay: whether they still may is for the caller to ask.
        """
        self.authenticator = authenticator
        self.authorizer = authorizer
        self.router.authorizer = self.queues.authorizer = authorizer
        self.router.forget_routes()
        self.router.subscriptions.rules_changed()
        for session in self.sessions.all():
            if authorizer is not None:
                for filter in forbidden_queues(authorizer, session):
                    self.router.unsubscribe(session, filter, 0.0)  # to leave a queue takes no time
            if session.link is not None:
                session.link.rules_changed()
        for guest in list(self.guests):
            guest.rules_changed()

    def keep_with(self, keeper: Keeper) -> None:
        """Keep from here on what outlives the process; before the first client comes."""
        self.keeper = keeper
        self.router.journal = keeper.journal
        self.router.retained.journal = keeper.journal
        self.queues.keeper = keeper

    def publish_will(self, session: Session, now: float) -> None:
        """Publish the will of a session, if it has one."""
        publish_will(self, session, now)

    def shut_down(self, now: float) -> None:
        """Tell every connected client that the server goes away."""
        for session in self.sessions.all():
            if session.link is not None:
                session.link.end(int(Reason.SERVER_SHUTTING_DOWN), "server shutting down")

    def next_deadline(self) -> float | None:
        """When :meth:`tick` must be called at the latest."""
        when = self.deadlines.next()
        for outbox in self.crowd:
            if not outbox.stalled:
                until = outbox.crowded_since + HOLD_MAX_S
                if when is None or until < when:
                    when = until
        return when

    def tick(self, now: float) -> None:
        """Do everything that is due."""
        self.deadlines.tick(now)
        if self.crowd:
            for outbox in list(self.crowd):
                if not outbox.stalled and outbox.crowded_since + HOLD_MAX_S <= now:
                    outbox.give_up_holding()
