"""What the broker asks before it lets somebody in or do something, and the answers it gets.

Two questions, two small protocols that anybody may implement. An :class:`Authenticator` is asked
once a connection: is this client who it says? An :class:`Authorizer` is asked whenever a client
publishes, subscribes, leaves a will, or is about to be given a message. It is not asked about
unsubscribing, which takes nothing from anybody; Mosquitto 2.1 asks only plugins about that.

The answer is a :class:`Decision`: a value, given at once. Who cannot decide at once (a password to
be hashed elsewhere, a question over HTTP, a coroutine) answers with a :class:`Pending`, keeps it,
and settles it later, in the thread of the broker. Until then that client waits, and nobody else. So
the core has no ``await``, and nobody who decides can hold up the loop.

Not here: files, hashes, tokens, HTTP. Each is an implementation with a module of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from midge.message import NEVER
from midge.mqtt.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

#: It is allowed.
ALLOW: Final = 0
#: It is refused.
DENY: Final = 1
#: It is not decided yet; the decision is a :class:`Pending`.
PENDING: Final = 2
#: Whoever was asked has no opinion, and the next one is asked; where there is none, it is refused.
PASS: Final = 3

#: A client sends a message to a topic.
PUBLISH: Final = 1
#: A client is about to be given a message of a topic.
DELIVER: Final = 2
#: A client asks for the messages of a filter.
SUBSCRIBE: Final = 3
#: A client gives up a filter; nobody is asked today, but an authorizer should have an answer.
UNSUBSCRIBE: Final = 4
#: A client names the topic of the message that is sent when it is gone.
WILL: Final = 5

#: A message that a client had retained is about to be given to others.
RETAIN: Final = 6

#: The :attr:`Identity.proof` of a client whose certificate says who it is; no password is asked.
CERTIFICATE: Final = "certificate"

#: The actions by name, for log lines.
ACTION_NAMES: Final = ("", "publish", "deliver", "subscribe", "unsubscribe", "will", "retain")


class Identity:
    """Who a client says it is, and how it came in.

    Attributes:
        client_id: its client id, the one that the broker made included.
        username: its user name; ``None`` when it gave none. An authenticator may set it.
        address: where it connects from.
        listener: the port or path of the listener that it came in by.
        anonymous_allowed: that listener lets in those who cannot say who they are.
        claims: what else is known about it, by name; an authenticator may set it for an
            authorizer to read.
        proof: by what it was let in, for its authenticator to ask again after a reload.
        valid_until: when that is no longer good, on the broker's clock; the connection ends then.
    """

    __slots__ = (
        "address",
        "anonymous_allowed",
        "claims",
        "client_id",
        "listener",
        "proof",
        "username",
        "valid_until",
    )

    def __init__(
        self,
        client_id: str,
        username: str | None = None,
        address: str = "",
        listener: str = "",
        anonymous_allowed: bool = True,
    ) -> None:
        self.client_id = client_id
        self.username = username
        self.address = address
        self.listener = listener
        self.anonymous_allowed = anonymous_allowed
        self.claims: dict[str, object] | None = None
        self.proof: object = None
        self.valid_until = NEVER

    def __repr__(self) -> str:
        return f"Identity({self.client_id!r}, {self.username!r}, {self.address!r})"


class Decision:
    """An answer.

    Attributes:
        outcome: ``ALLOW``, ``DENY``, ``PENDING`` or ``PASS``.
        reason: with ``DENY``, the reason code that the client is told (MQTT 5.0 section 2.4).
        text: with ``DENY``, for the log: which rule refuses it and what line would allow it.
    """

    __slots__ = ("outcome", "reason", "text")

    def __init__(
        self, outcome: int, text: str = "", reason: int = int(Reason.NOT_AUTHORIZED)
    ) -> None:
        self.outcome = outcome
        self.reason = reason
        self.text = text

    def __repr__(self) -> str:
        name = ("ALLOW", "DENY", "PENDING", "PASS")[self.outcome]
        return f"{type(self).__name__}({name}, {self.text!r}, {self.reason:#04x})"


#: The one decision that allows.
ALLOWED: Final = Decision(ALLOW)

#: The same, from whoever goes by rules alone: it stays so for as long as the rules stay, and a link
#: need not ask again.
ALLOWED_BY_RULES: Final = Decision(ALLOW)


def deny(text: str, reason: int = int(Reason.NOT_AUTHORIZED)) -> Decision:
    """A decision that refuses, and says why."""
    return Decision(DENY, text, reason)


class Pending(Decision):
    """A decision that will be made later.

    Whoever gives it keeps it and calls :meth:`settle` once, in the thread of the broker and in a
    bounded time. Whoever gets it says with :meth:`wait` what is to happen then.

    Attributes:
        settled: the decision that was made; ``None`` while there is none.
    """

    __slots__ = ("_waiter", "settled")

    def __init__(self) -> None:
        super().__init__(PENDING)
        self.settled: Decision | None = None
        self._waiter: Callable[[Decision, float], None] | None = None

    def wait(self, waiter: Callable[[Decision, float], None]) -> None:
        """Have ``waiter`` called with the decision and the time when it is made.

        It is never called from here, so that what follows runs in one order only: a decision that
        was settled meanwhile is found in :attr:`settled` before waiting.
        """
        self._waiter = waiter

    def cancel(self) -> None:
        """Nobody waits any more: the client has gone. A decision that still comes is dropped."""
        self._waiter = None

    def is_awaited(self) -> bool:
        """Whether anybody waits for it."""
        return self._waiter is not None

    def settle(self, decision: Decision, now: float) -> None:
        """Make the decision; ``now`` is the time on the broker's clock.

        Raises:
            ValueError: it is made already, or ``decision`` is pending itself.
        """
        if self.settled is not None:
            raise ValueError("this decision has been made already")
        if decision.outcome == PENDING:
            raise ValueError("a pending decision cannot settle another one")
        self.settled = decision
        waiter = self._waiter
        self._waiter = None
        if waiter is not None:
            waiter(decision, now)


class Authenticator(Protocol):
    """Decides who may come in."""

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        """Decide whether ``client`` is who it says. Must return at once.

        Args:
            client: the user name and the claims may be set before the decision is made.
            password: as it came, complete; ``None`` when it gave none.

        Returns:
            The decision; a denial is told as its ``reason`` in CONNACK, as the return code 4 or 5
            before MQTT 5.0.
        """
        ...


class Authorizer(Protocol):
    """Decides who may do what."""

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        """Decide whether ``client`` may do something. Must return at once.

        The answer may depend on nothing but the arguments and the rules: the broker remembers it
        for as long as the rules stay.

        Args:
            client: who it is; it need not be connected when a message is for its session.
            action: one of ``PUBLISH``, ``DELIVER``, ``SUBSCRIBE``, ``UNSUBSCRIBE``, ``WILL`` and
                ``RETAIN``.
            topic: the name of the topic; for ``SUBSCRIBE`` and ``UNSUBSCRIBE`` the filter, without
                the ``$share`` part.

        Returns:
            The decision; for ``DELIVER`` and ``RETAIN`` it must not be pending.
        """
        ...


class AnonymousOnly:
    """The authenticator of a broker that has no source of credentials.

    Nobody can prove anything here, so everybody is anonymous, with a user name or without: the
    listener lets in all or none, as Mosquitto does without a password file or plugin.
    """

    __slots__ = ()

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        """See :meth:`Authenticator.authenticate`."""
        if client.anonymous_allowed:
            return ALLOWED
        return deny(
            f"listener {client.listener} does not let in anonymous clients, and there is no source "
            "of credentials; 'allow_anonymous true' would let everybody in"
        )
