"""Settings made from Python."""

from __future__ import annotations

import pytest

from midge.config.settings import (
    ListenerSettings,
    Settings,
    anonymous_allowed,
    local_configuration,
)
from midge.errors import ConfigError


def test_the_defaults_are_mosquittos() -> None:
    settings = Settings()
    assert settings.packet_bytes_max == 2_000_000
    assert settings.inflight_messages_max == 20
    assert settings.queued_messages_max == 1000
    assert settings.auto_id_prefix == "auto-"
    assert settings.retain_available
    assert not settings.queue_qos0
    assert settings.log_types == {"error", "warning", "notice", "information"}
    listener = ListenerSettings()
    assert (listener.port, listener.host, listener.max_qos) == (1883, None, 2)
    assert (listener.topic_alias_max, listener.topic_alias_broker_max) == (10, 10)
    assert listener.protocol_versions == {3, 4, 5}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("packet_bytes_max", 19),
        ("payload_bytes_max", 268_435_456),
        ("inflight_messages_max", -1),
        ("inflight_messages_max", 65_536),
        ("queued_bytes_max", -1),
        ("max_keepalive_s", 65_536),
        ("sys_interval_s", -1),
        ("connect_timeout_s", 0),
        ("connect_timeout_s", float("nan")),
        ("auto_id_prefix", "ä" * 26),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        Settings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65_536),
        ("max_qos", 3),
        ("topic_alias_max", 65_536),
        ("topic_alias_broker_max", -1),
        ("socket_domain", "ipx"),
        ("auto_id_prefix", "x" * 51),
    ],
)
def test_a_listener_setting_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        ListenerSettings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of_listener", "general", "host", "allowed"),
    [
        (None, None, "127.0.0.1", True),
        (None, None, "::1", True),
        (None, None, None, False),
        (None, None, "192.0.2.1", False),
        (None, True, None, True),
        (None, False, "127.0.0.1", False),
        (True, False, None, True),
        (False, True, "127.0.0.1", False),
    ],
)
def test_who_may_come_in_without_credentials(
    of_listener: bool | None, general: bool | None, host: str | None, allowed: bool
) -> None:
    listener = ListenerSettings(host=host, allow_anonymous=of_listener)
    assert anonymous_allowed(Settings(allow_anonymous=general), listener) is allowed


def test_without_a_configuration_only_this_machine_is_let_in() -> None:
    configuration = local_configuration()
    assert configuration.local_only
    assert [(each.host, each.port) for each in configuration.listeners] == [
        ("127.0.0.1", 1883),
        ("::1", 1883),
    ]
    assert all(anonymous_allowed(configuration.settings, each) for each in configuration.listeners)


def test_ports_of_the_command_line_are_opened_on_loopback_in_their_order() -> None:
    listeners = local_configuration((5000, 4000)).listeners
    assert [(each.host, each.port) for each in listeners] == [
        ("127.0.0.1", 5000),
        ("::1", 5000),
        ("127.0.0.1", 4000),
        ("::1", 4000),
    ]
