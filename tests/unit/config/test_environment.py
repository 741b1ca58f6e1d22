"""Options from the environment."""

from __future__ import annotations

import pytest

from midge.config import options
from midge.config.environment import VARIABLES, concerns
from midge.config.options import OPTIONS
from midge.config.settings import Configuration
from midge.config.sources import configuration
from midge.errors import ConfigError


def read(text: str | None = None, ports: tuple[int, ...] = (), **environment: str) -> Configuration:
    return configuration(text, "m.conf", ports=ports, environment=environment)


def fail(text: str | None = None, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, **environment)
    return caught.value.lines()


def test_every_option_but_those_of_bridges_and_plugins_has_a_variable() -> None:
    without = {
        option.name
        for option in OPTIONS.values()
        if option.place in (options.BRIDGE, options.PLUGIN)
    } | {"connection", "include_dir", "plugin_use"}
    assert set(VARIABLES.values()) == set(OPTIONS) - without
    assert VARIABLES["MIDGE_CIPHERS_TLS1_3"] == "ciphers_tls1.3"


def test_a_variable_outweighs_the_file_and_says_so_of_itself() -> None:
    made = read(
        "max_keepalive 5\npid_file /a\nlistener 1\nauto_id_prefix a-",
        MIDGE_MAX_KEEPALIVE="6",
        MIDGE_PID_FILE="/b c",
        MIDGE_AUTO_ID_PREFIX="b-",
        MIDGE_ALLOW_ANONYMOUS="true",
    )
    settings = made.settings
    assert (settings.max_keepalive_s, settings.pid_file) == (6, "/b c")
    assert (settings.auto_id_prefix, settings.allow_anonymous) == ("b-", True)
    assert made.origins[-1, "max_keepalive"] == "environment variable MIDGE_MAX_KEEPALIVE"
    assert [kind for kind, _ in made.messages] == ["notice", "notice"]  # both prefixes deprecated


def test_several_values_replace_all_those_of_the_file() -> None:
    made = read(
        "log_type debug\nlog_dest stderr\nlog_dest file /x",
        MIDGE_LOG_TYPE="error, warning",
        MIDGE_LOG_DEST="stdout,file /var/log/y",
    )
    assert made.settings.log_types == {"error", "warning"}
    assert made.settings.log_destinations == {"stdout", "file"}
    assert made.settings.log_file == "/var/log/y"


def test_the_environment_alone_can_define_a_listener_with_its_options() -> None:
    made = read(MIDGE_LISTENER="1884 0.0.0.0", MIDGE_MAX_TOPIC_ALIAS="3", MIDGE_MAX_QOS="1")
    (listener,) = made.listeners
    assert (listener.port, listener.host) == (1884, "0.0.0.0")
    assert (listener.topic_alias_max, listener.max_qos) == (3, 1)
    assert not made.local_only
    assert made.settings.allow_anonymous is False


def test_a_port_makes_the_default_listener() -> None:
    made = read(MIDGE_PORT="1884", MIDGE_BIND_ADDRESS="192.0.2.1", MIDGE_MAX_QOS="1")
    assert [(it.port, it.host, it.max_qos) for it in made.listeners] == [(1884, "192.0.2.1", 1)]


def test_options_of_a_listener_go_to_the_default_listener_of_the_file() -> None:
    made = read("port 1884\nmax_qos 2\nlistener 1885", MIDGE_MAX_QOS="1")
    assert [it.max_qos for it in made.listeners] == [1, 2]


def test_without_any_listener_they_go_to_those_on_loopback_which_stay_the_only_ones() -> None:
    made = read(ports=(5000,), MIDGE_MAX_QOS="1", MIDGE_MAX_CONNECTIONS="3")
    assert made.local_only
    assert [(it.host, it.port, it.max_qos) for it in made.listeners] == [
        ("127.0.0.1", 5000, 1),
        ("::1", 5000, 1),
    ]
    assert made.messages == []
    assert made.origins[1, "max_qos"] == "environment variable MIDGE_MAX_QOS"


def test_they_are_refused_where_only_the_file_has_listeners_and_none_is_the_default() -> None:
    assert fail("listener 1884", MIDGE_MAX_QOS="1") == [
        "Error: 'MIDGE_MAX_QOS' belongs to the default listener, and the configuration has none. "
        "Set 'max_qos' below its 'listener', or set 'MIDGE_LISTENER' too."
    ]


