"""Finding what matches among many: filters by topic, and topics by filter.

A filter without a wildcard is looked up in a dict, whatever their number. The others stand in a
tree with one node a level; a topic walks down all the branches that can match it at once, level by
level, so a walk is a loop, never a recursion, and visits no node twice. Nodes that hold nothing any
more are removed with the last thing they held, up to the root.

Both trees take valid, unshared filters and valid topics as given: they check nothing. They agree
with :func:`midge.topics.filters.matches`, which is the definition.

Values may be anything but ``None``, which in a result means that there is no value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from midge.topics.names import has_wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

K = TypeVar("K")
V = TypeVar("V")

# What one filter holds: most filters have a single subscriber, and a pair takes a quarter of the
# memory of a dict with one entry. The dict keeps the order in which keys were added.
if TYPE_CHECKING:
    Held: TypeAlias = tuple[K, V] | dict[K, V]


class FilterNode(Generic[K, V]):
    """One level of the filters with wildcards.

    Attributes:
        children: the next levels by their text, ``+`` not among them; ``None`` for no child.
        plus: the next level ``+``.
        held: the values of the filter that ends at this level.
        held_below: the values of the filter that ends with ``#`` below this level.
    """

    __slots__ = ("children", "held", "held_below", "plus")

    def __init__(self) -> None:
        self.children: dict[str, FilterNode[K, V]] | None = None
        self.plus: FilterNode[K, V] | None = None
        self.held: Held[K, V] | None = None
        self.held_below: Held[K, V] | None = None

    def child(self, level: str) -> FilterNode[K, V] | None:
        """The next level, if it is there."""
        if level == "+":
            return self.plus
        return None if self.children is None else self.children.get(level)

    def grow(self, level: str) -> FilterNode[K, V]:
        """The next level, made if it is not there."""
        node = self.child(level)
        if node is None:
            node = FilterNode()
            if level == "+":
                self.plus = node
            elif self.children is None:
                self.children = {level: node}
            else:
                self.children[level] = node
        return node

    def cut(self, level: str) -> None:
        """Remove the next level."""
        if level == "+":
            self.plus = None
        elif self.children is not None:
            del self.children[level]
            if not self.children:
                self.children = None

    def is_empty(self) -> bool:
        """Whether it holds nothing, itself or further down."""
        return (
            self.children is None
            and self.plus is None
            and self.held is None
            and self.held_below is None
        )


class FilterTree(Generic[K, V]):
    """Values by filter and key: any number of keys may hold a value at the same filter.

    Its length is the number of values.
    """

    __slots__ = ("_count", "_exact", "_root")

    def __init__(self) -> None:
        self._count = 0
        self._exact: dict[str, Held[K, V]] = {}
        self._root: FilterNode[K, V] = FilterNode()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[str, K, V]]:
        """All of ``(filter, key, value)``; nothing may be added or removed meanwhile."""
        for filter, held in self._exact.items():
            for key, value in _pairs(held):
                yield filter, key, value
        waiting: list[tuple[str, FilterNode[K, V]]] = [("", self._root)]
        while waiting:
            prefix, node = waiting.pop()
            if node.held is not None:
                for key, value in _pairs(node.held):
                    yield prefix[:-1], key, value
            if node.held_below is not None:
                for key, value in _pairs(node.held_below):
                    yield prefix + "#", key, value
            if node.plus is not None:
                waiting.append((prefix + "+/", node.plus))
            if node.children is not None:
                for level, child in node.children.items():
                    waiting.append((prefix + level + "/", child))

    def add(self, filter: str, key: K, value: V) -> V | None:
        """Let ``key`` hold ``value`` at ``filter``; returns the value that it held there before."""
        node: FilterNode[K, V] | None = None
        if has_wildcard(filter):
            node = self._root
            for level in filter.split("/"):
                if level != "#":
                    node = node.grow(level)
        held = self._held(filter, node)
        before = _get(held, key)
        size = _size(held)
        if held is None or (size == 1 and _holds(held, key)):
            held = (key, value)
        else:
            if isinstance(held, tuple):
                held = {held[0]: held[1]}
            held[key] = value
        self._hold(filter, node, held)
        self._count += _size(held) - size
        return before

    def get(self, filter: str, key: K) -> V | None:
        """The value that ``key`` holds at exactly this filter."""
        path = self._path(filter)
        return None if path is None else _get(self._held(filter, path[-1]), key)

    def remove(self, filter: str, key: K) -> V | None:
        """Remove and return the value that ``key`` holds at exactly this filter."""
        path = self._path(filter)
        if path is None:
            return None
        node = path[-1]
        held = self._held(filter, node)
        if held is None or not _holds(held, key):
            return None
        value = _get(held, key)
        self._count -= 1
        if isinstance(held, tuple):
            self._hold(filter, node, None)
        else:
            del held[key]
            if len(held) == 1:
                self._hold(filter, node, held.popitem())
        if node is not None and node.is_empty():
            self._prune(filter, path)
        return value

    def match(self, topic: str) -> list[V]:
        """The values of all filters that match ``topic``.

        Their order depends only on what the tree holds and on the order in which it was added: the
        filter without wildcards comes first, then those with ``#`` from the shortest to the
        longest, then those that name or cover the last level.
        """
        found: list[V] = []
        exact = self._exact.get(topic)
        if exact is not None:
            _collect(exact, found)
        root = self._root
        if root.is_empty():
            return found
        levels = topic.split("/")
        nodes = [root]
        if topic.startswith("$"):
            # [MQTT-4.7.2-1]: no wildcard at the first level, so the root takes only a name.
            node = None if root.children is None else root.children.get(levels[0])
            if node is None:
                return found
            nodes = [node]
            del levels[0]
        for level in levels:
            below: list[FilterNode[K, V]] = []
            for node in nodes:
                if node.held_below is not None:
                    _collect(node.held_below, found)
                if node.children is not None:
                    child = node.children.get(level)
                    if child is not None:
                        below.append(child)
                if node.plus is not None:
                    below.append(node.plus)
            if not below:
                return found
            nodes = below
        for node in nodes:
            if node.held is not None:
                _collect(node.held, found)
            if node.held_below is not None:  # "a/#" also matches "a"
                _collect(node.held_below, found)
        return found

    # A place is a filter and its node: ``None`` for the dict of filters without wildcards.

    def _held(self, filter: str, node: FilterNode[K, V] | None) -> Held[K, V] | None:
        if node is None:
            return self._exact.get(filter)
        return node.held_below if filter[-1] == "#" else node.held

    def _hold(self, filter: str, node: FilterNode[K, V] | None, held: Held[K, V] | None) -> None:
        if node is not None:
            if filter[-1] == "#":
                node.held_below = held
            else:
                node.held = held
        elif held is None:
            del self._exact[filter]
        else:
            self._exact[filter] = held

    def _path(self, filter: str) -> list[FilterNode[K, V] | None] | None:
        """The nodes down to a filter's place, which is the last; ``None`` where there is none."""
        if not has_wildcard(filter):
            return [None]
        node = self._root
        path: list[FilterNode[K, V] | None] = [node]
        for level in filter.split("/"):
            if level != "#":
                child = node.child(level)
                if child is None:
                    return None
                node = child
                path.append(node)
        return path

    def _prune(self, filter: str, path: list[FilterNode[K, V] | None]) -> None:
        """Remove the nodes of ``path`` that are empty, from its end upwards."""
        levels = filter.split("/")
        for depth in range(len(path) - 1, 0, -1):
            node = path[depth]
            parent = path[depth - 1]
            if node is None or parent is None or not node.is_empty():
                return
            parent.cut(levels[depth - 1])


