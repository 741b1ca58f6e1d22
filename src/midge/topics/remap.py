"""Mount points: topics of clients that live below a prefix without knowing it.

The prefix is text, not a level: with ``m/`` the topic ``a`` is ``m/a``, with ``m`` it is ``ma``. It
goes in front of all that such a client names, so what it calls ``$SYS/x`` is ``m/$SYS/x``, and
nothing but its own. Only the group of a shared subscription stays in front: ``$share/g/a`` is
``$share/g/m/a``. What it is given has the prefix taken off again.

What topics stand in the properties or the payload of a message (a response topic, for one) is the
business of those who use them: it is not touched.
"""

from __future__ import annotations

from typing import Final

from midge.errors import TopicError
from midge.topics.filters import QUEUE_PREFIX, split_shared
from midge.topics.names import check_filter, check_topic

#: As an ordinary topic it would be worse than refused: each consumer would get each message.
_NO_QUEUES: Final = "queues belong to the whole broker, and cannot be named below a mount_point"


def mounted_topic(mount: str, topic: str) -> str:
    """What the broker calls ``topic``; not always valid, see :func:`fault_of_topic`."""
    return mount + topic


def mounted_filter(mount: str, filter: str) -> str:
    """What the broker calls a valid filter; not always valid, see :func:`fault_of_filter`."""
    shared = split_shared(filter)
    if shared is None:
        return mount + filter
    rest = shared[1]
    return f"{filter[: len(filter) - len(rest)]}{mount}{rest}"


def unmounted_topic(mount: str, topic: str) -> str | None:
    """What a client calls the broker's ``topic``; ``None`` where it has no name for it.

    A filter with the prefix can match a topic without: ``m/#`` also matches ``m``.
    """
    if len(topic) <= len(mount) or not topic.startswith(mount):
        return None
    return topic[len(mount) :]


def is_mounted(mount: str, filter: str) -> bool:
    """Whether a filter is one that a client below the prefix can have asked for."""
    shared = split_shared(filter)
    return (filter if shared is None else shared[1]).startswith(mount)


def fault_of_topic(mount: str, topic: str) -> str:
    """Why nobody below the prefix may publish to a topic that has it; empty where they may."""
    if topic.startswith(QUEUE_PREFIX, len(mount)):
        return _NO_QUEUES
    try:
        check_topic(topic)
    except TopicError as error:
        return str(error)
    return ""


def fault_of_filter(mount: str, filter: str) -> str:
    """Why nobody below the prefix may subscribe to a filter that has it; empty where they may.

    A prefix that does not end in ``/`` leaves no place for a wildcard in the first level.
    """
    if filter.startswith(mount + QUEUE_PREFIX):
        return _NO_QUEUES
    try:
        check_filter(filter)
    except TopicError as error:
        return str(error)
    return ""
