"""A mosquitto.conf read: what it sets, what it says, and how it fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.config import options
from midge.config.bridges import BridgeTopic
from midge.config.forms import read_lines
from midge.config.mosquitto_conf import new_reader, parse
from midge.config.options import OPTIONS
from midge.config.reader import Reader
from midge.config.settings import GENERAL_ORIGIN, Configuration, Settings, anonymous_allowed
from midge.errors import ConfigError
from tests.unit.config.error_table import BRIDGE_ERRORS, ERRORS


def read(text: str, ports: tuple[int, ...] = ()) -> Configuration:
    return parse(text, "m.conf", ports=ports)


def fail(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return caught.value.lines()


def said(configuration: Configuration, kind: str) -> list[str]:
    return [line for each, line in configuration.messages if each == kind]


def deprecated(name: str) -> str:
    return f"The '{name}' option is now deprecated and will be removed in version 3.0 of Mosquitto."


# -- what options set --------------------------------------------------------------------------

GENERAL = [
    ("max_packet_size 1000", "packet_bytes_max", 1000),
    ("max_packet_size 0x400", "packet_bytes_max", 1024),
    ("max_packet_size 0100", "packet_bytes_max", 64),
    ("max_packet_size 1000 and the rest is not looked at", "packet_bytes_max", 1000),
    ("   max_packet_size    1000", "packet_bytes_max", 1000),
    ("max_packet_size 1000\r", "packet_bytes_max", 1000),
    ("message_size_limit 7", "payload_bytes_max", 7),
    ("max_inflight_messages 5", "inflight_messages_max", 5),
    ("max_inflight_messages -1", "inflight_messages_max", 0),
    ("max_inflight_messages 65535", "inflight_messages_max", 0),
    ("max_queued_messages 3", "queued_messages_max", 3),
    ("max_queued_messages -3", "queued_messages_max", 0),
    ("max_queued_bytes 3000", "queued_bytes_max", 3000),
    ("queue_qos0_messages true", "queue_qos0", True),
    ("queue_qos0_messages 1", "queue_qos0", True),
    ("max_keepalive 65535", "max_keepalive_s", 65_535),
    ("global_max_connections 10", "connections_max", 10),
    ("global_max_connections 0", "connections_max", -1),
    ("allow_anonymous true", "allow_anonymous", True),
    ("allow_anonymous 0", "allow_anonymous", False),
    ("allow_zero_length_clientid false", "allow_zero_length_client_id", False),
    ("auto_id_prefix  dev ", "auto_id_prefix", "dev"),
    ("allow_duplicate_messages false", "allow_duplicate_messages", False),
    ("retain_available false", "retain_available", False),
    ("check_retain_source false", "check_retain_source", False),
    ("persistent_client_expiration 90s", "persistent_client_expiration_s", 90),
    ("persistent_client_expiration 2h", "persistent_client_expiration_s", 7200),
    ("persistent_client_expiration 1d", "persistent_client_expiration_s", 86_400),
    ("persistent_client_expiration 1w", "persistent_client_expiration_s", 604_800),
    ("persistent_client_expiration 1m", "persistent_client_expiration_s", 2_592_000),
    ("persistent_client_expiration 1y", "persistent_client_expiration_s", 31_536_000),
    ("upgrade_outgoing_qos true", "upgrade_outgoing_qos", True),
    ("set_tcp_nodelay true", "set_tcp_nodelay", True),
    ("connection_messages false", "connection_messages", False),
    ("sys_interval 5", "sys_interval_s", 5),
    ("memory_limit 8589934592", "memory_bytes_max", 8_589_934_592),
    ("rate_limit_bytes 4294967296", "rate_limit_bytes", 4_294_967_296),
    ("retain_expiry_interval 20000000", "retain_expiry_check_min", 10_000_000),
    ("pid_file /run/with a space.pid", "pid_file", "/run/with a space.pid"),
    ("user nobody", "user", "nobody"),
    ("user nobody\nuser somebody", "user", "somebody"),
    ("log_timestamp false", "log_timestamp", False),
    ("log_timestamp_format %Y-%m-%dT%H:%M:%S # kept", "log_timestamp_format", None),
    ("log_dest stdout", "log_destinations", {"stdout"}),
    ("log_dest stdout\nlog_dest stderr", "log_destinations", {"stdout", "stderr"}),
    ("log_dest stdout\nlog_dest none", "log_destinations", set()),
    ("log_dest none\nlog_dest stderr", "log_destinations", {"stderr"}),
    ("log_dest file /var/log/m.log", "log_destinations", {"file"}),
    ("log_dest file   /var/log/a b.log", "log_file", "/var/log/a b.log"),
    ("log_type debug", "log_types", {"debug"}),
    ("log_type debug\nlog_type subscribe", "log_types", {"debug", "subscribe"}),
    ("log_type debug\nlog_type none\nlog_type error", "log_types", {"error"}),
]


@pytest.mark.parametrize(("text", "name", "value"), GENERAL)
def test_a_general_option_sets_its_value(text: str, name: str, value: object) -> None:
    if value is None:
        value = text.partition(" ")[2]  # a text is the whole rest of its line
    assert getattr(read(text).settings, name) == value
    if text not in ("global_max_connections 0", "log_dest none\nlog_dest stderr"):
        assert getattr(Settings(), name) != value  # so that the line was needed


def test_log_type_all_is_every_kind() -> None:
    assert read("log_type all").settings.log_types >= {
        *("error", "warning", "notice", "information"),
        *("debug", "subscribe", "unsubscribe", "websockets"),
    }


LISTENER = [
    ("max_connections 5", "connections_max", 5),
    ("max_connections 0", "connections_max", -1),
    ("max_connections -7", "connections_max", -1),
    ("max_qos 1", "max_qos", 1),
    ("maximum_qos 0", "max_qos", 0),
    ("max_topic_alias 0", "topic_alias_max", 0),
    ("max_topic_alias_broker 65535", "topic_alias_broker_max", 65_535),
    ("use_username_as_clientid true", "use_username_as_client_id", True),
    ("listener_allow_anonymous true", "allow_anonymous", True),
    ("listener_auto_id_prefix here-", "auto_id_prefix", "here-"),
    ("accept_protocol_versions 4, 5", "protocol_versions", {4, 5}),
    ("accept_protocol_versions 3", "protocol_versions", {3}),
    ("socket_domain ipv6", "socket_domain", "ipv6"),
    ("protocol mqtt", "protocol", "mqtt"),
]


@pytest.mark.parametrize(("text", "name", "value"), LISTENER)
def test_an_option_of_a_listener_sets_the_one_above_it(text: str, name: str, value: object) -> None:
    listeners = read(f"listener 1000\nlistener 2000\n{text}\nlistener 3000").listeners
    assert [each.port for each in listeners] == [1000, 2000, 3000]
    assert getattr(listeners[1], name) == value
    if value not in ("mqtt", -1):  # which it would also be without the line
        assert getattr(listeners[0], name) != value
        assert getattr(listeners[2], name) != value


def test_comments_and_empty_lines_are_passed_over() -> None:
    configuration = read("# listener 1\n\n   \n\r\nlistener 2000 # the rest\n#")
    assert [(each.port, each.host) for each in configuration.listeners] == [(2000, None)]
    assert configuration.messages == []


def test_a_listener_can_have_an_address_or_a_path() -> None:
    tcp, unix = read("listener 1883 192.0.2.1 ignored\nlistener 0 /run/m.sock").listeners
    assert (tcp.port, tcp.host, tcp.unix_path) == (1883, "192.0.2.1", None)
    assert (unix.port, unix.host, unix.unix_path) == (0, None, "/run/m.sock")


# -- the default listener and local only mode --------------------------------------------------


@pytest.mark.parametrize("text", ["", "# nothing", "max_packet_size 1000"])
def test_without_a_listener_only_loopback_is_listened_on(text: str) -> None:
    configuration = read(text)
    assert configuration.local_only
    assert [(each.host, each.port) for each in configuration.listeners] == [
        ("127.0.0.1", 1883),
        ("::1", 1883),
    ]
    assert all(anonymous_allowed(configuration.settings, each) for each in configuration.listeners)


def test_ports_of_the_command_line_count_only_without_a_listener() -> None:
    assert {each.port for each in read("", ports=(7, 8)).listeners} == {7, 8}
    assert {each.port for each in read("listener 9", ports=(7, 8)).listeners} == {9}


def test_port_and_bind_address_make_and_shape_the_default_listener() -> None:
    configuration = read("bind_address 192.0.2.1\nport 2000\nlistener 3000")
    assert not configuration.local_only
    assert [(each.host, each.port) for each in configuration.listeners] == [
        ("192.0.2.1", 2000),
        (None, 3000),
    ]
    assert said(configuration, "notice") == [
        deprecated("bind_address"),
        deprecated("port") + " Please use 'listener' instead.",
    ]
    assert said(configuration, "information")[0] == (
        "Creating default listener due to 'bind_address' option."
    )


def test_a_port_given_twice_is_the_last_one_with_a_warning() -> None:
    configuration = read("port 2000\nport 2001")
    assert [each.port for each in configuration.listeners] == [2001]
    assert said(configuration, "warning") == [
        "Warning: Default listener port specified multiple times. Only the latest will be used."
    ]


def test_an_option_above_the_first_listener_makes_the_default_listener() -> None:
    configuration = read("max_connections 5\nlistener 2000")
    assert [(each.port, each.connections_max) for each in configuration.listeners] == [
        (1883, 5),
        (2000, -1),
    ]
    assert said(configuration, "information") == [
        "Creating default listener due to 'max_connections' option.",
        "It is best practice to define a 'listener' first. Using the 'max_connections' option "
        "without a listener will be disabled in the future.",
    ]


@pytest.mark.parametrize(
    ("text", "listeners"),
    [
        ("protocol mqtt\nlistener 1883", [(None, 1883)]),
        (
            "protocol mqtt\nlistener 1884\nlistener 1883 192.0.2.1",
            [(None, 1884), ("192.0.2.1", 1883)],
        ),
        ("protocol mqtt\nlistener 1884", [(None, 1883), (None, 1884)]),
        ("max_qos 1\nlistener 1883", [(None, 1883), (None, 1883)]),
        ("port 1883\nlistener 1883", [(None, 1883), (None, 1883)]),
    ],
)
def test_a_default_listener_that_is_like_any_other_does_not_take_the_port_of_another(
    text: str, listeners: list[tuple[str | None, int]]
) -> None:
    assert [(each.host, each.port) for each in read(text).listeners] == listeners


def test_an_option_of_a_listener_that_never_comes_has_no_effect_and_says_so() -> None:
    configuration = read("\nmax_qos 1")
    assert configuration.local_only
    assert [each.max_qos for each in configuration.listeners] == [2, 2]
    assert said(configuration, "warning") == [
        "Warning: The 'max_qos' option has no effect (m.conf:2): there is no 'listener' that it "
        "could belong to."
    ]


# -- who may come in ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", [True, True]),
        ("allow_anonymous false", [False, False]),
        ("listener 1000", [False]),
        ("listener 1000 127.0.0.1", [False]),
        ("allow_anonymous true\nlistener 1000", [True]),
        ("listener 1000\nallow_anonymous true\nlistener 2000", [True, True]),
        ("allow_anonymous true\nlistener 1\nlistener_allow_anonymous false", [False]),
        ("allow_anonymous false\nlistener 1\nlistener_allow_anonymous true", [True]),
        ("listener 1\nlistener_allow_anonymous true\nlistener 2", [True, False]),
        (
            "per_listener_settings true\nlistener 1\nallow_anonymous true\nlistener 2",
            [True, False],
        ),
    ],
)
def test_who_may_come_in_without_credentials(text: str, allowed: list[bool]) -> None:
    configuration = read(text)
    assert [
        anonymous_allowed(configuration.settings, each) for each in configuration.listeners
    ] == allowed


def test_with_per_listener_settings_security_options_belong_to_the_listener_above() -> None:
    configuration = read(
        "per_listener_settings true\nlistener 1\nallow_zero_length_clientid false\n"
        "auto_id_prefix one-\nlistener 2\nper_listener_settings false\nauto_id_prefix two-"
    )
    one, two = configuration.listeners
    assert (one.allow_zero_length_client_id, one.auto_id_prefix) == (False, "one-")
    assert (two.allow_zero_length_client_id, two.auto_id_prefix) == (None, "two-")
    assert configuration.settings.auto_id_prefix == "auto-"
    assert configuration.settings.allow_zero_length_client_id


def test_allow_anonymous_under_per_listener_settings_is_to_be_replaced() -> None:
    configuration = read("per_listener_settings true\nlistener 1\nallow_anonymous true")
    assert said(configuration, "notice")[-1] == (
        "You are using the 'allow_anonymous' option with 'per_listener_settings true'. "
        "Please replace this with 'listener_allow_anonymous'."
    )


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "words"), ERRORS, ids=lambda text: text[:40])
def test_an_error_has_mosquittos_words_and_its_place(text: str, words: str) -> None:
    line = text.count("\n") + 1
    assert fail(text) == [f"Error: {words}", f"Error found at m.conf:{line}."]


def test_an_error_carries_file_and_line() -> None:
    with pytest.raises(ConfigError) as caught:
        read("\n\nnonsense")
    assert (caught.value.file, caught.value.line) == ("m.conf", 3)


# -- what midge does not act on ----------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "plugin /usr/lib/p.so",
        "plugin_load name /usr/lib/p.so",
        "listener 1\ntls_engine x",
        "log_dest dlt",
    ],
)
def test_what_clients_could_miss_is_an_error_with_its_place(text: str) -> None:
    what = text.splitlines()[-1]
    error, place = fail(text)
    assert place == f"Error found at m.conf:{text.count(chr(10)) + 1}."
    assert "is not supported by this version of midge" in error
    assert what.split()[0] in error


@pytest.mark.parametrize(
    "text",
    [
        "persistence false",
        "memory_limit 0",
        "global_max_clients -1",
        "global_max_clients 0",
        "listener 1\nrequire_certificate false",
        "enable_control_api false",
    ],
)
def test_an_option_that_is_not_supported_may_have_its_default(text: str) -> None:
    assert said(read(text), "warning") == []


@pytest.mark.parametrize(
    "option",
    [option for option in OPTIONS.values() if option.support == options.LATER],
    ids=lambda option: option.name,
)
def test_no_unsupported_option_is_passed_over(option: options.Option) -> None:
    value = {options.BOOL: "false" if option.default == "true" else "true", options.INT: "2"}
    text = value.get(option.kind, "value" if option.name != "plugin_load" else "name path")
    name = option.name.replace("*", "option")
    above = {
        options.BRIDGE: "connection c\n" + "address a\n" * (option.setting != "addresses"),
        options.PLUGIN: "plugin p\n",
    }
    faults: list[ConfigError] = []
    parse(f"listener 1883\n{above.get(option.place, '')}{name} {text}", "m.conf", faults=faults)
    assert faults
    if option.place in (options.BRIDGE, options.PLUGIN):
        name = "connection" if option.place == options.BRIDGE else "plugin"
        assert f"'{name}' is not supported" in str(faults[-1])
    elif option.name == "connection":
        assert "'connection' is not supported" in str(faults[-1])
    elif option.name == "plugin_use":
        assert "not previously loaded" in str(faults[0])
    else:
        assert f"'{name}' is not supported" in str(faults[0])


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "autosave_interval 60",
            "Warning: The 'autosave_interval' option is not used by midge (m.conf:1).",
        ),
        (
            "retain_expiry_interval 10000001",
            "Warning: retain_expiry_interval being capped at 19 years.",
        ),
        ("retry_interval 5", "Warning: The 'retry_interval' option is no longer available."),
        ("dhparamfile x", "Warning: dhparamfile is no longer required."),
        (
            "listener 1\naccept_protocol_versions 6",
            "Warning: 'accept_protocol_versions' names no version, so nobody can connect "
            "(m.conf:2).",
        ),
    ],
)
def test_what_nobody_would_notice_is_a_warning(text: str, warning: str) -> None:
    assert said(read(text), "warning") == [warning]


def test_a_log_may_go_to_several_places() -> None:
    text = "log_dest syslog\nlog_dest topic\nlog_dest stdout"
    assert read(text).settings.log_destinations == {"syslog", "topic", "stdout"}


def test_the_form_of_the_log_is_one_of_two() -> None:
    assert read("log_format json").settings.log_format == "json"
    assert fail("log_format yaml")[0] == "Error: Invalid 'log_format' value (yaml)."


def test_deprecated_options_work_and_say_what_to_use() -> None:
    configuration = read("auto_id_prefix x\nmessage_size_limit 5\nallow_duplicate_messages false")
    assert said(configuration, "notice") == [
        deprecated("auto_id_prefix") + " Please use 'listener_auto_id_prefix' instead.",
        "Note: It is recommended to replace `message_size_limit` with `max_packet_size`.",
        deprecated("allow_duplicate_messages") + " The behaviour will default to true.",
    ]


# -- bridges and plugins -----------------------------------------------------------------------


@pytest.mark.parametrize(("text", "words"), BRIDGE_ERRORS, ids=lambda text: text[-40:])
def test_an_error_of_a_bridge_or_plugin_has_mosquittos_words_and_its_place(
    text: str, words: str
) -> None:
    line = text.count("\n") + 1
    assert fail(text) == [f"Error: {words}", f"Error found at m.conf:{line}."]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("connection far", "no remote addresses defined."),
        ("connection far\naddress a", "no topics defined."),
        ("connection far\naddress a\ntopic #\nbridge_psk 00", "missing bridge_identity."),
        ("connection far\naddress a\ntopic #\nbridge_identity x", "missing bridge_psk."),
    ],
)
def test_what_a_bridge_lacks_is_said_at_its_connection(text: str, words: str) -> None:
    assert fail("\n" + text) == [
        f"Error: Invalid bridge configuration: {words}",
        "Error found at m.conf:2.",
    ]


def collect(text: str) -> tuple[Reader, list[ConfigError]]:
    """What a reader has after a text, and what is wrong with it."""
    faults: list[ConfigError] = []
    reader = new_reader(faults=faults)
    read_lines(reader, text, "m.conf")
    reader.finish(())
    return reader, faults


def test_a_whole_bridge_is_read_and_refused_by_name_and_line() -> None:
    reader, faults = collect(
        "listener 1883\nconnection far\naddress one two:8883 fd00::1:1884 # three\n"
        'topic # both 1 local/ remote/\ntopic "with space" IN\n'
        'topic "" out 2 here there\ntopic status out # comment\nremote_clientid id\n'
        "cleansession true\nbridge_tcp_keepalive 10 20 30\nrestart_timeout 2 60 7\n"
        "bridge_protocol_version mqttv50\nnotifications false\nkeepalive_interval 1"
    )
    (bridge,) = reader.bridges
    assert bridge.addresses == [("one", 1883), ("two", 8883), ("fd00::1", 1884)]
    assert bridge.topics == [
        BridgeTopic("#", "both", 1, "local/", "remote/"),
        BridgeTopic("with space", "in"),
        BridgeTopic(None, "out", 2, "here", "there"),
        BridgeTopic("status"),
    ]
    assert bridge.remote_client_id == "id"
    assert bridge.clean_session
    assert bridge.tcp_keepalive == (10, 20, 30)
    assert (bridge.restart_min_s, bridge.restart_max_s, bridge.restart_stable_s) == (2, 60, 7)
    assert bridge.protocol_version == "mqttv50"
    assert not bridge.notifications
    assert bridge.keepalive_s == 5
    assert ("notice", "keepalive interval too low, using 5 seconds.") in reader.messages
    (fault,) = faults
    assert "'connection' is not supported by this version of midge" in str(fault)
    assert fault.line == 2


@pytest.mark.parametrize("name", ["a/b", "+", "$x", "x" * 300])
@pytest.mark.parametrize("option", ["zmtp_queue", "zmtp_user_queue ann"])
def test_what_is_no_name_of_a_queue_is_refused_where_it_stands(option: str, name: str) -> None:
    _, (fault,) = collect(f"listener 1883\nprotocol zmtp\n{option} {name}\n")
    assert fault.line == 3
    assert name in str(fault)


def test_two_bridges_may_not_have_one_local_client_id() -> None:
    topics = "topic #\naddress a\n"
    _, faults = collect(
        f"connection one\nremote_clientid x\n{topics}"
        f"connection two\nlocal_clientid local.x\n{topics}connection three\n{topics}"
    )
    assert faults[0].lines() == [
        "Error: Bridge local_clientid 'local.x' is not unique. Try changing or setting the "
        "local_clientid value for one of the bridges.",
        "Error found at m.conf:5.",
    ]


def test_a_plugin_is_read_with_its_options_and_refused_by_name_and_line() -> None:
    reader, faults = collect(
        "plugin_load acl /usr/lib/a b.so\nplugin_opt_file  /etc/acl\nplugin_opt_long_name x y\n"
        "listener 1883\nplugin_use acl\nplugin_opt_more 1\nauth_plugin /p\n"
        "auth_opt_key v\nauth_plugin_deny_special_chars false"
    )
    acl, old = reader.plugins
    assert (acl.name, acl.path) == ("acl", "/usr/lib/a b.so")
    assert acl.options == [("file", "/etc/acl"), ("long_name", "x y"), ("more", "1")]
    assert (old.path, old.options, old.deny_special_chars) == ("/p", [("key", "v")], False)
    assert [(str(fault)[:40], fault.line) for fault in faults] == [
        ("Error: 'plugin_load' is not supported by", 1),
        ("Error: 'auth_plugin' is not supported by", 7),
    ]


# -- what does not go together, and what has no effect -----------------------------------------


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        (
            "certfile c",
            "Both certfile and keyfile must be provided to enable a TLS listener.",
            2,
        ),
        (
            "max_qos 1\nkeyfile k",
            "Both certfile and keyfile must be provided to enable a TLS listener.",
            3,
        ),
        ("cafile a", "cafile specified without certfile and keyfile.", 2),
        ("capath a", "capath specified without certfile and keyfile.", 2),
        ("enable_proxy_protocol 3", "enable_proxy_protocol must be 1 or 2.", 2),
        (
            "certfile c\nkeyfile k\nenable_proxy_protocol 2",
            "certfile and keyfile cannot be used with `enable_proxy_protocol 2`.",
            4,
        ),
        (
            "enable_proxy_protocol 2\nuse_subject_as_username true",
            "use_subject_as_username cannot be used with `enable_proxy_protocol 2`.",
            3,
        ),
        (
            "psk_hint h\ncafile a",
            "Cannot use both certificate and psk encryption in a single listener.",
            3,
        ),
        (
            "certfile a\nkeyfile k\npsk_file p",
            "Cannot use both certificate and psk encryption in a single listener.",
            4,
        ),
        (
            "mount_point a/#",
            "Invalid 'mount_point' value (a/#). Does it contain a wildcard character?",
            2,
        ),
    ],
)
def test_what_does_not_go_together_is_an_error_where_it_stands(
    text: str, words: str, line: int
) -> None:
    _, faults = collect(f"listener 1883\n{text}")
    assert [f"Error: {words}", f"Error found at m.conf:{line}."] in [
        fault.lines() for fault in faults
    ]


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("persistence_location /x", "persistence_location", "nothing is kept without"),
        ("log_facility 3", "log_facility", "the log does not go to syslog"),
        ("log_timestamp false\nlog_timestamp_format %H", "log_timestamp_format", "have no time"),
        ("acl_refuse_subscribe true", "acl_refuse_subscribe", "there is no 'acl_file'"),
        ("jwt_issuer x", "jwt_issuer", "nobody looks at tokens"),
        ("http_auth_timeout 7", "http_auth_timeout", "no HTTP service is asked"),
        ("socket_domain ipv4", "socket_domain", "a Unix socket has no address"),
    ],
)
def test_what_has_no_effect_where_it_stands_is_a_warning_that_says_why(
    text: str, name: str, why: str
) -> None:
    line = text.count("\n") + 2
    (warning,) = said(read(f"listener 0 /run/m.sock\n{text}"), "warning")
    assert warning.startswith(f"Warning: The '{name}' option has no effect (m.conf:{line}): ")
    assert why in warning


@pytest.mark.parametrize(
    "text",
    [
        "persistence true\npersistence_location /x",
        "log_dest syslog\nlog_facility 3",
        "jwt_key_file k\njwt_issuer x",
        "acl_refuse_subscribe false",
        "max_qos 1\nmax_qos 1",
    ],
)
def test_what_has_an_effect_or_says_what_goes_anyway_is_no_warning(text: str) -> None:
    assert said(read(f"listener 1883\n{text}"), "warning") == []


def test_a_value_that_is_set_again_had_no_effect() -> None:
    configuration = read("max_keepalive 5\nlistener 1\nmax_qos 1\nmaximum_qos 0\nmax_keepalive 6")
    assert said(configuration, "warning") == [
        "Warning: The 'maximum_qos' option has no effect (m.conf:3): it is set again (m.conf:4).",
        "Warning: The 'max_keepalive' option has no effect (m.conf:1): it is set again (m.conf:5).",
    ]


@pytest.mark.parametrize("name", ["acl_file", "password_file", "clientid_prefixes", "user"])
def test_of_some_texts_the_last_one_counts(name: str) -> None:
    setting = OPTIONS[name].setting
    assert setting is not None
    assert getattr(read(f"{name} a\n{name} b").settings, setting) == "b"


def test_per_listener_settings_cannot_be_unset() -> None:
    configuration = read("per_listener_settings true\nper_listener_settings false\nlistener 1")
    assert configuration.settings.per_listener_settings
    assert said(configuration, "warning") == [
        "Warning: The 'per_listener_settings' option has no effect (m.conf:2): once it is true, it "
        "stays so."
    ]


# -- all that is wrong -------------------------------------------------------------------------


def test_all_that_is_wrong_can_be_had_at_once() -> None:
    _, faults = collect(
        "nonsense\nlistener x\nmax_qos 7\nmax_topic_alias 1\nconnection\naddress a\nplugin\n"
        "plugin_opt_file x\nmax_keepalive -1\nbind_interface eth0\n"
    )
    assert [fault.line for fault in faults][:4] == [1, 2, 3, 5]
    assert [str(fault) for fault in faults if fault.line in (7, 9)] == [
        "Error: Empty 'plugin' value in configuration.",
        "Error: Invalid 'max_keepalive' value (-1).",
    ]
    assert 8 not in [fault.line for fault in faults]
    assert 4 not in [fault.line for fault in faults]


def test_what_is_wrong_in_included_files_is_had_as_well() -> None:
    faults: list[ConfigError] = []
    files = [("/d/a.conf", "a"), ("/d/b.conf", "port 1\nb")]
    parse("include_dir /d\nc", "m.conf", lambda path: files, faults=faults)
    assert [fault.lines()[1:] for fault in faults] == [
        ["Error found at '/d/a.conf:1'.", "Error found at m.conf:1."],
        ["Error found at '/d/b.conf:2'.", "Error found at m.conf:1."],
        ["Error found at m.conf:2."],
    ]


# -- where options come from -------------------------------------------------------------------


def test_a_configuration_knows_where_its_options_were_given() -> None:
    configuration = parse(
        "max_keepalive 1\ninclude_dir /d\nlistener 1\nmaximum_qos 1\nlistener 2\nmax_qos 0",
        "m.conf",
        lambda path: [("/d/a.conf", "sys_interval 5")],
    )
    assert configuration.origins == {
        (GENERAL_ORIGIN, "max_keepalive"): "m.conf:1",
        (GENERAL_ORIGIN, "sys_interval"): "/d/a.conf:1",
        (GENERAL_ORIGIN, "include_dir"): "m.conf:2",
        (0, "listener"): "m.conf:3",
        (0, "max_qos"): "m.conf:4",
        (1, "listener"): "m.conf:5",
        (1, "max_qos"): "m.conf:6",
    }


# -- include_dir -------------------------------------------------------------------------------


def include(files: dict[str, str], text: str = "include_dir /d") -> Configuration:
    def read_dir(path: str) -> list[tuple[str, str]]:
        assert path == "/d"
        return [(f"/d/{name}", content) for name, content in files.items()]

    return parse(text, "m.conf", read_dir)


def test_included_files_are_read_in_the_order_of_their_names_whatever_their_case() -> None:
    configuration = include(
        {
            "b.conf": "listener 2",
            "C.conf": "listener 3",
            "a.conf": "listener 1",
            "B.conf": "listener 12",
        },
        "listener 10\ninclude_dir /d\nmax_qos 1",
    )
    assert [each.port for each in configuration.listeners] == [10, 1, 12, 2, 3]
    assert said(configuration, "information") == [
        "Loading config file '/d/a.conf'",
        "Loading config file '/d/B.conf'",
        "Loading config file '/d/b.conf'",
        "Loading config file '/d/C.conf'",
    ]


def test_what_is_above_and_below_an_include_belongs_to_the_listener_of_the_main_file() -> None:
    configuration = include(
        {"a.conf": "listener 1\nmax_qos 0"}, "listener 10\ninclude_dir /d\nmax_qos 1"
    )
    assert [(each.port, each.max_qos) for each in configuration.listeners] == [(10, 1), (1, 0)]
    with pytest.raises(ConfigError, match="requires a listener"):
        include({"a.conf": "max_topic_alias 5"}, "listener 10\ninclude_dir /d")


def test_an_error_in_an_included_file_names_both_places() -> None:
    with pytest.raises(ConfigError) as caught:
        include({"a.conf": "\nnonsense"}, "\n\ninclude_dir /d")
    assert caught.value.lines() == [
        "Error: Unknown configuration variable 'nonsense'.",
        "Error found at '/d/a.conf:2'.",
        "Error found at m.conf:3.",
    ]
    assert (caught.value.file, caught.value.line) == ("/d/a.conf", 2)


def test_an_included_file_may_not_include() -> None:
    with pytest.raises(ConfigError, match="only valid in the main configuration file"):
        include({"a.conf": "include_dir /d"})


@pytest.mark.parametrize(
    ("filename", "words"),
    [
        ("/d", "Error: Unable to open include_dir '/d'."),
        (None, "Error: Unable to open include_dir '/d'."),
        ("/d/a.conf", "Error: Unable to open config file '/d/a.conf'."),
    ],
)
def test_what_cannot_be_read_is_an_error_at_the_include(filename: str | None, words: str) -> None:
    def read_dir(path: str) -> list[tuple[str, str]]:
        raise PermissionError(13, "Permission denied", filename)

    with pytest.raises(ConfigError) as caught:
        parse("include_dir /d", "m.conf", read_dir)
    assert caught.value.lines() == [words, "Error found at m.conf:1."]


# -- anything ----------------------------------------------------------------------------------

values = st.one_of(
    st.sampled_from(["true", "false", "1", "0", "", "ipv4", "mqtt", "5", "x", "debug", "1d"]),
    st.integers().map(str),
    st.text(max_size=8),
)
lines = st.builds(
    lambda name, value: f"{name} {value}",
    st.one_of(st.sampled_from(sorted(OPTIONS)), st.text(max_size=5)),
    values,
)


@given(st.lists(st.one_of(lines, st.integers(0, 70_000).map("listener {}".format)), max_size=8))
def test_any_text_gives_valid_settings_or_an_error_with_a_place(text: list[str]) -> None:
    failed: ConfigError | None = None
    try:
        configuration = read("\n".join(text))
    except ConfigError as error:
        failed = error
    if failed is not None:
        assert failed.file == "m.conf"
        assert failed.line is not None
        assert failed.line >= 1
        return
    configuration.settings.__post_init__()
    for listener in configuration.listeners:
        listener.__post_init__()
