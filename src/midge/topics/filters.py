"""Filters as a whole: shared subscriptions, and matching in its plain form.

:func:`matches` is the definition of matching, written to be read: one filter, one topic, level by
level. The trees of ``trie`` must agree with it, and their tests hold them to it. Use it for one
question; to find the matches among many, use a tree.
"""

from __future__ import annotations

from typing import Final

from midge.errors import TopicError
from midge.topics.names import has_wildcard, shown

#: How the filter of a shared subscription begins (MQTT 5.0 section 4.8.2).
SHARE_PREFIX: Final = "$share/"
#: How that of a named queue begins; EMQX has it for shared subscriptions without a group's name.
QUEUE_PREFIX: Final = "$queue/"
#: EMQX's short form of the latter.
SHORT_PREFIX: Final = "$q/"
#: The group of those that name none; nobody can name it in a ``$share`` filter and mean another.
ANONYMOUS_GROUP: Final = "$queue"


def split_shared(filter: str) -> tuple[str, str] | None:
    """Take the filter of a shared subscription apart.

    Args:
        filter: a filter that :func:`~midge.topics.names.check_filter` accepts.

    Returns:
        The name of the group and the filter that topics are matched with: ``("g", "a/b")`` for
        ``$share/g/a/b``. What EMQX writes ``$queue/a/b`` or ``$q/a/b`` is the group ``$queue`` of
        ``a/b``. ``None`` for a subscription that is not shared.

    Raises:
        TopicError: there is no group, no filter, or a wildcard in the name of the group.
    """
    if not filter.startswith("$"):
        return None
    if not filter.startswith(SHARE_PREFIX):
        return _split_anonymous(filter)
    group, slash, rest = filter[len(SHARE_PREFIX) :].partition("/")
    if not group:  # [MQTT-4.8.2-1]
        raise TopicError(f"the shared subscription {shown(filter)} names no group")
    if has_wildcard(group):  # [MQTT-4.8.2-2]
        raise TopicError(f"the group of the shared subscription {shown(filter)} has a wildcard")
    if not slash or not rest:  # [MQTT-4.8.2-2]
        raise TopicError(
            f"the shared subscription {shown(filter)} has no topic filter: "
            f"write {SHARE_PREFIX}GROUP/FILTER"
        )
    return group, rest


def _split_anonymous(filter: str) -> tuple[str, str] | None:
    for prefix in (QUEUE_PREFIX, SHORT_PREFIX):
        if filter.startswith(prefix):
            if queue_name(filter) is not None:
                return None
            rest = filter[len(prefix) :]
            if not rest:
                raise TopicError(f"the shared subscription {shown(filter)} has no topic filter")
            return ANONYMOUS_GROUP, rest
    return None


def queue_name(filter: str) -> str | None:
    """The named queue that a topic or filter means; ``None`` where it means none.

    ``$queue/NAME`` does, with one level and no wildcard. (With more it is shared: see
    :func:`split_shared`.)
    """
    if not filter.startswith(QUEUE_PREFIX):
        return None
    name = filter[len(QUEUE_PREFIX) :]
    return None if not name or "/" in name or has_wildcard(name) else name


def matches(filter: str, topic: str) -> bool:
    """Whether a valid filter, without a ``$share`` part, matches a valid topic name."""
    wanted = filter.split("/")
    levels = topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):  # [MQTT-4.7.2-1]
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            # Also the level above it: "a/#" matches "a". What comes before has been compared.
            return True
        if index == len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)
