"""What the lines of the log say: Mosquitto's words, in one place.

People and programs search logs for these phrases, so a line that Mosquitto also writes has its
wording, down to the punctuation. Functions return text and know nothing of destinations; which kind
of line it is stands in their docstrings.
"""

from __future__ import annotations

from typing import Final

from midge.mqtt import packets as p
from midge.mqtt.properties import AUTHENTICATION_METHOD, Properties
from midge.mqtt.reasons import Reason
from midge.net.proxy_protocol import CORRUPT, NO_CERTIFICATE, NO_TLS

# -- the broker ----------------------------------------------------------------------------------

USING_DEFAULT_CONFIG: Final = "Using default config."
RELOADING: Final = "Reloading config."
#: Warnings at the start of a broker that was given no listener.
LOCAL_ONLY: Final = (
    "Starting in local only mode. Connections will only be possible from clients running on this "
    "machine.",
    "Create a configuration file which defines a listener to allow remote access.",
    "For more details see what 'midge config docs' prints.",
)
NO_WILL: Final = "No will message specified."


def version(number: str) -> str:
    """What ``$SYS/broker/version`` says."""
    return f"midge version {number}"


def starting(version: str) -> str:
    """The broker starts (information)."""
    return f"midge version {version} starting"


#: What a broker says at its start that it can or cannot do, and an option that needs it.
_FEATURES: Final = {
    "Bridge": "connection",
    "Persistence": "persistence",
    "TLS": "certfile",
    "TLS-PSK": "psk_hint",
    "Websockets": "websockets_origin",
}


def features() -> list[str]:
    """What this version can do, as the registry of options has it (information)."""
    import ssl

    from midge.config.options import OPTIONS, WORKS

    there = {name: OPTIONS[option].support == WORKS for name, option in _FEATURES.items()}
    there["TLS-PSK"] = there["TLS-PSK"] and hasattr(ssl.SSLContext, "set_psk_server_callback")
    return [f"{name} support {'' if has else 'NOT '}available." for name, has in there.items()]


def running(version: str) -> str:
    """It serves (information)."""
    return f"midge version {version} running"


def terminating(version: str) -> str:
    """It ends (information)."""
    return f"midge version {version} terminating"


def config_loaded(path: str) -> str:
    """Which configuration it runs with (information)."""
    return f"Config loaded from {path}."


def opening(family: str, port: int) -> str:
    """A socket of ``ipv4`` or ``ipv6`` is opened (information)."""
    return f"Opening {family} listen socket on port {port}."


def opening_http_api(port: int) -> str:
    """A socket of ``protocol http_api`` is opened (information)."""
    return f"Opening http api listen socket on port {port}."


def http_dir(path: str) -> str:
    """A listener serves the files of a directory (information)."""
    return f"Using http_dir {path}"


def opening_unix(path: str) -> str:
    """A Unix socket is opened (information)."""
    return f"Opening unix listen socket on path {path}."


def given(family: str, place: int | str) -> str:
    """A socket that we were given is used, ``ipv4``, ``ipv6`` or ``unix`` (information)."""
    what = "path" if family == "unix" else "port"
    return f"Using the {family} listen socket on {what} {place} that midge was started with."


def given_in_vain(text: str) -> str:
    """A socket that we were given is of no use, and why (warning)."""
    return f"Warning: A socket that midge was started with is not used: {text}."


# -- connections (notice) ------------------------------------------------------------------------

#: How a version of MQTT is shown: Mosquitto counts 3.1 and 3.1.1 as 1 and 2.
_VERSION_SHOWN: Final = {p.MQTT_31: 1, p.MQTT_311: 2, p.MQTT_5: 5}

