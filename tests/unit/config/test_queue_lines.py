"""``queue NAME [from FILTER]... [SETTING=VALUE]...`` in a configuration."""

from __future__ import annotations

import pytest

from midge.config.mosquitto_conf import parse
from midge.config.queue_settings import QueueSettings, parse_queue
from midge.config.settings import Settings
from midge.errors import ConfigError


def test_a_line_is_a_name_filters_and_settings() -> None:
    assert parse_queue("orders from shop/+/orders from web/# full=drop-oldest lease_s=30") == (
        "orders",
        QueueSettings(filters=("shop/+/orders", "web/#"), full="drop-oldest", lease_s=30.0),
    )
    assert parse_queue("  jobs  ") == ("jobs", QueueSettings())


def test_lines_are_kept_in_their_order() -> None:
    settings = parse("queue b\nqueue a prefetch=1\n", "m.conf").settings
    assert settings.queues == ("b", "a prefetch=1")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("queue", "Empty 'queue' value in configuration."),
        ("queue a/b", "Invalid 'queue' value (a/b): 'a/b' is no name of a queue"),
        ("queue a lease_s=x", "lease_s is a number of seconds, not 'x'."),
        ("queue a full=maybe", "full is one of reject, drop-oldest, drop-newest, not 'maybe'."),
        ("queue a wings=2", "'wings=2' is no setting of a queue: from FILTER, or one of"),
        ("queue a from", "`from` needs a topic filter."),
        ("queue a from a/#/b", "(a from a/#/b)"),
        ("queue a from $SYS/#", "a queue cannot be filled from"),
        ("queue a\nqueue a from b", "Duplicate 'queue' value in configuration (a)."),
    ],
)
def test_a_mistake_is_told_with_its_place(line: str, fault: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse(line, "m.conf")
    said = list(told.value.lines())
    assert fault in said[0]
    assert f"m.conf:{line.count(chr(10)) + 1}" in said[-1]


def test_a_program_is_told_as_well() -> None:
    with pytest.raises(ConfigError, match="no name of a queue"):
        Settings(queues=("a/b",))


def test_a_queue_cannot_be_the_queue_of_its_own_dead_letters() -> None:
    with pytest.raises(ConfigError, match="queue jobs cannot go to itself: name another one"):
        parse_queue("jobs from a/# dead=jobs")
    assert parse_queue("jobs dead=Jobs")[1].dead == "Jobs"
