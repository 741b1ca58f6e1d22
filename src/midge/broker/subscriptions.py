"""All subscriptions of all sessions, by filter, shared ones in their groups."""

from __future__ import annotations

from midge.broker.groups import Group
from midge.broker.session import Session, Subscription
from midge.topics.filters import split_shared
from midge.topics.trie import FilterTree


class Subscriptions:
    """Who is entitled to a topic.

    Attributes:
        count: ordinary and shared subscriptions together.
        shared_count: the shared ones among them.
    """

    __slots__ = ("_groups", "_tree", "count", "shared_count")

    def __init__(self) -> None:
        self._tree: FilterTree[str, Subscription] = FilterTree()
        self._groups: FilterTree[str, Group] = FilterTree()
        self.count = 0
        self.shared_count = 0

    def add(self, subscription: Subscription) -> str:
        """Add a subscription, in place of the session's earlier one with the same filter.

        Returns the filter that topics are matched with, without a ``$share`` part.
        """
        session = subscription.session
        previous = session.subscriptions.get(subscription.filter)
        session.subscriptions[subscription.filter] = subscription
        if previous is None:
            self.count += 1
        shared = split_shared(subscription.filter)
        if shared is None:
            self._tree.add(subscription.filter, session.client_id, subscription)
            return subscription.filter
        name, filter = shared
        if previous is not None and previous.group is not None:
            group = previous.group
        else:
            self.shared_count += 1
            group = self._group(name, filter)
        subscription.group = group
        group.add(subscription)
        return filter

    def _group(self, name: str, filter: str) -> Group:
        group = self._groups.get(filter, name)
        if group is None:
            group = Group(name, filter)
            self._groups.add(filter, name, group)
        return group

    def remove(self, session: Session, filter: str) -> str | None:
        """Remove a subscription; returns its filter without ``$share``, ``None`` for none."""
        subscription = session.subscriptions.pop(filter, None)
        if subscription is None:
            return None
        self.count -= 1
        group = subscription.group
        if group is None:
            self._tree.remove(filter, session.client_id)
            return filter
        self.shared_count -= 1
        group.remove(session)
        if not group.members:
            self._groups.remove(group.filter, group.name)
        return group.filter

    def discard(self, session: Session) -> None:
        """Remove any one subscription of a session that has ended.

        Another session may have its client id by now, and the same filter.
        """
        filter, subscription = session.subscriptions.popitem()
        self.count -= 1
        group = subscription.group
        if group is None:
            if self._tree.get(filter, session.client_id) is subscription:
                self._tree.remove(filter, session.client_id)
            return
        self.shared_count -= 1
        group.remove(session)
        if not group.members and self._groups.get(group.filter, group.name) is group:
            self._groups.remove(group.filter, group.name)

    def match(self, topic: str) -> list[Subscription]:
        """The ordinary subscriptions that a topic matches."""
        return self._tree.match(topic)

    def match_groups(self, topic: str) -> list[Group]:
        """The groups of shared subscriptions that a topic matches."""
        if not self.shared_count:
            return []
        return self._groups.match(topic)
