"""Every option that works, by its effect: a line of a mosquitto.conf, and what clients see of it.

The text goes through the parser, and its settings to a broker in memory. Options that need a
process, files or a network have their tests elsewhere: :data:`ELSEWHERE` says where, and the last
test holds that no option is without one.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import midge
from midge.broker.hooks import Hooks
from midge.config import options
from midge.config.mosquitto_conf import parse
from midge.config.settings import ListenerSettings, anonymous_allowed
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.server.log_sinks import StreamSink
from midge.server.logs import Log, types_of
from midge.server.narrator import Narrator
from midge.testing.pair import Peer, World
from tests.unit.server.test_logs import StoppedClock

ROOT = Path(__file__).resolve().parents[2]
LASTING = Properties({props.SESSION_EXPIRY_INTERVAL: 0xFFFFFFFF})

#: Where the effect of an option is tested that is not tested here.
ELSEWHERE = {
    "unit/auth/test_acl_world.py": "check_retain_source",
    "unit/broker/test_limits.py": (
        "global_max_clients max_inflight_bytes retain_expiry_interval "
        "rate_limit_bytes rate_limit_messages"
    ),
    "unit/server/test_security.py": (
        "acl_file password_file per_listener_settings authenticators authorizers "
        "http_auth_acl_url jwt_key_file jwt_key_url"
    ),
    "unit/server/test_security_options.py": (
        "acl_refuse_subscribe http_auth_user_url http_auth_superuser_url http_auth_params "
        "http_auth_response http_auth_cache http_auth_timeout jwt_audience jwt_issuer "
        "jwt_algorithms jwt_username_claim jwt_disconnect_on_expiry"
    ),
    "unit/server/test_options.py": (
        "socket_domain bind_address bind_interface log_timestamp log_timestamp_format log_format "
        "log_facility persistence_sync persistence_location persistence retained_persistence"
    ),
    "faces/test_security.py": "clientid_prefixes",
    "faces/test_operations.py": (
        "connect_rate_limit log_dest log_format memory_limit persistence sys_interval user"
    ),
    "faces/test_broker_command.py": "max_connections pid_file port listener",
    "faces/test_listeners.py": (
        "cafile capath certfile ciphers crlfile disable_client_cert_date_checks keyfile "
        "protocol psk_file psk_hint require_certificate tls_keyform tls_version "
        "use_identity_as_username use_subject_as_username websockets_origin "
        "packet_buffer_size websockets_headers_size"
    ),
    "interop/zmq/test_broker.py": "zmtp_queue protocol",
    "interop/zmq/test_broker_users.py": "zmtp_mechanism zmtp_curve_secret",
    "faces/test_curve_reload.py": "zmtp_curve_keys",
    "faces/test_zmtp_options.py": "zmtp_user_queue",
    "faces/test_http.py": "http_dir",
    "faces/test_broker_control.py": "enable_control_api",
    "faces/test_proxy_protocol.py": "enable_proxy_protocol proxy_protocol_v2_require_tls",
    "unit/config/test_mosquitto_conf.py": "include_dir set_tcp_nodelay",
}

SEEN: set[str] = set()


def effect(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The test sees the effect of these options."""
    SEEN.update(names)
    return lambda test: test


def world(text: str, hooks: Hooks | None = None) -> World:
    """A broker that runs with a configuration."""
    configuration = parse(text, "m.conf")
    return World(settings=configuration.settings, listener=configuration.listeners[0], hooks=hooks)


LISTENER = "listener 1883\nallow_anonymous true\n"


def queued(text: str, *payloads: bytes, qos: int = 1) -> list[bytes]:
    """What a client gets that was away while others published."""
    one = world(LISTENER + text)
    away = one.connect("away", properties=LASTING)
    away.subscribe("t", 2)
    away.drop()
    publisher = one.connect("p")
    for payload in payloads:
        publisher.publish("t", payload, qos)
    back = one.connect("away", clean_start=False, properties=LASTING)
    return [message.payload for message in back.messages()]


@effect("max_packet_size")
def test_max_packet_size_refuses_larger_packets_and_is_told() -> None:
    one = world(f"{LISTENER}max_packet_size 100")
    client = one.connect("c")
    assert client.connack is not None
    assert client.connack.properties is not None
    assert client.connack.properties.get_int(props.MAXIMUM_PACKET_SIZE) == 100
    client.publish("t", bytes(90))
    assert not client.closed
    client.publish("t", bytes(100))
    assert client.closed
    assert client.expect(p.Disconnect).reason == 0x95


