"""Where the broker core asks its authorizer: who of those who subscribed may have a message.

A subscription says what a client wants, the rules say what it may have, and only what both allow is
delivered. The router remembers the receivers of a topic, so this is asked once for each topic and
subscriber, and again when the rules change: see :meth:`midge.broker.broker.Broker.set_rules`.

Not here: whether a client may publish or subscribe at all; its link asks that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.auth.base import ALLOW, DELIVER, RETAIN, Authorizer, Identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midge.broker.queue import Queue
    from midge.broker.session import Session, Subscription
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


def entitled(
    authorizer: Authorizer, topic: str, subscriptions: list[Subscription]
) -> list[Subscription]:
    """Those of the matching subscriptions whose session may have the topic, in their order."""
    return [one for one in subscriptions if may_get(authorizer, one.session, topic)]


def barred(authorizer: Authorizer, topic: str, groups: Iterable[Queue]) -> frozenset[Session]:
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
