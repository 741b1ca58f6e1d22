"""Mount points: what goes below a prefix, and what comes out again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.limits import STRING_BYTES_MAX
from midge.topics.filters import ANONYMOUS_GROUP, matches, split_shared
from midge.topics.remap import (
    fault_of_filter,
    fault_of_topic,
    is_mounted,
    mounted_filter,
    mounted_topic,
    unmounted_topic,
)

from .strategies import filters, topics

mounts = topics.map(lambda topic: topic + "/")


@given(topics, topics)
def test_a_topic_comes_out_as_it_went_in(mount: str, topic: str) -> None:
    assert unmounted_topic(mount, mounted_topic(mount, topic)) == topic


@given(topics, topics)
def test_what_is_not_below_has_no_name_there(mount: str, topic: str) -> None:
    named = unmounted_topic(mount, topic)
    if named is None:
        assert len(topic) <= len(mount) or topic[: len(mount)] != mount
    else:
        assert named
        assert mount + named == topic


@given(mounts, filters, topics)
def test_a_filter_matches_below_what_it_matches_above(mount: str, filter: str, topic: str) -> None:
    below = mounted_filter(mount, filter)
    assert is_mounted(mount, below)
    # "$" keeps wildcards off at the very beginning only, where the prefix stands now.
    expected = matches("x/" + filter, "x/" + topic)
    assert matches(below, mounted_topic(mount, topic)) == expected


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("a/+", "m/a/+"),
        ("#", "m/#"),
        ("$SYS/#", "m/$SYS/#"),
        ("$share/g/a", "$share/g/m/a"),
        ("$share/g//a", "$share/g/m//a"),
        ("$share/$g/#", "$share/$g/m/#"),
        ("$queue/a/b", "$queue/m/a/b"),
        ("$queue/+", "$queue/m/+"),
        ("$q/a", "$q/m/a"),
        ("$queue/a", "m/$queue/a"),
    ],
)
def test_only_a_group_stays_in_front(filter: str, expected: str) -> None:
    assert mounted_filter("m/", filter) == expected
    assert is_mounted("m/", expected)
    assert split_shared(filter) is None or split_shared(expected) is not None


@given(filters, st.sampled_from(["g", "$g", ANONYMOUS_GROUP]))
def test_a_group_keeps_its_name(filter: str, group: str) -> None:
    assert split_shared(mounted_filter("m/", f"$share/{group}/{filter}")) == (group, "m/" + filter)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("m/a", True),
        ("$share/g/m/#", True),
        ("$q/m/a", True),
        ("m", False),
        ("#", False),
        ("+/a", False),
        ("ma", False),
        ("$share/m/a", False),
        ("$share/g/#", False),
        ("$queue/m", False),
    ],
)
def test_filters_that_nobody_below_can_have_asked_for_are_known(
    filter: str, expected: bool
) -> None:
    assert is_mounted("m/", filter) == expected


def test_what_is_too_long_with_its_prefix_is_refused() -> None:
    longest = "t" * (STRING_BYTES_MAX - 2)
    assert not fault_of_topic("m/", "m/" + longest)
    assert not fault_of_filter("m/", "m/" + longest)
    assert "bytes long" in fault_of_topic("m/", "m/t" + longest)
    assert "bytes long" in fault_of_filter("m/", "m/t" + longest)


def test_a_prefix_without_a_slash_leaves_no_place_for_a_wildcard_behind_it() -> None:
    assert "must stand alone" in fault_of_filter("m", mounted_filter("m", "+/a"))
    assert "must stand alone" in fault_of_filter("m", mounted_filter("m", "$share/g/#"))
    assert not fault_of_filter("m", mounted_filter("m", "a/+"))


def test_queues_cannot_be_named_below() -> None:
    assert "queues" in fault_of_topic("m/", mounted_topic("m/", "$queue/a"))
    assert "queues" in fault_of_filter("m/", mounted_filter("m/", "$queue/a"))
    assert not fault_of_filter("m/", mounted_filter("m/", "$queue/a/b"))
    assert not fault_of_filter("m/", mounted_filter("m/", "$share/g/a"))
    assert not fault_of_topic("m/", mounted_topic("m/", "$SYS/a"))
