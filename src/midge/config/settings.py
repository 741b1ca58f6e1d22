"""What the rest of midge reads of a configuration: typed values, with the unit in the name.

:class:`Settings` holds what is true for the whole broker, :class:`ListenerSettings` what is true
for one listener, and :class:`Configuration` ties them together as a configuration file does. Python
makes them with keyword arguments; whatever is not named has Mosquitto's default. The names of the
options that set them stand in ``options``.

Limits in which Mosquitto takes 0 or -1 for "none" are kept as Mosquitto has them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from midge.config.queue_settings import parse_queue
from midge.config.security import SecuritySettings
from midge.config.tls import TlsSettings
from midge.errors import ConfigError
from midge.limits import (
    CONNECT_TIMEOUT_S,
    INFLIGHT_MESSAGES_DEFAULT,
    PACKET_BYTES_MAX_DEFAULT,
    PACKET_ID_MAX,
    QUEUED_MESSAGES_DEFAULT,
    TOPIC_ALIAS_BROKER_DEFAULT,
    TOPIC_ALIAS_DEFAULT,
    VARINT_MAX,
)

#: The port of MQTT without TLS.
PORT_DEFAULT: Final = 1883
#: Hosts that only programs on the same machine reach.
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
#: How many bytes the prefix of a made-up client id may have.
ID_PREFIX_BYTES_MAX: Final = 50
#: The smallest ``max_packet_size``.
PACKET_BYTES_MAX_LEAST: Final = 20
#: The index of general options where those of listeners are counted from 0.
GENERAL_ORIGIN: Final = -1
#: The kinds of log lines that are written when a configuration names none.
LOG_TYPES_DEFAULT: Final = frozenset({"error", "warning", "notice", "information"})
_UINT16_MAX: Final = 65_535
_INT32_MAX: Final = 2_147_483_647


@dataclass(slots=True, kw_only=True)
class Settings(SecuritySettings):
    """Choices and limits for the whole broker, those of :class:`SecuritySettings` among them.

    Raises:
        ConfigError: a value is out of its range.

    Attributes:
        packet_bytes_max: the largest packet that is accepted, header included.
        payload_bytes_max: the largest payload that is accepted; 0 for no limit of its own.
        inflight_messages_max: messages of QoS 1 and 2 on their way to one client at a time, and
            the Receive Maximum that clients are told; 0 for no limit but the protocol's.
        queued_messages_max: messages held for one client beyond those in flight; 0 for no limit.
        queued_bytes_max: bytes of payload held for one client; 0 for no limit.
        queue_qos0: QoS 0 messages are also held for a client that is away.
        max_keepalive_s: the longest keep alive that is granted; 0 for no limit.
        connections_max: connections of all listeners together; negative for no limit.
        clients_max: sessions, with a connection or without; negative for no limit.
        inflight_bytes_max: bytes of payload of QoS 1 and 2 on their way to one client at a time,
            except that one message may always go; 0 for no limit.
        memory_bytes_max: bytes of memory above which nothing more is kept; 0 for no limit.
        rate_limit_messages, rate_limit_bytes: messages, and bytes, that are read of one client in a
            second; 0 for no limit.
        queues: queues that are there from the start, each a line as :func:`parse_queue` reads it.
        connect_rate_limit: connections that are taken of one address in a second; 0 for no limit.
        connect_timeout_s: how long a new connection may take to send its CONNECT.
        allow_anonymous: what goes for listeners that do not say; ``None``: see
            :func:`anonymous_allowed`.
        allow_zero_length_client_id: a client may leave it to the broker to make its id.
        auto_id_prefix: how ids that the broker makes begin.
        client_id_prefix: how the ids of all clients must begin; ``None``: as they like.
        per_listener_settings: each listener has its own security settings, and these here do not
            count.
        allow_duplicate_messages: a client whose subscriptions overlap gets a copy for each.
        retain_available: messages may be retained.
        retain_expiry_check_min: minutes between looks for retained messages that have expired; 0:
            they are removed when somebody comes by them.
        check_retain_source: a retained message is delivered only while its publisher may still
            publish to its topic.
        persistent_client_expiration_s: how long the session of a client that is away is kept at
            most; 0 for no limit.
        upgrade_outgoing_qos: messages are delivered at the subscription's QoS even if they were
            published at a lower one.
        set_tcp_nodelay: accepted for Mosquitto's sake; TCP_NODELAY is always set, because what
            there is to send is collected and written once a turn.
        packet_buffer_bytes: what the request for a WebSocket may have, beyond what it always may.
        control_api: what is asked at ``$CONTROL/broker/v1`` is answered.
        sys_interval_s: time between updates of ``$SYS``; 0 for none.
        connection_messages: connects and disconnects are logged.
        log_destinations: any of ``stderr``, ``stdout``, ``file``, ``syslog`` and ``topic``; none
            for no log.
        log_file: the path for the destination ``file``.
        log_types: the kinds of lines that are written, by the names of ``log_type``.
        log_timestamp: a line begins with the time.
        log_timestamp_format: the form of that time, as ``strftime`` has it; ``None`` for seconds
            since 1970.
        log_format: ``text``, or ``json`` for one object a line.
        log_facility: in syslog: 0 to 7 for local0 to local7; ``None`` for daemon.
        persistence: sessions, queued and retained messages outlive the process.
        persistence_location: the directory of the store; ``None`` for the current one.
        persistence_sync: what a commit waits for: ``full`` for the disk, ``normal`` for the disk
            now and then (a loss of power may cost the last commits), ``off`` for nothing.
        pid_file: where the process id is written; ``None`` for nowhere.
        user: who the broker becomes when it was started by root.
    """

    packet_bytes_max: int = PACKET_BYTES_MAX_DEFAULT
    payload_bytes_max: int = 0
    inflight_messages_max: int = INFLIGHT_MESSAGES_DEFAULT
    queued_messages_max: int = QUEUED_MESSAGES_DEFAULT
    queued_bytes_max: int = 0
    queue_qos0: bool = False
    max_keepalive_s: int = 0
    connections_max: int = -1
    clients_max: int = -1
    inflight_bytes_max: int = 0
    memory_bytes_max: int = 0
    rate_limit_messages: int = 0
    rate_limit_bytes: int = 0
    connect_rate_limit: int = 0
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    allow_anonymous: bool | None = None
    allow_zero_length_client_id: bool = True
    auto_id_prefix: str = "auto-"
    client_id_prefix: str | None = None
    per_listener_settings: bool = False
    allow_duplicate_messages: bool = True
    retain_available: bool = True
    retain_expiry_check_min: int = 0
    check_retain_source: bool = True
    persistent_client_expiration_s: int = 0
    upgrade_outgoing_qos: bool = False
    set_tcp_nodelay: bool = False
    packet_buffer_bytes: int = 4096
    queues: tuple[str, ...] = ()
    control_api: bool = False
    sys_interval_s: int = 10
    connection_messages: bool = True
    log_destinations: frozenset[str] = frozenset({"stderr"})
    log_file: str | None = None
    log_types: frozenset[str] = LOG_TYPES_DEFAULT
    log_timestamp: bool = True
    log_timestamp_format: str | None = None
    log_format: str = "text"
    log_facility: int | None = None
    persistence: bool = False
    persistence_location: str | None = None
    persistence_sync: str = "full"
    pid_file: str | None = None
    user: str = "mosquitto"

    def __post_init__(self) -> None:
        _within("packet_bytes_max", self.packet_bytes_max, PACKET_BYTES_MAX_LEAST, _INT32_MAX)
        _within("payload_bytes_max", self.payload_bytes_max, 0, VARINT_MAX)
        _within("inflight_messages_max", self.inflight_messages_max, 0, PACKET_ID_MAX)
        _within("queued_messages_max", self.queued_messages_max, 0)
        _within("queued_bytes_max", self.queued_bytes_max, 0)
        _within("inflight_bytes_max", self.inflight_bytes_max, 0)
        _within("memory_bytes_max", self.memory_bytes_max, 0)
        _within("rate_limit_messages", self.rate_limit_messages, 0)
        _within("rate_limit_bytes", self.rate_limit_bytes, 0)
        _within("connect_rate_limit", self.connect_rate_limit, 0)
        _within("retain_expiry_check_min", self.retain_expiry_check_min, 0)
        _within("max_keepalive_s", self.max_keepalive_s, 0, _UINT16_MAX)
        _within("persistent_client_expiration_s", self.persistent_client_expiration_s, 0)
        _within("sys_interval_s", self.sys_interval_s, 0, _UINT16_MAX)
        for line in self.queues:
            parse_queue(line)
        if self.persistence_sync not in ("full", "normal", "off"):
            raise ConfigError(
                f"persistence_sync must be full, normal or off, not {self.persistence_sync!r}"
            )
        if not self.connect_timeout_s > 0:
            raise ConfigError(
                f"connect_timeout_s must be more than 0, not {self.connect_timeout_s}"
            )
        _check_prefix(self.auto_id_prefix)


@dataclass(slots=True, kw_only=True)
class ListenerSettings(TlsSettings):
    """Where one listener listens, and what goes for those who come in there.

    It has what :class:`TlsSettings` has, and what it has of :class:`SecuritySettings` counts with
    ``per_listener_settings``.

    Raises:
        ConfigError: a value is out of its range.

    Attributes:
        port: the TCP port; 0 with a ``unix_path``, or for a free one from Python.
        host: the name or address to listen on; ``None`` for all addresses of the machine.
        unix_path: the path of a Unix socket to listen on instead.
        socket_domain: ``ipv4`` or ``ipv6`` for only these; ``None`` for both.
        bind_interface: a network interface, on whose addresses alone it listens.
        protocol: what is spoken there: ``mqtt``, ``websockets``, ``http_api`` or ``zmtp``.
        protocol_versions: versions of MQTT that are accepted, as they stand in CONNECT.
        allow_anonymous: clients without credentials are let in; ``None``: see
            :func:`anonymous_allowed`.
        allow_zero_length_client_id: a client may leave it to the broker to make its id; ``None``:
            the general setting.
        auto_id_prefix: how client ids that the broker makes begin; ``None``: the general setting.
        connections_max: connections at a time; negative for no limit.
        max_qos: the highest QoS that is granted and accepted.
        topic_alias_max: aliases that a client may set; 0 for none.
        topic_alias_broker_max: aliases that the broker sets with a client that allows them.
        use_username_as_client_id: a client's user name is its id.
        mount_point: what the topics of clients here begin with, without their knowing it.
        proxy_protocol: the version of the PROXY protocol that connections begin with; 0 for none.
        proxy_protocol_v2_require_tls: only connections that reached the proxy over TLS are taken.
        websockets_origins: origins that WebSocket connections may come from; empty for any.
        http_dir: a directory of files that a listener of ``websockets`` or ``http_api`` serves.
        zmtp_mechanism: how ZeroMQ peers say who they are: ``null``, ``plain`` or ``curve``.
        zmtp_queue: the queue of ZeroMQ peers that do not name one.
        zmtp_user_queues: a user, a blank, and the queue of that user's ZeroMQ peers.
        zmtp_curve_secret: the certificate file with the listener's secret key.
        zmtp_curve_keys: the file with users and their public keys.
    """

    port: int = PORT_DEFAULT
    host: str | None = None
    unix_path: str | None = None
    socket_domain: str | None = None
    protocol: str = "mqtt"
    protocol_versions: frozenset[int] = frozenset({3, 4, 5})
    allow_anonymous: bool | None = None
    allow_zero_length_client_id: bool | None = None
    auto_id_prefix: str | None = None
    connections_max: int = -1
    max_qos: int = 2
    topic_alias_max: int = TOPIC_ALIAS_DEFAULT
    topic_alias_broker_max: int = TOPIC_ALIAS_BROKER_DEFAULT
    use_username_as_client_id: bool = False
    bind_interface: str | None = None
    mount_point: str | None = None
    proxy_protocol: int = 0
    proxy_protocol_v2_require_tls: bool = False
    websockets_origins: tuple[str, ...] = ()
    http_dir: str | None = None
    zmtp_mechanism: str = "null"
    zmtp_queue: str | None = None
    zmtp_user_queues: tuple[str, ...] = ()
    zmtp_curve_secret: str | None = None
    zmtp_curve_keys: str | None = None

    def __post_init__(self) -> None:
        _within("port", self.port, 0, _UINT16_MAX)
        _within("max_qos", self.max_qos, 0, 2)
        _within("topic_alias_max", self.topic_alias_max, 0, _UINT16_MAX)
        _within("topic_alias_broker_max", self.topic_alias_broker_max, 0, _UINT16_MAX)
        _within("proxy_protocol", self.proxy_protocol, 0, 2)
        if self.socket_domain not in (None, "ipv4", "ipv6"):
            raise ConfigError(f"socket_domain must be ipv4 or ipv6, not {self.socket_domain!r}")
        if self.auto_id_prefix is not None:
            _check_prefix(self.auto_id_prefix)

    def name(self, port: int = 0) -> str:
        """How it is told from others; ``port`` is the one in use where it asked for none.

        No two listeners that can be open at the same time have the same name: what goes for those
        who come in is found by it.
        """
        if self.unix_path is not None:
            return self.unix_path
        name = str(self.port or port)
        if self.host is not None:
            name = f"{self.host}:{name}"
        if self.bind_interface is not None:
            name = f"{name}%{self.bind_interface}"
        return name if self.socket_domain is None else f"{name} ({self.socket_domain})"

    def is_local(self) -> bool:
        """Whether only programs on the same machine can reach it."""
        return self.unix_path is not None or self.host in LOOPBACK


@dataclass(slots=True, kw_only=True)
class Configuration:
    """A whole configuration.

    Attributes:
        settings: what is true for the whole broker.
        listeners: where it listens, in the order in which they are opened.
        local_only: no listener was asked for, so it listens on loopback only. That one of the
            two loopback addresses cannot be opened is no error then.
        messages: what there is to say about it, as pairs of a log type (``notice``, ``warning``,
            ``information``) and a line. They are logged before anything else.
        origins: where each option was given, by the index of its listener (:data:`GENERAL_ORIGIN`
            for general ones) and its name. What is not here has its default.
    """

    settings: Settings = field(default_factory=Settings)
    listeners: list[ListenerSettings] = field(default_factory=list)
    local_only: bool = False
    messages: list[tuple[str, str]] = field(default_factory=list)
    origins: dict[tuple[int, str], str] = field(default_factory=dict, compare=False)

    def locate(self, error: ConfigError, owner: SecuritySettings, *names: str) -> None:
        """Note below an error where the first of some options was given, if that is known.

        Args:
            error: what is wrong; one that already says where it was found stays as it is.
            owner: the listener, or the general settings, that the options belong to.
            names: the options, the likeliest cause first.
        """
        indexes = (n for n, listener in enumerate(self.listeners) if listener is owner)
        index = next(indexes, GENERAL_ORIGIN)
        for name in names:
            where = self.origins.get((index, name))
            if where is not None and len(error.lines()) == 1:
                error.add_note(f"Error found at {where}.")


def local_configuration(ports: tuple[int, ...] = ()) -> Configuration:
    """What goes without a configuration file: loopback only, everybody is let in.

    Args:
        ports: those of the command line; 1883 when there is none.
    """
    listeners = local_listeners(ports)
    origins = ports_origin(listeners) if ports else {}
    return Configuration(listeners=listeners, local_only=True, origins=origins)


def ports_origin(listeners: list[ListenerSettings]) -> dict[tuple[int, str], str]:
    """The origins of listeners that the command line asked for."""
    return {(index, "listener"): "command line" for index in range(len(listeners))}


def local_listeners(ports: tuple[int, ...] = ()) -> list[ListenerSettings]:
    """A listener on each of the two loopback addresses, for each port."""
    return [
        ListenerSettings(host=host, port=port)
        for port in ports or (PORT_DEFAULT,)
        for host in ("127.0.0.1", "::1")
    ]


def anonymous_allowed(settings: Settings, listener: ListenerSettings) -> bool:
    """Whether a client may come in at ``listener`` without credentials.

    The listener's own word counts first, then the general one; where neither says, only those on
    the same machine may.
    """
    if listener.allow_anonymous is not None:
        return listener.allow_anonymous
    if settings.allow_anonymous is not None:
        return settings.allow_anonymous
    return listener.is_local()


def _within(name: str, value: int, least: int, most: int | None = None) -> None:
    if value < least or (most is not None and value > most):
        allowed = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigError(f"{name} must be {allowed}, not {value}")


def _check_prefix(prefix: str) -> None:
    if len(prefix.encode()) > ID_PREFIX_BYTES_MAX:
        raise ConfigError(f"auto_id_prefix length must be <= {ID_PREFIX_BYTES_MAX}, not {prefix!r}")