@effect("message_size_limit")
def test_message_size_limit_refuses_larger_payloads() -> None:
    client = world(f"{LISTENER}message_size_limit 10").connect("c")
    client.send(p.Publish("t", bytes(10), 1, packet_id=1))
    assert client.expect(p.Puback).reason == 0x10
    client.send(p.Publish("t", bytes(11), 1, packet_id=2))
    assert client.expect(p.Puback).reason == 0x97


@effect("max_inflight_messages")
def test_max_inflight_messages_is_how_many_are_on_their_way() -> None:
    one = world(f"{LISTENER}max_inflight_messages 2")
    client = one.connect("c")
    client.subscribe("t", 1)
    publisher = one.connect("p")
    for _ in range(5):
        publisher.publish("t", b"", 1)
    assert len(client.messages(acknowledge=False)) == 2


@effect("max_queued_messages")
def test_max_queued_messages_keeps_the_first_ones() -> None:
    assert queued("max_queued_messages 2", b"1", b"2", b"3") == [b"1", b"2"]
    assert len(queued("max_queued_messages 0", *([b"x"] * 1500))) == 1500
    assert len(queued("", *([b"x"] * 1500))) == 1000


@effect("max_queued_bytes")
def test_max_queued_bytes_keeps_what_fits() -> None:
    assert queued("max_queued_bytes 25", bytes(10), bytes(10), bytes(10)) == [bytes(10)] * 2


@effect("queue_qos0_messages")
def test_queue_qos0_messages_keeps_them_for_clients_that_are_away() -> None:
    assert queued("", b"1", qos=0) == []
    assert queued("queue_qos0_messages true", b"1", qos=0) == [b"1"]


@effect("upgrade_outgoing_qos")
def test_upgrade_outgoing_qos_delivers_at_the_subscription_s() -> None:
    for text, expected in (("", 0), ("upgrade_outgoing_qos true", 2)):
        one = world(LISTENER + text)
        publisher = one.connect("p")
        publisher.publish("t/kept", b"x", 0, retain=True)
        client = one.connect("c")
        client.subscribe("$share/g/u", 2)
        client.subscribe("t/#", 2)
        publisher.publish("t/live", b"x", 0)
        publisher.publish("u", b"x", 0)
        assert [message.qos for message in client.messages()] == [expected] * 3


@effect("allow_duplicate_messages")
def test_allow_duplicate_messages_is_one_copy_or_one_for_each_subscription() -> None:
    for text, expected in (("", 2), ("allow_duplicate_messages false", 1)):
        one = world(LISTENER + text)
        client = one.connect("c")
        client.subscribe("t/#")
        client.subscribe("t/+")
        one.connect("p").publish("t/x")
        assert len(client.messages()) == expected


@effect("mount_point")
def test_mount_point_is_what_topics_begin_with_for_others() -> None:
    one = world(f"{LISTENER}mount_point site/")
    below = one.connect("below")
    below.subscribe("t")
    one.listener = ListenerSettings()
    outside = one.connect("outside")
    outside.subscribe("#")
    below.publish("t")
    assert [message.topic for message in outside.messages()] == ["site/t"]
    assert [message.topic for message in below.messages()] == ["t"]


@effect("max_keepalive")
def test_max_keepalive_is_granted_at_most() -> None:
    one = world(f"{LISTENER}max_keepalive 60")
    client = one.connect("c", keepalive_s=0)
    assert client.connack is not None
    assert client.connack.properties is not None
    assert client.connack.properties.get_int(props.SERVER_KEEP_ALIVE) == 60
    one.advance(91)
    assert client.closed
    old = one.connect("old", version=4, keepalive_s=61)
    assert old.connack is not None
    assert old.connack.reason == 2


@effect("persistent_client_expiration")
def test_persistent_client_expiration_ends_sessions_of_clients_that_stay_away() -> None:
    one = world(f"{LISTENER}persistent_client_expiration 2h")
    one.connect("c", version=4, clean_start=False).drop()
    one.advance(2 * 3600 - 1)
    assert one.broker.sessions.get("c") is not None
    one.advance(2)
    assert one.broker.sessions.get("c") is None


