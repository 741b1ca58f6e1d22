"""A configuration that loads mosquitto_persist_sqlite is one with persistence."""

from __future__ import annotations

import pytest

from midge.config.mosquitto_conf import parse
from midge.config.settings import Configuration
from midge.errors import ConfigError

PLUGIN = "plugin /usr/lib/x86_64-linux-gnu/mosquitto_persist_sqlite.so\n"


def said(configuration: Configuration, kind: str) -> list[str]:
    return [text for one, text in configuration.messages if one == kind]


def test_the_file_of_the_plugin_says_where_the_store_is() -> None:
    found = parse(f"{PLUGIN}plugin_opt_db_file /var/lib/mosquitto/m.sqlite3\n", "m.conf")
    settings = found.settings
    assert settings.persistence
    assert settings.persistence_location == "/var/lib/mosquitto"
    assert settings.persistence_sync == "full"
    assert "midge keeps what mosquitto_persist_sqlite would keep" in said(found, "information")[0]
    assert not said(found, "warning")


def test_persistence_location_outweighs_it() -> None:
    text = f"persistence_location /data/\n{PLUGIN}plugin_opt_db_file /var/lib/m.sqlite3\n"
    assert parse(text, "m.conf").settings.persistence_location == "/data/"


@pytest.mark.parametrize(
    ("given", "sync"), [("extra", "full"), ("full", "full"), ("Normal", "normal"), ("off", "off")]
)
def test_sync_is_what_a_commit_waits_for(given: str, sync: str) -> None:
    text = f"{PLUGIN}plugin_opt_db_file /d/m\nplugin_opt_sync {given}\n"
    assert parse(text, "m.conf").settings.persistence_sync == sync
    own = parse(f"persistence_sync normal\n{text}", "m.conf").settings
    assert own.persistence_sync == "normal"


def test_what_only_the_plugin_minds_makes_no_difference() -> None:
    text = f"{PLUGIN}plugin_opt_db_file m\nplugin_opt_flush_period 5\nplugin_opt_page_size 4096\n"
    assert parse(text, "m.conf").settings.persistence_location == "."


def test_without_a_place_it_is_not_activated() -> None:
    found = parse(PLUGIN, "m.conf")
    assert not found.settings.persistence
    assert "is not activated (m.conf:1)" in said(found, "warning")[0]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("plugin_opt_sync often", "Invalid plugin_opt_sync value 'often'"),
        ("plugin_opt_page_size x", "Invalid plugin_opt_page_size value 'x'"),
        ("plugin_opt_wings 2", "mosquitto_persist_sqlite has no option 'wings'"),
    ],
)
def test_a_mistake_is_told(line: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parse(f"{PLUGIN}plugin_opt_db_file m\n{line}\n", "m.conf")
