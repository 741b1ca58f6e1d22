"""The trees against the plain form of matching, through any adds and removes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from midge.limits import TOPIC_LEVELS_MAX
from midge.topics.filters import matches
from midge.topics.trie import FilterNode, FilterTree, TopicNode, TopicTree

from .strategies import filters, topics

keys = st.sampled_from(["x", "y", "z"])


def filter_nodes(tree: FilterTree[str, int]) -> list[FilterNode[str, int]]:
    """All nodes of the tree, its root first."""
    nodes = [tree._root]
    for node in nodes:
        if node.plus is not None:
            nodes.append(node.plus)
        if node.children is not None:
            nodes.extend(node.children.values())
    return nodes


def topic_nodes(tree: TopicTree[int]) -> list[TopicNode[int]]:
    """All nodes of the tree, its root first."""
    nodes = [tree._root]
    for node in nodes:
        if node.children is not None:
            nodes.extend(node.children.values())
    return nodes


class FilterTreeModel(RuleBasedStateMachine):
    """A filter tree beside a dict that does the same."""

    def __init__(self) -> None:
        super().__init__()
        self.tree: FilterTree[str, int] = FilterTree()
        self.model: dict[tuple[str, str], int] = {}
        self.serial = 0

    @rule(filter=filters, key=keys)
    def add(self, filter: str, key: str) -> None:
        self.serial += 1
        before = self.tree.add(filter, key, self.serial)
        assert before == self.model.get((filter, key))
        self.model[filter, key] = self.serial

    @rule(filter=filters, key=keys)
    def remove(self, filter: str, key: str) -> None:
        assert self.tree.remove(filter, key) == self.model.pop((filter, key), None)

    @rule(data=st.data())
    def remove_one_that_is_there(self, data: st.DataObject) -> None:
        if self.model:
            self.remove(*data.draw(st.sampled_from(sorted(self.model))))

    @rule(filter=filters, key=keys)
    def get(self, filter: str, key: str) -> None:
        assert self.tree.get(filter, key) == self.model.get((filter, key))

    @rule(topic=topics)
    def match(self, topic: str) -> None:
        expected = [value for (filter, _), value in self.model.items() if matches(filter, topic)]
        assert sorted(self.tree.match(topic)) == sorted(expected)

    @invariant()
    def holds_the_same(self) -> None:
        assert len(self.tree) == len(self.model)
        listed = [((filter, key), value) for filter, key, value in self.tree]
        assert len(listed) == len(self.model)
        assert dict(listed) == self.model

    @invariant()
    def has_no_empty_node(self) -> None:
        assert not any(node.is_empty() for node in filter_nodes(self.tree)[1:])


class TopicTreeModel(RuleBasedStateMachine):
    """A topic tree beside a dict that does the same."""

    def __init__(self) -> None:
        super().__init__()
        self.tree: TopicTree[int] = TopicTree()
        self.model: dict[str, int] = {}
        self.serial = 0

    @rule(topic=topics)
    def set(self, topic: str) -> None:
        self.serial += 1
        assert self.tree.set(topic, self.serial) == self.model.get(topic)
        self.model[topic] = self.serial

    @rule(topic=topics)
    def delete(self, topic: str) -> None:
        assert self.tree.delete(topic) == self.model.pop(topic, None)

    @rule(data=st.data())
    def delete_one_that_is_there(self, data: st.DataObject) -> None:
        if self.model:
            self.delete(data.draw(st.sampled_from(sorted(self.model))))

    @rule(topic=topics)
    def get(self, topic: str) -> None:
        assert self.tree.get(topic) == self.model.get(topic)

    @rule(filter=filters)
    def match(self, filter: str) -> None:
        found = self.tree.match(filter)
        expected = {topic: value for topic, value in self.model.items() if matches(filter, topic)}
        assert len(found) == len(expected)
        assert dict(found) == expected

    @invariant()
    def holds_the_same(self) -> None:
        assert len(self.tree) == len(self.model)
        assert dict(self.tree) == self.model

    @invariant()
    def has_no_empty_node(self) -> None:
        for node in topic_nodes(self.tree)[1:]:
            assert node.topic is not None or node.children
            assert node.children is None or node.children


TestFilterTree = FilterTreeModel.TestCase
TestTopicTree = TopicTreeModel.TestCase


@given(st.lists(filters), st.lists(topics))
def test_every_topic_meets_exactly_the_filters_that_match_it(
    filters: list[str], topics: list[str]
) -> None:
    tree: FilterTree[int, str] = FilterTree()
    stored: TopicTree[str] = TopicTree()
    for index, filter in enumerate(filters):
        tree.add(filter, index, filter)
    for topic in topics:
        stored.set(topic, topic)
        assert sorted(tree.match(topic)) == sorted(f for f in filters if matches(f, topic))
    for filter in filters:
        assert {topic for topic, _ in stored.match(filter)} == {
            topic for topic in topics if matches(filter, topic)
        }


@given(st.lists(st.tuples(filters, keys)))
def test_a_filter_tree_that_was_emptied_is_as_small_as_a_new_one(
    entries: list[tuple[str, str]],
) -> None:
    tree: FilterTree[str, int] = FilterTree()
    for filter, key in entries:
        tree.add(filter, key, 1)
    for filter, key in entries:
        tree.remove(filter, key)
    assert len(tree) == 0
    assert len(filter_nodes(tree)) == 1
    assert tree._root.is_empty()
    assert not tree._exact


@given(st.lists(topics))
def test_a_topic_tree_that_was_emptied_is_as_small_as_a_new_one(topics: list[str]) -> None:
    tree: TopicTree[int] = TopicTree()
    for topic in topics:
        tree.set(topic, 1)
    for topic in topics:
        tree.delete(topic)
    assert len(tree) == 0
    assert len(topic_nodes(tree)) == 1
    assert tree._root.children is None


def test_a_removed_value_is_let_go() -> None:
    tree: FilterTree[str, int] = FilterTree()
    tree.add("a/+", "x", 1)
    tree.add("a/+", "y", 2)
    assert tree.remove("a/+", "x") == 1
    assert filter_nodes(tree)[-1].held == ("y", 2)


def test_values_of_one_filter_come_in_the_order_in_which_their_keys_were_added() -> None:
    tree: FilterTree[str, str] = FilterTree()
    for filter in ("a", "+", "#"):
        for key in "edcba":
            tree.add(filter, key, filter + key)
        tree.add(filter, "d", filter + "D")
        tree.remove(filter, "e")
    assert tree.match("a") == [
        *("aD", "ac", "ab", "aa"),
        *("#D", "#c", "#b", "#a"),
        *("+D", "+c", "+b", "+a"),
    ]


def test_shallow_topics_come_first_and_branches_in_the_order_in_which_they_were_begun() -> None:
    tree: TopicTree[int] = TopicTree()
    for index, topic in enumerate(["b/2", "a", "b/1", "$SYS/x", "c/1/x", "b"]):
        tree.set(topic, index)
    assert [topic for topic, _ in tree.match("#")] == ["b", "a", "b/2", "b/1", "c/1/x"]
    assert [topic for topic, _ in tree.match("b/+")] == ["b/2", "b/1"]


def test_the_found_topics_may_be_deleted_while_they_are_read() -> None:
    tree: TopicTree[int] = TopicTree()
    for topic in ("a", "a/b", "a/c"):
        tree.set(topic, 1)
    for topic, _ in tree.match("a/#"):
        tree.delete(topic)
    assert len(tree) == 0


def test_the_deepest_topic_and_filters_that_branch_at_every_level_are_handled() -> None:
    topic = "/".join(["a"] * (TOPIC_LEVELS_MAX + 1))
    tree: FilterTree[int, str] = FilterTree()
    wanted = []
    for index in range(TOPIC_LEVELS_MAX + 1):
        levels = ["a"] * (TOPIC_LEVELS_MAX + 1)
        levels[index] = "+"
        wanted.append("/".join(levels))
        wanted.append("/".join([*levels[: index + 1], "#"]))
    for index, filter in enumerate(wanted):
        tree.add(filter, index, filter)
    assert sorted(tree.match(topic)) == sorted(wanted)
    stored: TopicTree[int] = TopicTree()
    stored.set(topic, 1)
    assert all(stored.match(filter) == [(topic, 1)] for filter in wanted)
    assert {filter for filter, _, _ in tree} == set(wanted)
