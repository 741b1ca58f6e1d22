"""What the ZeroMQ peers of one listener find there, and which queue each of them means.

The first that names a queue decides: the peer's metadata (``X-Midge-Queue``), its routing id
(``queue/NAME``, or ``queue/NAME/anything``), the path of its WebSocket (``/queue/NAME``), what the
listener has for its user, or what it has for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.auth.base import ALLOWED, PUBLISH, Authorizer, Decision, deny
from midge.broker.permission import why_not_get
from midge.broker.queues import QueueError
from midge.topics.filters import QUEUE_PREFIX
from midge.zmtp.metadata import find_property

if TYPE_CHECKING:
    from midge.broker.session import Session
    from midge.links.zmq import ZmqLink
    from midge.zmtp import events as ev
    from midge.zmtp.settings import Settings

#: The property of a peer's handshake that names its queue.
QUEUE_PROPERTY: Final = "X-Midge-Queue"
#: How a routing id begins that does.
_QUEUE_IDENTITY: Final = b"queue/"
#: The types that take from a queue.
CONSUMERS: Final = ("PULL", "REP", "ROUTER")
#: The types that have to do with topics alone.
WITHOUT_QUEUE: Final = ("SUB", "XSUB", "PUB", "XPUB")


class Place:
    """What the peers of one listener find.

    Attributes:
        settings: how we present ourselves; the socket type is ``ANY``.
        queue: what they put into and take from, if they say nothing else; empty for none.
        user_queues: the same for some users.
        users_by_key: who has which CURVE key, by its 32 bytes.
    """

    __slots__ = ("queue", "settings", "user_queues", "users_by_key")

    def __init__(
        self,
        settings: Settings,
        queue: str = "",
        user_queues: dict[str, str] | None = None,
        users_by_key: dict[bytes, str] | None = None,
    ) -> None:
        self.settings = settings
        self.queue = queue
        self.user_queues = {} if user_queues is None else user_queues
        self.users_by_key = {} if users_by_key is None else users_by_key


def queue_for(link: ZmqLink, event: ev.Ready) -> str:
    """The name of what a peer puts into or takes from; empty for one that has to do with topics.

    Raises:
        QueueError: it needs one, and nothing names it.
    """
    if event.socket_type in WITHOUT_QUEUE:
        return ""
    name = _name_of(link, event)
    if not name:
        raise QueueError(
            f"a {event.socket_type} needs a queue, and nothing names one: zmtp_queue, "
            f"zmtp_user_queue, a WebSocket's path /queue/NAME, a routing id queue/NAME, or "
            f"{QUEUE_PROPERTY}"
        )
    return name


def may_use(
    authorizer: Authorizer | None, link: ZmqLink, session: Session, kind: str, name: str
) -> Decision:
    """Whether a peer may use this queue; only then it is made, where there is none of that name."""
    if authorizer is None or not name:
        return ALLOWED
    topic = QUEUE_PREFIX + name
    if kind not in CONSUMERS:
        return authorizer.authorize(link.identity, PUBLISH, topic)
    fault = why_not_get(authorizer, session, topic)
    return deny(fault) if fault else ALLOWED


def _name_of(link: ZmqLink, event: ev.Ready) -> str:
    """The name of the queue that a peer means; empty where nothing says it."""
    named = find_property(event.metadata, QUEUE_PROPERTY)
    if named:
        return named.decode("utf-8", "replace")
    if event.identity.startswith(_QUEUE_IDENTITY):
        name = event.identity.split(b"/")[1]
        if name:
            return name.decode("utf-8", "replace")
    if link.path_queue:
        return link.path_queue
    place = link.place
    return place.user_queues.get(link.identity.username or "", "") or place.queue