_UNSUPPORTED: Final = (
    "used disallowed feature (QoS too high, retain not supported, or bad AUTH method)"
)
#: Why a connection ended, by reason code.
_ENDS: Final[dict[int, str]] = {
    Reason.MALFORMED_PACKET: "malformed packet",
    Reason.PROTOCOL_ERROR: "protocol error",
    Reason.IMPLEMENTATION_SPECIFIC_ERROR: "implementation specific error",
    Reason.CLIENT_IDENTIFIER_NOT_VALID: "client identifier not valid",
    Reason.BAD_USER_NAME_OR_PASSWORD: "bad username or password",
    Reason.NOT_AUTHORIZED: "not authorised",
    Reason.SERVER_UNAVAILABLE: "server unavailable",
    Reason.SERVER_BUSY: "server busy",
    Reason.BANNED: "client banned",
    Reason.SERVER_SHUTTING_DOWN: "server shutting down",
    Reason.BAD_AUTHENTICATION_METHOD: "bad authentication method",
    Reason.KEEP_ALIVE_TIMEOUT: "exceeded timeout",
    Reason.SESSION_TAKEN_OVER: "session taken over",
    Reason.RECEIVE_MAXIMUM_EXCEEDED: "receive maximum exceeded",
    Reason.TOPIC_ALIAS_INVALID: "topic alias invalid",
    Reason.PACKET_TOO_LARGE: "oversize packet",
    Reason.QUOTA_EXCEEDED: "quota exceeded",
    Reason.ADMINISTRATIVE_ACTION: "administrative action",
    Reason.RETAIN_NOT_SUPPORTED: _UNSUPPORTED,
    Reason.QOS_NOT_SUPPORTED: _UNSUPPORTED,
    Reason.CONNECTION_RATE_EXCEEDED: "connection rate exceeded",
}


def new_connection(address: str, port: int, listener_port: int) -> str:
    """A network connection was accepted."""
    return f"New connection from {address}:{port} on port {listener_port}."


def connection_denied(address: str, limit: str = "max_connections") -> str:
    """A network connection was refused because there are too many, or they come too fast."""
    if limit == "global_max_connections":
        limit = "max_connections"  # Mosquitto has one line for both
    return f"Client connection from {address} denied: {limit} exceeded."


def not_shaken(address: str, port: int, listener: str, text: str) -> str:
    """A connection never got as far as MQTT."""
    if text.startswith((CORRUPT, NO_CERTIFICATE, NO_TLS)):
        return f"Connection from {address}:{port} rejected, {text}."
    return f"Connection from {address}:{port} on {listener} ended in its handshake: {text}."


def throttled(who: str, wait_s: float) -> str:
    """A client is faster than its rate limit (debug)."""
    return f"Client {who} exceeds its rate limit, not reading it for {wait_s:.2f} seconds."


def client_connected(
    address: str, port: int, client_id: str, packet: p.Connect, username: str | None
) -> str:
    """A client came in; ``client_id`` and ``username`` are those that it has now.

    What it gave as its user name is not for the log: it may have been a token.
    """
    version = _VERSION_SHOWN.get(packet.version, packet.version)
    kind = "bridge" if packet.bridge else "client"
    user = "" if username is None else f", u'{username}'"
    return (
        f"New {kind} connected from {address}:{port} as {client_id} "
        f"(p{version}, c{packet.clean_start:d}, k{packet.keepalive_s}{user})."
    )


def will(packet: p.Connect) -> tuple[str, ...]:
    """The will of a client that came in (debug)."""
    message = packet.will
    if message is None:
        return (NO_WILL,)
    return (
        f"Will message specified ({len(message.payload)} bytes) "
        f"(r{message.retain:d}, q{message.qos}).",
        f"\t{message.topic}",
    )


def peer_ready(socket_type: str, name: str, address: str, port: int, queue: str) -> str:
    """A ZeroMQ peer was accepted; a line of midge's own."""
    place = f", queue {queue}" if queue else ""
    return f"New ZeroMQ {socket_type} peer from {address}:{port} as {name}{place}."


def disconnected(client_id: str, address: str, port: int, reason: int, text: str = "") -> str:
    """A connection ended.

    Args:
        client_id: empty for a connection that has not said who it is.
        reason: the reason code of the end; 0 when the client said goodbye, -1 when the connection
            was lost.
        text: for -1, how it was lost.
    """
    who = f"Client {client_id or address} [{address}:{port}] disconnected"
    if reason == Reason.SUCCESS or reason == Reason.DISCONNECT_WITH_WILL:
        return f"{who}."
    if reason < 0:
        return f"{who}: {text or 'connection closed by client'}."
    return f"{who}: {_ENDS.get(reason) or f'reason {reason:#04x}'}."


