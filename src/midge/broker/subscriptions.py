"""All subscriptions of all sessions, by filter, shared ones in their groups, and queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker.groups import Group
from midge.broker.session import Session, Subscription
from midge.topics.filters import QUEUE_PREFIX, queue_name, split_shared
from midge.topics.trie import FilterTree

if TYPE_CHECKING:
    from midge.broker.queue import Queue
    from midge.broker.queues import Queues
    from midge.broker.taker import Taker


class Subscriptions:
    """Who is entitled to a topic.

    Attributes:
        count: ordinary and shared subscriptions together.
        shared_count: the shared ones among them.
        queues: the named queues, once there are any.
        changed: filters of queues that came or went, for the router to forget their routes.
    """

    __slots__ = ("_groups", "_tree", "changed", "count", "fed_count", "queues", "shared_count")

    def __init__(self) -> None:
        self._tree: FilterTree[str, Subscription] = FilterTree()
        self._groups: FilterTree[str, Taker] = FilterTree()
        self.changed: list[str] = []
        self.count = 0
        self.fed_count = 0
        self.queues: Queues | None = None
        self.shared_count = 0

    def add(self, subscription: Subscription, now: float) -> str:
        """Add a subscription, in place of the session's earlier one with the same filter.

        Returns the filter that topics are matched with, without a ``$share`` part.
        """
        session = subscription.session
        previous = session.subscriptions.get(subscription.filter)
        session.subscriptions[subscription.filter] = subscription
        if previous is None:
            self.count += 1
        name_of_queue = queue_name(subscription.filter)
        if name_of_queue is not None and self.queues is not None:
            self.shared_count += previous is None
            self.queues.subscribe(name_of_queue, subscription, now)
            return subscription.filter
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
        group.add(subscription, now)
        return filter

    def _group(self, name: str, filter: str) -> Group:
        group = self._groups.get(filter, name)
        if not isinstance(group, Group):
            assert self.queues is not None
            group = Group(name, filter, self.queues)
            self._groups.add(filter, name, group)
        return group

    def restore_group(self, name: str, filter: str, key: int) -> Group:
        """A group of the store, before its members are there."""
        group = self._group(name, filter)
        group.key = key
        return group

    def end_empty_groups(self, now: float) -> None:
        """Forget the groups of the store that have no member any more."""
        for _, _, group in list(self._groups):
            if isinstance(group, Group) and not group.consumers:
                self._groups.remove(group.filter, group.group)
                group.close(now)

    def rules_changed(self) -> None:
        """Members of groups may have other topics than before."""
        for _, _, group in self._groups:
            if isinstance(group, Group):
                group.rules_changed()

    def add_queue(self, filter: str, queue: Queue) -> None:
        """Have what is published to ``filter`` put into a queue."""
        self.fed_count += 1
        self._groups.add(filter, QUEUE_PREFIX + queue.name, queue)
        self.changed.append(filter)

    def add_control(self, name: str, control: Taker) -> None:
        """Have what is published to the topic ``name`` given to it, as if it were a queue."""
        self.fed_count += 1
        self._groups.add(name, name, control)

    def remove_queue(self, filter: str, queue: Queue) -> None:
        """End that."""
        self.fed_count -= 1
        self._groups.remove(filter, QUEUE_PREFIX + queue.name)
        self.changed.append(filter)

    def remove(self, session: Session, filter: str, now: float) -> str | None:
        """Remove a subscription; returns its filter without ``$share``, ``None`` for none."""
        subscription = session.subscriptions.pop(filter, None)
        if subscription is None:
            return None
        self.count -= 1
        if self._leave_queue(subscription, now):
            return filter
        group = subscription.group
        if group is None:
            self._tree.remove(filter, session.client_id)
            return filter
        self._leave(group, session, now)
        return group.filter

    def _leave_queue(self, subscription: Subscription, now: float) -> bool:
        """End a subscription to a named queue; false where it is none."""
        name = queue_name(subscription.filter)
        if name is None or self.queues is None:
            return False
        self.shared_count -= 1
        queue = self.queues.get(name)
        if queue is not None:
            self.queues.unsubscribe(queue, subscription.session, now)
        return True

    def _leave(self, group: Group, session: Session, now: float) -> None:
        self.shared_count -= 1
        group.remove(session, now)
        if not group.consumers and not group.closed:
            if self._groups.get(group.filter, group.group) is group:
                self._groups.remove(group.filter, group.group)
            lost = group.close(now)
            assert self.queues is not None
            self.queues.metrics.dropped_session_end += lost

    def discard(self, session: Session, now: float) -> None:
        """Remove any one subscription of a session that has ended.

        Another session may have its client id by now, and the same filter.
        """
        filter, subscription = session.subscriptions.popitem()
        self.count -= 1
        if self._leave_queue(subscription, now):
            return
        group = subscription.group
        if group is None:
            if self._tree.get(filter, session.client_id) is subscription:
                self._tree.remove(filter, session.client_id)
            return
        self._leave(group, session, now)

    def match(self, topic: str) -> list[Subscription]:
        """The ordinary subscriptions that a topic matches."""
        return self._tree.match(topic)

    def match_groups(self, topic: str) -> list[Taker]:
        """The groups of shared subscriptions, and the queues, that a topic matches."""
        if not self.shared_count and not self.fed_count:
            return []
        return self._groups.match(topic)