def _size(held: Held[K, V] | None) -> int:
    if held is None:
        return 0
    return 1 if isinstance(held, tuple) else len(held)


def _holds(held: Held[K, V], key: K) -> bool:
    return held[0] == key if isinstance(held, tuple) else key in held


def _get(held: Held[K, V] | None, key: K) -> V | None:
    if held is None:
        return None
    if isinstance(held, tuple):
        return held[1] if held[0] == key else None
    return held.get(key)


def _pairs(held: Held[K, V]) -> list[tuple[K, V]]:
    return [held] if isinstance(held, tuple) else list(held.items())


def _collect(held: Held[K, V], found: list[V]) -> None:
    if isinstance(held, tuple):
        found.append(held[1])
    else:
        found.extend(held.values())


class TopicNode(Generic[V]):
    """One level of the stored topics.

    Attributes:
        children: the next levels by their text; ``None`` for no child.
        topic: the stored topic that ends at this level; ``None`` when none does.
        value: the value of that topic.
    """

    __slots__ = ("children", "topic", "value")

    def __init__(self) -> None:
        self.children: dict[str, TopicNode[V]] | None = None
        self.topic: str | None = None
        self.value: V | None = None


class TopicTree(Generic[V]):
    """One value a topic, found by the topic or by a filter. Its length is the number of topics."""

    __slots__ = ("_root", "_stored")

    def __init__(self) -> None:
        self._root: TopicNode[V] = TopicNode()
        # The nodes with a value, so that a topic which is there already costs one look-up.
        self._stored: dict[str, TopicNode[V]] = {}

    def __len__(self) -> int:
        return len(self._stored)

    def __iter__(self) -> Iterator[tuple[str, V]]:
        """All of ``(topic, value)``; nothing may be set or deleted meanwhile."""
        return iter(_filled(self._stored.values()))

    def set(self, topic: str, value: V) -> V | None:
        """Store ``value`` at ``topic``; returns the value that it replaces."""
        node = self._stored.get(topic)
        if node is None:
            node = self._root
            for level in topic.split("/"):
                if node.children is None:
                    node.children = {}
                child = node.children.get(level)
                if child is None:
                    child = TopicNode()
                    node.children[level] = child
                node = child
            node.topic = topic
            self._stored[topic] = node
        before = node.value
        node.value = value
        return before

    def get(self, topic: str) -> V | None:
        """The value stored at ``topic``."""
        node = self._stored.get(topic)
        return None if node is None else node.value

    def delete(self, topic: str) -> V | None:
        """Remove and return the value stored at ``topic``."""
        node = self._stored.pop(topic, None)
        if node is None:
            return None
        before = node.value
        node.topic = None
        node.value = None
        if node.children is None:
            self._prune(topic)
        return before

    def match(self, filter: str) -> list[tuple[str, V]]:
        """All ``(topic, value)`` whose topic the filter matches.

        The result is the caller's, and the tree may change while it is read. Shallow topics come
        before deep ones, and branches in the order in which they were begun.
        """
        if not has_wildcard(filter):
            node = self._stored.get(filter)
            return [] if node is None else _filled([node])
        nodes = [self._root]
        for level in filter.split("/"):
            if level == "#":
                if nodes[0] is self._root:
                    nodes = self._public()
                for node in nodes:  # grows while it is read, until it holds all that is below
                    if node.children is not None:
                        nodes.extend(node.children.values())
                break
            below: list[TopicNode[V]] = []
            if level != "+":
                for node in nodes:
                    if node.children is not None:
                        child = node.children.get(level)
                        if child is not None:
                            below.append(child)
            elif nodes[0] is self._root:
                below = self._public()
            else:
                for node in nodes:
                    if node.children is not None:
                        below.extend(node.children.values())
            if not below:
                return []
            nodes = below
        return _filled(nodes)

    def _public(self) -> list[TopicNode[V]]:
        """The first levels that a wildcard at the first level may match [MQTT-4.7.2-1]."""
        children = self._root.children
        if children is None:
            return []
        return [node for level, node in children.items() if not level.startswith("$")]

    def _prune(self, topic: str) -> None:
        """Remove the node of ``topic`` and those above it that hold nothing else."""
        levels = topic.split("/")
        # The deepest node that stays, and the level below it that goes.
        keeper = self._root
        doomed = levels[0]
        node = self._root
        for level in levels:
            if node.children is None:
                return
            if node.topic is not None or len(node.children) > 1:
                keeper = node
                doomed = level
            node = node.children[level]
        if keeper.children is not None:
            del keeper.children[doomed]
            if not keeper.children:
                keeper.children = None


def _filled(nodes: Iterable[TopicNode[V]]) -> list[tuple[str, V]]:
    """The topics and values of those nodes that have one."""
    return [
        (node.topic, node.value)
        for node in nodes
        if node.topic is not None and node.value is not None
    ]