@effect("retain_available")
def test_retain_available_false_refuses_retained_messages_and_is_told() -> None:
    client = world(f"{LISTENER}retain_available false").connect("c")
    assert client.connack is not None
    assert client.connack.properties is not None
    assert client.connack.properties.get_int(props.RETAIN_AVAILABLE, 1) == 0
    client.publish("t", b"x", retain=True)
    assert client.closed
    assert client.expect(p.Disconnect).reason == 0x9A


@effect("max_qos", "maximum_qos")
@pytest.mark.parametrize("name", ["max_qos", "maximum_qos"])
def test_max_qos_is_granted_at_most_and_refused_above(name: str) -> None:
    client = world(f"{LISTENER}{name} 1").connect("c")
    assert client.subscribe("t", 2).reasons == [1]
    client.send(p.Publish("t", b"", 2, packet_id=1))
    assert client.closed
    assert client.expect(p.Disconnect).reason == 0x9B


@effect("max_topic_alias")
def test_max_topic_alias_is_how_many_a_client_may_set() -> None:
    client = world(f"{LISTENER}max_topic_alias 3").connect("c")
    assert client.connack is not None
    assert client.connack.properties is not None
    assert client.connack.properties.get_int(props.TOPIC_ALIAS_MAXIMUM) == 3
    client.publish("t", properties=Properties({props.TOPIC_ALIAS: 3}))
    assert not client.closed
    client.publish("t", properties=Properties({props.TOPIC_ALIAS: 4}))
    assert client.expect(p.Disconnect).reason == 0x94


@effect("max_topic_alias_broker")
def test_max_topic_alias_broker_is_how_many_the_broker_sets() -> None:
    for text, expected in (("", {1, 2, 3}), ("max_topic_alias_broker 1", {1})):
        one = world(LISTENER + text)
        client = one.connect("c", properties=Properties({props.TOPIC_ALIAS_MAXIMUM: 3}))
        client.subscribe("#")
        publisher = one.connect("p")
        for topic in ("a", "b", "c", "a"):
            publisher.publish(topic)
        used = {
            message.properties.get_int(props.TOPIC_ALIAS)
            for message in client.messages()
            if message.properties is not None
        }
        assert used - {0} == expected


@effect("accept_protocol_versions")
def test_accept_protocol_versions_refuses_the_others() -> None:
    one = world(f"{LISTENER}accept_protocol_versions 4")
    assert one.connect("four", version=4).connack is not None
    five = one.connect("five")
    assert five.closed
    assert five.connack is not None
    assert five.connack.reason == 0x84


@effect("allow_zero_length_clientid", "auto_id_prefix")
def test_a_client_without_an_id_gets_one_with_the_prefix_or_is_refused() -> None:
    def id_of(text: str) -> str | None:
        client = world(text).connect("")
        assert client.connack is not None
        if client.connack.reason:
            return None
        assert client.connack.properties is not None
        return client.connack.properties.get_str(props.ASSIGNED_CLIENT_IDENTIFIER)

    assert str(id_of(LISTENER)).startswith("auto-")
    assert str(id_of(f"auto_id_prefix x-\n{LISTENER}")).startswith("x-")
    assert id_of(f"allow_zero_length_clientid false\n{LISTENER}") is None


@effect("listener_auto_id_prefix")
def test_listener_auto_id_prefix_is_for_those_who_come_in_there() -> None:
    client = world(f"{LISTENER}listener_auto_id_prefix door-").connect("")
    assert client.connack is not None
    assert client.connack.properties is not None
    made = client.connack.properties.get_str(props.ASSIGNED_CLIENT_IDENTIFIER)
    assert str(made).startswith("door-")


@effect("use_username_as_clientid")
def test_use_username_as_clientid_makes_the_name_the_id() -> None:
    one = world(f"{LISTENER}use_username_as_clientid true")
    one.connect("ignored", username="ann")
    assert one.broker.sessions.get("ann") is not None
    nameless = one.connect("c")
    assert nameless.closed


@effect("allow_anonymous", "listener_allow_anonymous")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("listener 1883", False),
        ("listener 1883\nallow_anonymous true", True),
        ("listener 1883\nallow_anonymous false", False),
        ("listener 1883\nlistener_allow_anonymous true", True),
        ("listener 1883\nallow_anonymous true\nlistener_allow_anonymous false", False),
        ("", True),
    ],
)
def test_who_gives_no_credentials_comes_in_where_it_is_allowed(text: str, expected: bool) -> None:
    configuration = parse(text, "m.conf")
    assert anonymous_allowed(configuration.settings, configuration.listeners[0]) is expected


