"""Where the broker core asks its authorizer: who of those who subscribed may have a message.

A subscription says what a client wants, the rules say what it may have, and only what both allow is
delivered. The router remembers the receivers of a topic, so this is asked once for each topic and
subscriber, and again when the rules change: see :meth:`midge.broker.broker.Broker.set_rules`.

Messages of a named queue are given to whoever takes from it, whatever topics they came by: so who
takes must be allowed to read the queue itself, ``$queue/NAME``. What waits for a shared
subscription is looked at again when it is given, for the members may be others by then.

Not here: whether a client may publish or subscribe at all; its link asks that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.auth.base import ALLOW, DELIVER, RETAIN, Authorizer, Identity
from midge.topics.filters import queue_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midge.broker.session import Session, Subscription
    from midge.broker.taker import Taker
    from midge.message import Message

#: Nobody is barred, which is so for nearly all shared subscriptions.
NOBODY: Final[frozenset[Session]] = frozenset()


def identity_of(session: Session) -> Identity:
    """As whom a session is judged; one that came from a store has only its names."""
    identity = session.identity
    if identity is None:
        session.identity = identity = Identity(session.client_id, session.username)
    return identity


def may_get(authorizer: Authorizer, session: Session, topic: str) -> bool:
    """Whether a session may be given the messages of a topic."""
    return authorizer.authorize(identity_of(session), DELIVER, topic).outcome == ALLOW


def why_not_get(authorizer: Authorizer | None, session: Session, topic: str) -> str:
    """Why a session may not be given the messages of a topic; empty where it may."""
    if authorizer is None:
        return ""
    decision = authorizer.authorize(identity_of(session), DELIVER, topic)
    return "" if decision.outcome == ALLOW else decision.text or "not authorised"


def forbidden_queues(authorizer: Authorizer, session: Session) -> list[str]:
    """The named queues, as filters, that a session takes from and may not read."""
    if not session.outbox.consumers:
        return []
    return [
        filter
        for filter in session.subscriptions
        if queue_name(filter) is not None and not may_get(authorizer, session, filter)
    ]


def entitled(
    authorizer: Authorizer, topic: str, subscriptions: list[Subscription]
) -> list[Subscription]:
    """Those of the matching subscriptions whose session may have the topic, in their order."""
    return [one for one in subscriptions if may_get(authorizer, one.session, topic)]


def barred(authorizer: Authorizer, topic: str, groups: Iterable[Taker]) -> frozenset[Session]:
    """The members of shared subscriptions that must not be chosen for a topic."""
    return frozenset(
        member.session
        for group in groups
        for member in group.members
        if not may_get(authorizer, member.session, topic)
    )


def retained_for(
    authorizer: Authorizer,
    session: Session,
    messages: list[Message],
    sources: dict[str, Identity] | None,
) -> list[Message]:
    """Those of the retained messages that a new subscription of a session is given.

    Args:
        sources: who published them, by topic, where it matters whether they still may
            (``check_retain_source``). A message whose publisher is not known is not held back.
    """
    found = []
    for message in messages:
        topic = message.topic
        if not may_get(authorizer, session, topic):
            continue
        source = None if sources is None else sources.get(topic)
        if source is None or authorizer.authorize(source, RETAIN, topic).outcome == ALLOW:
            found.append(message)
    return found