def test_security_options_belong_to_a_listener_with_per_listener_settings() -> None:
    made = read(MIDGE_PER_LISTENER_SETTINGS="true", MIDGE_LISTENER="1884", MIDGE_PASSWORD_FILE="/p")
    assert made.settings.password_file is None
    assert made.listeners[0].password_file == "/p"
    assert (
        "belongs to the default listener"
        in fail("per_listener_settings true\nlistener 1", MIDGE_PASSWORD_FILE="/p")[0]
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "MIDGE_MAX_QOSS",
            "Unknown environment variable 'MIDGE_MAX_QOSS'. Did you mean 'MIDGE_MAX_QOS'?",
        ),
        (
            "MIDGE_ALLOW_ANONYMUS",
            "Unknown environment variable 'MIDGE_ALLOW_ANONYMUS'. Did you "
            "mean 'MIDGE_ALLOW_ANONYMOUS'?",
        ),
        ("MIDGE_XYZZY", "Unknown environment variable 'MIDGE_XYZZY'."),
        ("MIDGE_max_qos", "Unknown environment variable 'MIDGE_max_qos'"),
        ("MIDGE_TOPIC", "The 'topic' option cannot come from the environment (MIDGE_TOPIC)."),
        (
            "MIDGE_INCLUDE_DIR",
            "The 'include_dir' option cannot come from the environment (MIDGE_INCLUDE_DIR).",
        ),
        (
            "MIDGE_PLUGIN_OPT_X",
            "The 'plugin_opt_*' option cannot come from the environment (MIDGE_PLUGIN_OPT_X).",
        ),
    ],
)
def test_a_name_that_is_no_option_is_an_error(name: str, words: str) -> None:
    if name == "MIDGE_max_qos":
        words = "The 'max_qos' option cannot come from the environment (MIDGE_max_qos)."
    assert fail(**{name: "1"}) == [f"Error: {words}"]


def test_a_value_that_cannot_be_used_is_an_error_that_names_the_variable() -> None:
    assert fail(MIDGE_MAX_KEEPALIVE="ten") == [
        "Error: 'max_keepalive' value not a number.",
        "Error found in the environment variable MIDGE_MAX_KEEPALIVE.",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MIDGE_MAX_KEEPALIVE", ""),
        ("MIDGE_PURE", "1"),
        ("MIDGE_TEST_BROKER", "mosquitto"),
        ("MIDGE_PORT", "tcp://10.0.0.1:1883"),
        ("MIDGE_PORT_1883_TCP_ADDR", "10.0.0.1"),
        ("MIDGE_SERVICE_HOST", "10.0.0.1"),
        ("MIDGE_SERVICE_PORT_MQTT", "1883"),
        ("MIDGE_BROKER_PORT", "tcp://10.0.0.1:1883"),
        ("OTHER", "x"),
    ],
)
def test_what_others_put_there_is_passed_over(name: str, value: str) -> None:
    made = read(**{name: value})
    assert made.local_only
    assert made.origins == {}


def test_mosquittos_own_variable_outweighs_the_file_and_yields_to_ours() -> None:
    both = "persistence true\npersistence_location /a"
    made = read(both, MOSQUITTO_PERSISTENCE_LOCATION="/b")
    assert made.settings.persistence_location == "/b"
    assert made.origins[-1, "persistence_location"] == (
        "environment variable MOSQUITTO_PERSISTENCE_LOCATION"
    )
    made = read(both, MOSQUITTO_PERSISTENCE_LOCATION="/b", MIDGE_PERSISTENCE_LOCATION="/c")
    assert made.settings.persistence_location == "/c"


def test_all_that_is_wrong_can_be_had_at_once() -> None:
    faults: list[ConfigError] = []
    configuration(
        "listener 1\nnonsense",
        "m.conf",
        environment={"MIDGE_NONSENSE": "1", "MIDGE_MAX_KEEPALIVE": "x", "MIDGE_MAX_QOS": "1"},
        faults=faults,
    )
    assert len(faults) == 4


def test_an_environment_without_options_needs_no_reading() -> None:
    assert not concerns({"HOME": "/", "XMIDGE_PORT": "1"})
    assert concerns({"MIDGE_PORT": "1"})
    assert concerns({"MOSQUITTO_PERSISTENCE_LOCATION": "/x"})