def protocol_error(who: str, text: str) -> str:
    """What was wrong with what a client sent (information)."""
    return f"Protocol error from {who}: {text}."


def session_expired(client_id: str) -> str:
    """Nobody came back to a session."""
    return f"Expiring client {client_id} due to timeout."


def messages_dropped(client_id: str) -> str:
    """The queue of a client is full."""
    return f"Outgoing messages are being dropped for client {client_id}."


def oversize_publish_dropped(client_id: str, size: int) -> str:
    """A message is larger than its receiver wants packets to be."""
    return f"Dropping too large outgoing PUBLISH for {client_id} ({size} bytes)"


# -- subscriptions -------------------------------------------------------------------------------


def subscribed(client_id: str, filter: str, qos: int) -> str:
    """A subscription was made (subscribe)."""
    return f"{client_id} {qos} {filter}"


def unsubscribed(client_id: str, filter: str) -> str:
    """A subscription was given up (unsubscribe)."""
    return f"{client_id} {filter}"


def subscription_entry(filter: str, qos: int) -> str:
    """One entry of a SUBSCRIBE, with what it was granted (debug)."""
    if qos >= Reason.UNSPECIFIED_ERROR:
        return f"\t{filter} (denied)"
    return f"\t{filter} (QoS {qos})"


def unsubscription_entry(filter: str) -> str:
    """One entry of an UNSUBSCRIBE (debug)."""
    return f"\t{filter}"


# -- packets (debug) -----------------------------------------------------------------------------


def publish_denied(client_id: str, packet: p.Publish) -> str:
    """A client may not publish this."""
    return f"Denied PUBLISH from {client_id} ({_publish(packet)})"


def publish_oversize(client_id: str, packet: p.Publish) -> str:
    """A payload is larger than ``message_size_limit``."""
    return f"Dropped too large PUBLISH from {client_id} ({_publish(packet)})"


def received(client_id: str, packet: p.Packet) -> str:
    """A packet came from a client."""
    name = p.NAMES[packet.type]
    line = f"Received {name} from {client_id}"
    if isinstance(packet, p.Publish):
        return f"{line} ({_publish(packet)})"
    if isinstance(packet, p.Puback | p.Pubcomp):
        return f"{line} (Mid: {packet.packet_id}, RC:{packet.reason})"
    if isinstance(packet, p.Pubrec | p.Pubrel):
        return f"{line} (Mid: {packet.packet_id})"
    if isinstance(packet, p.Auth):
        return f"{line} (rc{packet.reason}, {_method(packet.properties)})"
    return line


def sending(client_id: str, packet: p.Packet) -> str:
    """A packet goes to a client; its address where its id is not known."""
    name = p.NAMES[packet.type]
    line = f"Sending {name} to {client_id}"
    if isinstance(packet, p.Publish):
        return f"{line} ({_publish(packet)})"
    if isinstance(packet, p.Puback | p.Pubrec):
        return f"{line} (m{packet.packet_id}, rc{packet.reason})"
    if isinstance(packet, p.Pubrel | p.Pubcomp):
        return f"{line} (m{packet.packet_id})"
    if isinstance(packet, p.Connack):
        return f"{line} ({packet.session_present:d}, {packet.reason})"
    if isinstance(packet, p.Disconnect):
        return f"{line} (rc{packet.reason})"
    if isinstance(packet, p.Auth):
        return f"{line} (rc{packet.reason}, {_method(packet.properties)})"
    return line


def _publish(packet: p.Publish) -> str:
    return (
        f"d{packet.dup:d}, q{packet.qos}, r{packet.retain:d}, m{packet.packet_id}, "
        f"'{packet.topic}', ... ({len(packet.payload)} bytes)"
    )


def _method(properties: Properties | None) -> str:
    method = None if properties is None else properties.get_str(AUTHENTICATION_METHOD)
    return method or ""