def told(text: str, act: Callable[[World], object]) -> list[str]:
    """The lines of the log while something happens."""
    settings = parse(LISTENER + text, "m.conf").settings
    stream = io.StringIO()
    log = Log(StoppedClock(), types_of(settings), [StreamSink(stream)], timestamp=False)
    act(world(LISTENER + text, Narrator(log, settings.connection_messages)))
    return stream.getvalue().splitlines()


def come_and_go(one: World) -> Peer:
    client = one.connect("c")
    client.subscribe("t")
    client.unsubscribe("t")
    client.disconnect()
    return client


@effect("connection_messages")
def test_connection_messages_is_whether_clients_that_come_and_go_are_told() -> None:
    lines = told("", come_and_go)
    assert lines[0].startswith("New client connected from 127.0.0.1:50000 as c (p5, c1, k0).")
    assert lines[1] == "Client c [127.0.0.1:50000] disconnected."
    assert told("connection_messages false", come_and_go) == []


@effect("log_type")
@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ("none", []),
        ("error", []),
        ("subscribe", ["c 0 t"]),
        ("unsubscribe", ["c t"]),
        ("debug", ["Received SUBSCRIBE from c", "Sending UNSUBACK to c"]),
        ("all", ["c 0 t", "c t", "Received SUBSCRIBE from c"]),
    ],
)
def test_log_type_is_which_kinds_of_lines_there_are(kinds: str, expected: list[str]) -> None:
    def act(one: World) -> None:
        client = come_and_go(one)
        if one.broker.hooks.trace:  # the server does this where it writes
            client.link.sent(b"\xb0\x04\x00\x02\x00\x00")

    lines = told("log_type " + kinds, act)
    assert [line for line in expected if line not in lines] == []
    assert bool(lines) is bool(expected)


@effect("global_max_connections")
async def test_global_max_connections_counts_those_of_all_listeners() -> None:
    settings = parse(f"{LISTENER}global_max_connections 1", "m.conf").settings
    async with midge.Broker(port=0, settings=settings) as broker:
        first = await asyncio.open_connection("127.0.0.1", broker.port)
        second = await asyncio.open_connection("127.0.0.1", broker.port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(second[0].read(), 10) == b""
        assert broker.metrics.refused_connections == 1
        for _, writer in (first, second):
            writer.close()


@effect("queue")
def test_queue_is_there_from_the_start_and_is_filled() -> None:
    one = world(f"{LISTENER}queue orders from shop/+/orders messages_max=2 full=drop-oldest")
    broker = one.broker
    assert broker.queues.declare(broker.settings.queues) == []
    publisher = one.connect("p")
    for number in range(3):
        publisher.publish("shop/1/orders", b"%d" % number, 1)
    worker = one.connect("w")
    worker.subscribe("$queue/orders", 1)
    assert [message.payload for message in worker.messages()] == [b"1", b"2"]


# -- none is forgotten -----------------------------------------------------------------------------


def test_no_option_that_works_is_without_a_test_of_its_effect() -> None:
    elsewhere = [name for names in ELSEWHERE.values() for name in names.split()]
    forgotten = [
        option.name
        for option in options.OPTIONS.values()
        if option.support == options.WORKS
        and option.place not in (options.BRIDGE, options.PLUGIN)
        and option.name not in SEEN
        and not any(re.fullmatch(name.replace("*", ".*"), option.name) for name in elsewhere)
    ]
    assert not forgotten, (
        "these options have no test of what they do: add one here with @effect, or name its file "
        f"in ELSEWHERE: {forgotten}"
    )


@pytest.mark.parametrize("file", ELSEWHERE)
def test_the_files_elsewhere_speak_of_the_options_that_they_are_named_for(file: str) -> None:
    """By the name of the option, or of its setting."""
    path = ROOT / file
    text = "".join(one.read_text() for one in ([path] if path.is_file() else path.glob("*.py")))
    text = text.replace("\\n", " ")  # the line before it ends
    silent = [
        option.name
        for pattern in ELSEWHERE[file].split()
        for option in options.OPTIONS.values()
        if re.fullmatch(pattern.replace("*", ".*"), option.name)
        and not re.search(rf"\b({re.escape(option.name)}|{option.setting})\b", text)
    ]
    assert not silent, f"nothing in {file} is about {silent}"
