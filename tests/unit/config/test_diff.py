"""The reload plan: what changed between two configurations, and what that means."""

from __future__ import annotations

import pytest

from midge.config import options
from midge.config.diff import ReloadPlan, plan
from midge.config.mosquitto_conf import parse
from midge.config.options import OPTIONS
from midge.config.settings import ListenerSettings, Settings


def planned(old: str, new: str) -> ReloadPlan:
    return plan(parse(old, "m.conf"), parse(new, "m.conf"))


def names(plan: ReloadPlan) -> dict[str, list[str]]:
    """What is in a plan, by the names of options and the addresses of listeners."""
    result: dict[str, list[str]] = {}
    for part in ("applied", "restart"):
        result[part] = [str(change) for change in getattr(plan, part)]
    for part in ("opened", "closed"):
        result[part] = [listener.name() for listener in getattr(plan, part)]
    for part in ("reopened", "changed", "unchanged"):
        result[part] = [
            f"{each.new.name()}: {', '.join(map(str, each.changes))}".removesuffix(": ")
            for each in getattr(plan, part)
        ]
    return {part: found for part, found in result.items() if found}


TABLE = [
    ("", "", {"unchanged": ["127.0.0.1:1883", "::1:1883"]}),
    (
        "listener 1\nmax_keepalive 5",
        "listener 1\nmax_keepalive 6",
        {"applied": ["max_keepalive from 5 to 6"], "unchanged": ["1"]},
    ),
    (
        "listener 1",
        "listener 1\nlog_type debug\nlog_dest file /x",
        {
            "applied": [
                "log_dest from stderr to file /x",
                "log_type from error, information, notice, warning to debug",
            ],
            "unchanged": ["1"],
        },
    ),
    (
        "listener 1",
        "listener 1\npid_file /x",
        {"restart": ["pid_file from nothing to /x"], "unchanged": ["1"]},
    ),
    (
        "listener 1\nlistener 2",
        "listener 2\nlistener 3",
        {
            "opened": ["3"],
            "closed": ["1"],
            "unchanged": ["2"],
        },
    ),
    ("listener 1", "listener 1 127.0.0.1", {"opened": ["127.0.0.1:1"], "closed": ["1"]}),
    ("listener 0 /a", "listener 0 /b", {"opened": ["/b"], "closed": ["/a"]}),
    (
        "",
        "listener 1883",
        {
            "applied": ["allow_anonymous from nothing to false"],
            "opened": ["1883"],
            "closed": ["127.0.0.1:1883", "::1:1883"],
        },
    ),
    (
        "listener 1\nlistener 2\nmax_connections 5",
        "listener 1\nmax_qos 1\nlistener_allow_anonymous true\nlistener 2\nmax_connections 5",
        {
            "changed": ["1: listener_allow_anonymous from nothing to true, max_qos from 2 to 1"],
            "unchanged": ["2"],
        },
    ),
    (
        "listener 1\nsocket_domain ipv4\nlistener 1\nsocket_domain ipv6",
        "listener 1\nsocket_domain ipv6\nmax_qos 0\nlistener 1\nsocket_domain ipv4",
        {"changed": ["1 (ipv6): max_qos from 2 to 0"], "unchanged": ["1 (ipv4)"]},
    ),
    (
        "listener 1\nbind_interface lo\nlistener 1\nbind_interface eth0",
        "listener 1\nbind_interface eth0\nmax_qos 0\nlistener 1\nbind_interface eth1",
        {
            "changed": ["1%eth0: max_qos from 2 to 0"],
            "opened": ["1%eth1"],
            "closed": ["1%lo"],
        },
    ),
    (
        "per_listener_settings true\nlistener 1\npassword_file /a\nlistener 2\npassword_file /b",
        "per_listener_settings true\nlistener 1\npassword_file /c\nlistener 2\npassword_file /b",
        {"changed": ["1: password_file from /a to /c"], "unchanged": ["2"]},
    ),
    ("port 1", "listener 1", {"unchanged": ["1"]}),
]


@pytest.mark.parametrize(("old", "new", "expected"), TABLE)
def test_a_plan_names_what_changed(old: str, new: str, expected: dict[str, list[str]]) -> None:
    assert names(planned(old, new)) == expected


def test_what_needs_a_restart_keeps_its_old_value_and_the_rest_is_applied() -> None:
    made = planned("listener 1\npid_file /a\nuser a", "listener 1\npid_file /b\nmax_keepalive 7")
    assert (made.settings.pid_file, made.settings.user) == ("/a", "a")
    assert made.settings.max_keepalive_s == 7
    assert made.warnings() == [
        "Warning: The 'pid_file' option was changed from /a to /b, which needs a restart of the "
        "broker.",
        "Warning: The 'user' option was changed from a to mosquitto, which needs a restart of "
        "the broker.",
    ]
    assert not made.is_empty()


def test_a_plan_without_a_change_is_empty() -> None:
    made = planned("listener 1\nmax_qos 1", "listener 1\nmaximum_qos 1")
    assert made.is_empty()
    assert made.warnings() == []


def test_security_that_moves_to_the_listeners_is_applied_on_both_sides() -> None:
    made = planned(
        "listener 1\npassword_file /p",
        "per_listener_settings true\nlistener 1\npassword_file /p",
    )
    assert "password_file from /p to nothing" in names(made)["applied"]
    assert "password_file from nothing to /p" in names(made)["changed"][0]
    assert made.settings.password_file is None


def other(value: object) -> object:
    """Another value of the kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, frozenset):
        return frozenset(list(value)[1:])
    if isinstance(value, list):
        return [*value, "x"]
    if isinstance(value, tuple):
        return (*value, "x")
    return f"{value}x"


@pytest.mark.parametrize("name", sorted(Settings.__dataclass_fields__))
def test_no_general_setting_changes_unseen(name: str) -> None:
    if name in ("connect_timeout_s", "log_file"):
        return  # one has no option, the other belongs to log_dest
    old, new = parse("listener 1", "m.conf"), parse("listener 1", "m.conf")
    setattr(new.settings, name, other(getattr(old.settings, name)))
    made = plan(old, new)
    assert name in [change.option.setting for change in (*made.applied, *made.restart)]


@pytest.mark.parametrize("name", sorted(ListenerSettings.__dataclass_fields__))
def test_no_setting_of_a_listener_changes_unseen(name: str) -> None:
    old, new = (parse("listener 1\nlistener 2", "m.conf") for _ in range(2))
    setattr(new.listeners[0], name, other(getattr(old.listeners[0], name)))
    made = plan(old, new)
    seen = [*made.changed, *made.reopened]
    assert seen or (made.opened and made.closed)
    assert len(made.unchanged) == 1


@pytest.mark.parametrize(
    "option",
    [each for each in OPTIONS.values() if each.place == options.GENERAL and each.setting],
    ids=lambda each: each.name,
)
def test_an_option_that_a_reload_applies_is_not_among_those_that_need_a_restart(
    option: options.Option,
) -> None:
    assert option.setting is not None
    old, new = parse("listener 1", "m.conf"), parse("listener 1", "m.conf")
    setattr(new.settings, option.setting, other(getattr(old.settings, option.setting)))
    made = plan(old, new)
    changed = made.applied if option.reloadable else made.restart
    assert option.setting in [change.option.setting for change in changed]
