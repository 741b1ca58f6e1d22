"""Configurations in TOML."""

from __future__ import annotations

import pytest

from midge.config.settings import Configuration
from midge.config.sources import configuration
from midge.errors import ConfigError


def read(text: str) -> Configuration:
    return configuration(text, "m.toml")


WHOLE = """\
max_keepalive = 60
persistent_client_expiration = "14d"
allow_anonymous = false
password_file = "/etc/pass words"
log_type = ["error", "debug"]
log_dest = ["stdout", "file /var/log/m.log"]
retain_available = false

[[listener]]
port = 1883
address = "127.0.0.1"
max_qos = 1
accept_protocol_versions = [4, 5]

[[listener]]
path = "/run/m.sock"
listener_allow_anonymous = true
"""


def test_a_file_in_toml_sets_what_the_other_kind_would() -> None:
    made = read(WHOLE)
    same = configuration(
        "max_keepalive 60\npersistent_client_expiration 14d\nallow_anonymous false\n"
        "password_file /etc/pass words\nlog_type error\nlog_type debug\nlog_dest stdout\n"
        "log_dest file /var/log/m.log\nretain_available false\nlistener 1883 127.0.0.1\n"
        "max_qos 1\naccept_protocol_versions 4,5\nlistener 0 /run/m.sock\n"
        "listener_allow_anonymous true",
        "m.conf",
    )
    assert made == same
    assert made.origins[-1, "password_file"] == "m.toml:4"
    assert made.origins[0, "max_qos"] == "m.toml:12"
    assert made.origins[1, "listener"] == "m.toml:15"


def test_without_a_listener_it_serves_this_machine_only() -> None:
    assert read("max_keepalive = 5").local_only


def test_per_listener_settings_may_stand_anywhere() -> None:
    made = read(
        'log_type = ["error"]\nper_listener_settings = true\n'
        '[[listener]]\nport = 1\npassword_file = "/p"'
    )
    assert made.listeners[0].password_file == "/p"


ERRORS = [
    ("a = ", 1, "Invalid value."),
    ("max_keepalive = 5\nmax_keepalive = 6", 2, "Cannot overwrite a value."),
    ("\nnonsense = 1", 2, "Unknown configuration variable 'nonsense'."),
    ("max_qoss = 1", 1, "Unknown configuration variable 'max_qoss'. Did you mean 'max_qos'?"),
    (
        'max_keepalive = "5"',
        1,
        "Invalid 'max_keepalive' value (5): it must be a whole number, without quotes.",
    ),
    (
        "max_keepalive = true",
        1,
        "Invalid 'max_keepalive' value (True): it must be a whole number, without quotes.",
    ),
    (
        "retain_available = 1",
        1,
        "Invalid 'retain_available' value (1): it must be true or false, without quotes.",
    ),
    ("pid_file = 5", 1, "Invalid 'pid_file' value (5): it must be a text in quotes."),
    ('pid_file = ["a"]', 1, "Invalid 'pid_file' value (['a']): it must be a text in quotes."),
    ("max_keepalive = 70000", 1, "Invalid 'max_keepalive' value (70000)."),
    ("sys_interval = 1\nmax_qos = 1", 2, "The 'max_qos' option belongs below a [[listener]]."),
    (
        'topic = "#"',
        1,
        "The 'topic' option can only be given in a mosquitto.conf.",
    ),
    ('include_dir = "/d"', 1, "The 'include_dir' option can only be given in a mosquitto.conf."),
    ("listener = 1883", 1, "A listener is a table of its own, which begins with [[listener]]."),
    ("\n[[listener]]\nmax_qos = 1", 2, "Empty 'listener port' value in configuration."),
    ("[[listener]]\nport = 70000", 1, "Invalid 'port' value (70000)."),
    ('[[listener]]\nport = "1"', 1, "Invalid 'port' value (1)."),
    (
        '[[listener]]\nport = 1\npath = "/x"',
        1,
        "A listener has either a 'path', or a 'port' and an 'address'.",
    ),
    (
        '[[listener]]\npath = "/a b"',
        1,
        "'address' and 'path' of a listener are without blanks and '#'.",
    ),
    (
        '[[listener]]\nport = 1\n\n[[listener]]\nport = 2\npassword_file = "/p"',
        6,
        "The 'password_file' option goes for the whole broker. It belongs above the first "
        "[[listener]].",
    ),
    ("[[listener]]\nport = 1\nmax_qos = 7", 3, "'max_qos' must be between 0 and 2 inclusive."),
]


@pytest.mark.parametrize(("text", "line", "words"), ERRORS, ids=lambda it: str(it)[:30])
def test_an_error_has_its_line(text: str, line: int, words: str) -> None:
    faults: list[ConfigError] = []
    configuration(text, "m.toml", faults=faults)
    assert faults[0].lines() == [f"Error: {words}", f"Error found at m.toml:{line}."]
    with pytest.raises(ConfigError):
        read(text)


def test_the_environment_outweighs_it() -> None:
    made = configuration("max_keepalive = 5", "m.toml", environment={"MIDGE_MAX_KEEPALIVE": "6"})
    assert made.settings.max_keepalive_s == 6
