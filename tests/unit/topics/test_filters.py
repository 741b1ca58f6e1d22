"""Shared subscriptions taken apart, and the plain form of matching."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from midge.errors import TopicError
from midge.topics.filters import matches, split_shared
from midge.topics.names import is_filter, is_topic

from .strategies import filters, topics

MATCHES = [
    ("a/b", "a/b", True),
    ("a/b", "a/B", False),
    ("a/b", "a", False),
    ("a", "a/b", False),
    ("/a", "a", False),
    ("a/", "a", False),
    ("+", "a", True),
    ("+", "a/b", False),
    ("+", "/a", False),
    ("+/+", "/a", True),
    ("/+", "/a", True),
    ("a/+", "a/", True),
    ("a/+", "a", False),
    ("a/+/c", "a/b/c", True),
    ("a/+/c", "a/b/x/c", False),
    ("+/b/#", "a/b", True),
    ("#", "a", True),
    ("#", "/", True),
    ("#", "a/b/c", True),
    ("a/#", "a", True),
    ("a/#", "a/", True),
    ("a/#", "a/b/c", True),
    ("a/#", "ab", False),
    ("/#", "a", False),
    ("/#", "/", True),
    ("+/#", "a", True),
    ("a/b/#", "a", False),
    # Wildcards at the first level leave out topics that begin with "$".
    ("#", "$SYS/x", False),
    ("+/x", "$SYS/x", False),
    ("+", "$SYS", False),
    ("+/#", "$SYS", False),
    ("$SYS/#", "$SYS/x", True),
    ("$SYS/#", "$SYS", True),
    ("$SYS/+", "$SYS/x", True),
    ("$SYS/x", "$SYS/x", True),
    ("a/#", "a/$b", True),
    ("a/+", "a/$b", True),
]


@pytest.mark.spec("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.2-1", "MQTT-4.7.3-4")
@pytest.mark.parametrize(("filter", "topic", "expected"), MATCHES)
def test_matching_by_the_book(filter: str, topic: str, expected: bool) -> None:
    assert matches(filter, topic) is expected


@given(filters, topics)
def test_matching_agrees_with_a_regular_expression(filter: str, topic: str) -> None:
    levels = filter.split("/")
    pattern = "/".join("[^/]*" if level == "+" else re.escape(level) for level in levels)
    if levels[-1] == "#":
        pattern = pattern.removesuffix(re.escape("#")).removesuffix("/")
        pattern += "(/.*)?" if len(levels) > 1 else ".*"
    hidden = topic.startswith("$") and filter[0] in "+#"
    assert matches(filter, topic) == (not hidden and re.fullmatch(pattern, topic) is not None)


@given(filters, topics)
def test_the_strategies_give_valid_filters_and_topics(filter: str, topic: str) -> None:
    assert is_filter(filter)
    assert is_topic(topic)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("a/b", None),
        ("#", None),
        ("$share", None),
        ("$shared/g/a", None),
        ("a/$share/g/a", None),
        ("$SYS/#", None),
        ("$share/g/a", ("g", "a")),
        ("$share/g/a/b/#", ("g", "a/b/#")),
        ("$share/g/#", ("g", "#")),
        ("$share/g//", ("g", "/")),
        ("$share/g//a", ("g", "/a")),
        ("$share/g/$SYS/#", ("g", "$SYS/#")),
    ],
)
def test_a_shared_subscription_is_taken_apart(
    filter: str, expected: tuple[str, str] | None
) -> None:
    assert split_shared(filter) == expected


@pytest.mark.spec("MQTT-4.8.2-1", "MQTT-4.8.2-2")
@pytest.mark.parametrize(
    ("filter", "fault"),
    [
        ("$share/", "no group"),
        ("$share//a", "no group"),
        ("$share/+/a", "wildcard"),
        ("$share/#", "wildcard"),
        ("$share/g", "no topic filter"),
        ("$share/g/", "no topic filter"),
    ],
)
def test_a_shared_subscription_without_group_or_filter_is_refused(filter: str, fault: str) -> None:
    with pytest.raises(TopicError, match=fault):
        split_shared(filter)
