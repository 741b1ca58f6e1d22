"""Configurations of the kinds that people run are read as they stand, without a warning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from midge.config.options import LATER, OPTIONS
from midge.config.settings import Configuration, anonymous_allowed
from midge.config.sources import configuration
from midge.errors import ConfigError

DIRECTORY = Path(__file__).parents[2] / "configs"


def load(name: str) -> tuple[Configuration, list[ConfigError]]:
    """A configuration, and what is wrong with it."""
    faults: list[ConfigError] = []

    def read_dir(path: str) -> list[tuple[str, str]]:
        return [(str(file), file.read_text()) for file in (DIRECTORY / path).glob("*.conf")]

    path = DIRECTORY / name
    made = configuration(path.read_text(), str(path), read_dir=read_dir, faults=faults)
    return made, faults


def not_there_yet(name: str) -> set[str]:
    """What of a configuration the registry says midge will do later."""
    words = [line.split() for line in (DIRECTORY / name).read_text().splitlines() if line]
    found = {
        word[0]
        for word in words
        if word[0] in OPTIONS
        and OPTIONS[word[0]].support == LATER
        and OPTIONS[word[0]].default != " ".join(word[1:])
        and word[1:] != ["/usr/share/mosquitto/go-auth.so"]
    }
    if (
        "protocol websockets" in (DIRECTORY / name).read_text()
        and OPTIONS["websockets_origin"].support == LATER
    ):
        found.add("protocol websockets")
    return found


NAMES = sorted(path.name for path in DIRECTORY.glob("*.conf"))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_read_without_a_warning(name: str) -> None:
    made, faults = load(name)
    refused = {re.findall(r"'(.*?)' is not supported", str(fault))[0] for fault in faults}
    assert refused == not_there_yet(name)
    assert [line for kind, line in made.messages if kind in ("warning", "error")] == []


LISTENERS = {
    "debian.conf": ["1883"],
    "docker.conf": ["1883", "9001"],
    "home_assistant.conf": ["1883", "1884", "8883", "8884"],
    "home_assistant_plugin.conf": ["1883", "1884", "8883", "8884"],
    "zigbee2mqtt.conf": ["0.0.0.0:1883"],
    "tls_client_certificates.conf": ["8883"],
    "websockets_proxy.conf": ["127.0.0.1:1883", "127.0.0.1:9001"],
    "passwords_acl.conf": ["1883"],
    "per_listener.conf": ["127.0.0.1:1883", "1884"],
}


def test_every_example_is_named_here() -> None:
    assert sorted(LISTENERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_listens_where_its_author_meant(name: str) -> None:
    made, _ = load(name)
    assert [listener.name() for listener in made.listeners] == LISTENERS[name]


@pytest.mark.parametrize("name", NAMES)
def test_only_who_was_meant_is_let_in_without_credentials(name: str) -> None:
    made, _ = load(name)
    allowed = [anonymous_allowed(made.settings, listener) for listener in made.listeners]
    expected = {"zigbee2mqtt.conf": [True], "per_listener.conf": [True, False]}
    assert allowed == expected.get(name, [False] * len(made.listeners))


def test_included_files_count() -> None:
    made, _ = load("debian.conf")
    assert made.settings.queued_messages_max == 5000
    assert made.settings.password_file == "/etc/mosquitto/passwd"


def test_the_plugin_of_home_assistants_add_on_is_read_as_options_of_midge() -> None:
    made, faults = load("home_assistant_plugin.conf")
    by_hand, _ = load("home_assistant.conf")
    assert faults == []
    made.settings.acl_file = None  # what the other one does not have
    by_hand.settings.queued_messages_max = made.settings.queued_messages_max
    by_hand.settings.log_timestamp_format = made.settings.log_timestamp_format
    assert made.settings == by_hand.settings
