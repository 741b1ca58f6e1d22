"""What a configuration says about a bridge: a connection to another broker."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, frozen=True)
class BridgeTopic:
    """Topics that are exchanged.

    Attributes:
        filter: which; ``None`` for the one topic that the prefixes make.
        direction: ``out``, ``in`` or ``both``.
        qos: at which QoS.
        local_prefix, remote_prefix: what they begin with here and there, and not on the other side.
    """

    filter: str | None
    direction: str = "out"
    qos: int = 0
    local_prefix: str | None = None
    remote_prefix: str | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class BridgeSettings:
    """A bridge, with the attributes named as the options are (see the table of options).

    Attributes:
        name: what follows ``connection``.
        addresses: hosts and ports of the remote broker.
        topics: what is exchanged.
        restart_min_s, restart_max_s, restart_stable_s: the first and the longest pause before it
            connects again; how long a connection must last for the next pause to be the first.
        tcp_keepalive: idle time and interval in seconds, and count; ``None`` for the system's.
    """

    name: str
    addresses: list[tuple[str, int]] = field(default_factory=list)
    topics: list[BridgeTopic] = field(default_factory=list)
    alpn: str | None = None
    attempt_unsubscribe: bool = True
    bind_address: str | None = None
    cafile: str | None = None
    capath: str | None = None
    certfile: str | None = None
    ciphers: str | None = None
    ciphers_tls13: str | None = None
    clean_session: bool = False
    identity: str | None = None
    idle_timeout_s: int = 60
    insecure: bool = False
    keepalive_s: int = 60
    keyfile: str | None = None
    local_clean_session: bool | None = None
    local_client_id: str | None = None
    local_password: str | None = None
    local_username: str | None = None
    notification_topic: str | None = None
    notifications: bool = True
    notifications_local_only: bool = False
    outgoing_retain: bool = True
    packet_bytes_max: int = 0
    protocol_version: str = "mqttv311"
    psk: str | None = None
    receive_maximum: int = 20
    reload_type: str = "lazy"
    remote_client_id: str | None = None
    remote_password: str | None = None
    remote_username: str | None = None
    require_ocsp: bool = False
    restart_min_s: int = 5
    restart_max_s: int = 30
    restart_stable_s: int = 0
    round_robin: bool = False
    session_expiry_interval_s: int = 0
    start_type: str = "automatic"
    tcp_keepalive: tuple[int, int, int] | None = None
    tcp_user_timeout_ms: int | None = None
    threshold: int = 10
    tls_use_os_certs: bool = False
    tls_version: str | None = None
    topic_alias_max: int = 10
    try_private: bool = True
