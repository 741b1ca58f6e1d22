"""What a valid topic and a valid filter are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.errors import TopicError
from midge.limits import STRING_BYTES_MAX, TOPIC_LEVELS_MAX
from midge.topics.names import check_filter, check_topic, has_wildcard, is_filter, is_topic

VALID_TOPICS = [
    "a",
    "/",
    "//",
    "a/b",
    "/a",
    "a/",
    "$SYS/broker/uptime",
    "$share/group/topic",
    "Größe/日本",
    "white space",
    "x" * STRING_BYTES_MAX,
    "/" * TOPIC_LEVELS_MAX,
]

BAD_TOPICS = [
    ("", "at least one character"),
    ("a\0b", "contains NUL"),
    ("a/+/b", "contains a wildcard"),
    ("a/#", "contains a wildcard"),
    ("a+b", "contains a wildcard"),
    ("x" * (STRING_BYTES_MAX + 1), "65536 bytes long"),
    ("ä" * 32768, "65536 bytes long"),
    ("\ud800", "not valid Unicode"),
    ("/" * (TOPIC_LEVELS_MAX + 1), "too many levels"),
]

VALID_FILTERS = [*VALID_TOPICS, "#", "+", "+/+", "/+", "+/", "a/#", "/#", "+/a/#", "$share/g/+/#"]

BAD_FILTERS = [
    ("", "at least one character"),
    ("a\0b/#", "contains NUL"),
    ("a/#/b", "must be the last character"),
    ("#/", "must be the last character"),
    ("##", "must be the last character"),
    ("a#", "must stand alone"),
    ("a/b#", "must stand alone"),
    ("+#", "must stand alone"),
    ("a+", "must stand alone"),
    ("+a/b", "must stand alone"),
    ("a/++/b", "must stand alone"),
    ("x/" * STRING_BYTES_MAX + "#", "bytes long"),
    ("+/" * (TOPIC_LEVELS_MAX + 1), "too many levels"),
]


@pytest.mark.parametrize("text", VALID_TOPICS, ids=lambda text: text[:20])
def test_a_valid_topic_passes(text: str) -> None:
    check_topic(text)
    assert is_topic(text)


@pytest.mark.spec("MQTT-4.7.3-1", "MQTT-4.7.3-2", "MQTT-4.7.3-3", "MQTT-4.7.1-1", "MQTT-3.3.2-2")
@pytest.mark.parametrize(("text", "fault"), BAD_TOPICS, ids=lambda text: text[:20])
def test_a_bad_topic_is_refused_with_a_sentence_that_names_the_fault(text: str, fault: str) -> None:
    with pytest.raises(TopicError, match=fault):
        check_topic(text)
    assert not is_topic(text)


@pytest.mark.parametrize("text", VALID_FILTERS, ids=lambda text: text[:20])
def test_a_valid_filter_passes(text: str) -> None:
    check_filter(text)
    assert is_filter(text)


@pytest.mark.spec("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.3-1")
@pytest.mark.parametrize(("text", "fault"), BAD_FILTERS, ids=lambda text: text[:20])
def test_a_bad_filter_is_refused_with_a_sentence_that_names_the_fault(
    text: str, fault: str
) -> None:
    with pytest.raises(TopicError, match=fault):
        check_filter(text)
    assert not is_filter(text)


@given(st.text(alphabet="a/+#$", min_size=1, max_size=8))
def test_a_topic_is_a_filter_without_wildcards(text: str) -> None:
    assert is_topic(text) == (is_filter(text) and not has_wildcard(text))


@given(st.text(alphabet="a/+#", min_size=1, max_size=8))
def test_a_filter_is_valid_when_each_of_its_levels_is(text: str) -> None:
    *upper, last = text.split("/")
    valid = all(level in ("", "+") or level.strip("a") == "" for level in upper)
    assert is_filter(text) == (valid and (last in ("", "+", "#") or last.strip("a") == ""))


@given(st.text(alphabet=st.characters(), min_size=1))
def test_any_text_passes_or_gives_a_topic_error_that_can_be_printed(text: str) -> None:
    for check in (check_topic, check_filter):
        try:
            check(text)
        except TopicError as error:
            sentence = str(error)
            assert sentence.isprintable()
            assert len(sentence) < 400
            sentence.encode()
