"""The options of a socket: a table for who reads and writes them, typed values for who uses them.

:data:`OPTIONS` knows every option of libzmq by number; :class:`Options` holds the values, one
attribute for each that means something here, the unit in its name. What only a socket knows
(EVENTS, TYPE, LAST_ENDPOINT and their like) is in the table and not in the values.
"""

from __future__ import annotations

from typing import Any, Final

from midge.limits import ZMTP_SHORT_STRING_BYTES_MAX
from midge.patterns.errors import SocketError, invalid, not_supported
from midge.patterns.networks import parse_network
from midge.patterns.option_table import ONLY_FOR, TABLE
from midge.zmtp import z85
from midge.zmtp.settings import CURVE, NULL, PLAIN

INT: Final = "int"
INT64: Final = "int64"
BOOL: Final = "bool"
BYTES: Final = "bytes"
STR: Final = "str"
KEY: Final = "key"
FD: Final = "fd"

_INT_MAX: Final = {INT: (1 << 31) - 1, INT64: (1 << 63) - 1, BOOL: (1 << 31) - 1}
_KEY_BYTES: Final = 32
_KEY_CHARACTERS: Final = 40
_UNSUPPORTED: Final = "Not supported here."
_MEANS_NOTHING: Final = "Accepted, means nothing here"
#: Attributes that collect what is given to them.
_LISTS: Final = ("ipc_filter_pid", "ipc_filter_uid", "ipc_filter_gid", "tcp_accept_filter")


class Option:
    """One option.

    Attributes:
        name: libzmq's, without ``ZMQ_``.
        number: libzmq's.
        kind: what its value is, see the kinds above.
        readable, writable: what may be done with it.
        default: the value when it was not set.
        attribute: of :class:`Options`; empty where there is none.
        least, most: the range of a number.
        types: of the sockets that have it; none: all.
        meaning: in a line.
    """

    __slots__ = (
        "attribute",
        "default",
        "kind",
        "least",
        "meaning",
        "most",
        "name",
        "number",
        "readable",
        "types",
        "writable",
    )

    def __init__(self, columns: str, meaning: str) -> None:
        name, number, kind, access, default, attribute, span = columns.split()
        self.name = name
        self.number = int(number)
        self.kind = kind
        self.readable = "r" in access
        self.writable = "w" in access
        self.attribute = "" if attribute == "-" else attribute
        self.default: Any = _default(kind, default)
        least, _, most = span.partition("..")
        if kind == BOOL and span == "-":
            least, most = "0", "1"
        self.least = int(least) if least not in ("", "-") else -(1 << 31)
        self.most = int(most) if most else _INT_MAX.get(kind, 0)
        self.types: frozenset[str] = ONLY_FOR.get(name, frozenset())
        self.meaning = meaning.strip()

    @property
    def supported(self) -> bool:
        """Whether it can be set at all."""
        return self.meaning != _UNSUPPORTED

    @property
    def means_nothing(self) -> bool:
        """Whether it is accepted and has no effect."""
        return self.meaning.startswith(_MEANS_NOTHING)


def _default(kind: str, text: str) -> Any:
    if kind in (BYTES, KEY):
        return b""
    if kind == STR:
        return ""
    value = 0 if text == "-" else int(text)
    if kind == BOOL:  # in one expression they would be numbers, both, once it is compiled
        return bool(value)
    return value


def _read_table() -> dict[int, Option]:
    lines = TABLE.strip().splitlines()
    options = [Option(*pair) for pair in zip(lines[::2], lines[1::2], strict=True)]
    return {option.number: option for option in options}


#: All options by number.
OPTIONS: Final = _read_table()
#: The same by name.
BY_NAME: Final = {option.name: option for option in OPTIONS.values()}
_DEFAULTS: Final = {
    option.attribute: option.default for option in OPTIONS.values() if option.attribute
}


class Options:
    """The values; see the table for what each means.

    Those that may be given more than once are lists. ``mechanism`` is ``"NULL"``, ``"PLAIN"`` or
    ``"CURVE"``, as what else is set wants it.
    """

    __slots__ = (
        "affinity",
        "backlog",
        "bind_to_device",
        "conflate",
        "connect_routing_id",
        "connect_timeout_ms",
        "curve_public_key",
        "curve_secret_key",
        "curve_server",
        "curve_server_key",
        "disconnect_message",
        "handshake_ms",
        "heartbeat_interval_ms",
        "heartbeat_timeout_ms",
        "heartbeat_ttl_ms",
        "hello_message",
        "hiccup_message",
        "immediate",
        "in_batch_size",
        "invert_matching",
        "ipc_filter_gid",
        "ipc_filter_pid",
        "ipc_filter_uid",
        "ipv6",
        "linger_ms",
        "loopback_fastpath",
        "mechanism",
        "message_bytes_max",
        "metadata",
        "multicast_bytes_max",
        "multicast_hops",
        "multicast_loop",
        "only_first_subscribe",
        "out_batch_size",
        "plain_password",
        "plain_server",
        "plain_username",
        "priority",
        "probe_router",
        "rate",
        "receive_buffer_bytes",
        "receive_mark",
        "receive_timeout_ms",
        "reconnect_interval_max_ms",
        "reconnect_interval_ms",
        "reconnect_stop",
        "recovery_interval_ms",
        "req_correlate",
        "req_relaxed",
        "router_handover",
        "router_mandatory",
        "router_notify",
        "router_raw",
        "routing_id",
        "send_buffer_bytes",
        "send_mark",
        "send_timeout_ms",
        "socks_password",
        "socks_proxy",
        "socks_username",
        "stream_notify",
        "tcp_accept_filter",
        "tcp_keepalive",
        "tcp_keepalive_count",
        "tcp_keepalive_idle_s",
        "tcp_keepalive_interval_s",
        "tcp_maxrt_ms",
        "tos",
        "use_fd",
        "wss_cert_pem",
        "wss_hostname",
        "wss_key_pem",
        "wss_trust_pem",
        "wss_trust_system",
        "xpub_manual",
        "xpub_manual_last_value",
        "xpub_nodrop",
        "xpub_verbose",
        "xpub_verboser",
        "xpub_welcome_message",
        "xsub_verbose_unsubscribe",
        "zap_domain",
        "zap_enforce_domain",
    )

    affinity: int
    backlog: int
    bind_to_device: str
    conflate: bool
    connect_routing_id: bytes
    connect_timeout_ms: int
    curve_public_key: bytes
    curve_secret_key: bytes
    curve_server: bool
    curve_server_key: bytes
    disconnect_message: bytes
    handshake_ms: int
    heartbeat_interval_ms: int
    heartbeat_timeout_ms: int
    heartbeat_ttl_ms: int
    hello_message: bytes
    hiccup_message: bytes
    immediate: bool
    in_batch_size: int
    invert_matching: bool
    ipc_filter_gid: list[int]
    ipc_filter_pid: list[int]
    ipc_filter_uid: list[int]
    ipv6: bool
    linger_ms: int
    loopback_fastpath: bool
    mechanism: str
    message_bytes_max: int
    metadata: list[tuple[str, bytes]]
    multicast_bytes_max: int
    multicast_hops: int
    multicast_loop: bool
    only_first_subscribe: bool
    out_batch_size: int
    plain_password: str
    plain_server: bool
    plain_username: str
    priority: int
    probe_router: bool
    rate: int
    receive_buffer_bytes: int
    receive_mark: int
    receive_timeout_ms: int
    reconnect_interval_max_ms: int
    reconnect_interval_ms: int
    reconnect_stop: int
    recovery_interval_ms: int
    req_correlate: bool
    req_relaxed: bool
    router_handover: bool
    router_mandatory: bool
    router_notify: int
    router_raw: bool
    routing_id: bytes
    send_buffer_bytes: int
    send_mark: int
    send_timeout_ms: int
    socks_password: str
    socks_proxy: str
    socks_username: str
    stream_notify: bool
    tcp_accept_filter: list[bytes]
    tcp_keepalive: int
    tcp_keepalive_count: int
    tcp_keepalive_idle_s: int
    tcp_keepalive_interval_s: int
    tcp_maxrt_ms: int
    tos: int
    use_fd: int
    wss_cert_pem: str
    wss_hostname: str
    wss_key_pem: str
    wss_trust_pem: str
    wss_trust_system: bool
    xpub_manual: bool
    xpub_manual_last_value: bool
    xpub_nodrop: bool
    xpub_verbose: bool
    xpub_verboser: bool
    xpub_welcome_message: bytes
    xsub_verbose_unsubscribe: bool
    zap_domain: str
    zap_enforce_domain: bool

    def __init__(self) -> None:
        for name, value in _DEFAULTS.items():
            setattr(self, name, value)
        for name in _LISTS:
            setattr(self, name, [])
        self.metadata = []
        self.mechanism = NULL

    def set(self, number: int, value: Any) -> None:
        """Set an option.

        Args:
            number: libzmq's.
            value: an int for numbers and booleans, bytes or text for the others; ``None`` clears
                those that may be empty.

        Raises:
            SocketError: EINVAL for an option that does not exist, is not to be set or does not
                take this value; ENOTSUP for one that is not supported here.
        """
        option = OPTIONS.get(number)
        if option is None:
            raise invalid(f"there is no socket option {number}")
        if not option.writable:
            raise invalid(f"{option.name} cannot be set")
        if not option.supported:
            raise not_supported(f"{option.name} is not supported here")
        made = _made(option, value)
        special = _SETTERS.get(option.name)
        if special is not None:
            special(self, made)
        elif option.attribute in _LISTS:
            self._collect(option, made)
        elif option.attribute:
            setattr(self, option.attribute, made)

    def get(self, number: int) -> Any:
        """The value of an option: an int, or bytes.

        Raises:
            SocketError: EINVAL for an option that does not exist, or is not to be read.
        """
        option = OPTIONS.get(number)
        if option is None:
            raise invalid(f"there is no socket option {number}")
        if not option.readable:
            raise invalid(f"{option.name} cannot be read")
        if option.name == "IPV4ONLY":
            return int(not self.ipv6)
        if option.name == "MECHANISM":
            return (NULL, PLAIN, CURVE).index(self.mechanism)
        value = getattr(self, option.attribute) if option.attribute else option.default
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if option.kind == KEY:
            return z85.encode(value) if value else b""
        return value

    def _set_tcp_accept_filter(self, value: bytes) -> None:
        if value:
            try:
                parse_network(value)
            except ValueError as error:
                raise invalid(f"TCP_ACCEPT_FILTER: {error}") from None
            self.tcp_accept_filter.append(value)
        else:
            self.tcp_accept_filter.clear()

    def _collect(self, option: Option, value: Any) -> None:
        collected: list[Any] = getattr(self, option.attribute)
        if value in (b"", None):
            collected.clear()
        else:
            collected.append(value)

    # -- options that do more than keep their value ----------------------------------------------

    def _set_routing_id(self, value: bytes) -> None:
        if not 0 < len(value) <= ZMTP_SHORT_STRING_BYTES_MAX:
            raise invalid("a routing id has 1 to 255 bytes")
        if value[0] == 0:
            raise invalid("a routing id that begins with a zero byte is for made-up ones")
        self.routing_id = value

    def _set_connect_routing_id(self, value: bytes) -> None:
        if not 0 < len(value) <= ZMTP_SHORT_STRING_BYTES_MAX:
            raise invalid("a routing id has 1 to 255 bytes")
        self.connect_routing_id = value

    def _set_ipv4_only(self, value: bool) -> None:
        self.ipv6 = not value

    def _set_plain_server(self, value: bool) -> None:
        self.plain_server = value
        self.mechanism = PLAIN if value else NULL

    def _set_plain_username(self, value: str) -> None:
        self._check_short(value)
        self.plain_username = value
        self.plain_server = False
        self.mechanism = PLAIN if value else NULL

    def _set_plain_password(self, value: str) -> None:
        self._check_short(value)
        self.plain_password = value
        if value:
            self.plain_server = False
            self.mechanism = PLAIN

    def _check_short(self, value: str) -> None:
        if len(value.encode()) > ZMTP_SHORT_STRING_BYTES_MAX:
            raise invalid("a user name or password has at most 255 bytes")

    def _set_curve_server(self, value: bool) -> None:
        self.curve_server = value
        self.mechanism = CURVE if value else NULL

    def _set_curve_public(self, value: bytes) -> None:
        self.curve_public_key = value
        self.mechanism = CURVE

    def _set_curve_secret(self, value: bytes) -> None:
        self.curve_secret_key = value
        self.mechanism = CURVE

    def _set_curve_server_key(self, value: bytes) -> None:
        self.curve_server_key = value
        self.curve_server = False
        self.mechanism = CURVE if value else NULL

    def _set_metadata(self, value: str) -> None:
        name, colon, content = value.partition(":")
        if not colon or not name.startswith("X-") or len(name) > ZMTP_SHORT_STRING_BYTES_MAX:
            raise invalid("metadata has the form X-NAME:VALUE")
        self.metadata.append((name, content.encode()))

    def _set_xpub_verbose(self, value: bool) -> None:
        self.xpub_verbose = value
        self.xpub_verboser = False

    def _set_xpub_verboser(self, value: bool) -> None:
        self.xpub_verboser = value
        self.xpub_verbose = value

    def _set_xpub_manual_last(self, value: bool) -> None:
        self.xpub_manual_last_value = value
        self.xpub_manual = value

    def copy(self) -> Options:
        """The same values, to be changed independently."""
        other = Options()
        for name in self.__slots__:
            value = getattr(self, name)
            setattr(other, name, list(value) if isinstance(value, list) else value)
        return other


_SETTERS: Final[dict[str, Any]] = {
    "ROUTING_ID": Options._set_routing_id,
    "CONNECT_ROUTING_ID": Options._set_connect_routing_id,
    "IPV4ONLY": Options._set_ipv4_only,
    "PLAIN_SERVER": Options._set_plain_server,
    "PLAIN_USERNAME": Options._set_plain_username,
    "PLAIN_PASSWORD": Options._set_plain_password,
    "CURVE_SERVER": Options._set_curve_server,
    "CURVE_PUBLICKEY": Options._set_curve_public,
    "CURVE_SECRETKEY": Options._set_curve_secret,
    "CURVE_SERVERKEY": Options._set_curve_server_key,
    "METADATA": Options._set_metadata,
    "TCP_ACCEPT_FILTER": Options._set_tcp_accept_filter,
    "XPUB_VERBOSE": Options._set_xpub_verbose,
    "XPUB_VERBOSER": Options._set_xpub_verboser,
    "XPUB_MANUAL_LAST_VALUE": Options._set_xpub_manual_last,
}


def _made(option: Option, value: Any) -> Any:
    """The value in the form that is kept, checked."""
    kind = option.kind
    if kind in (INT, INT64, BOOL):
        return _number(option, value)
    if value is None:
        return "" if kind == STR else b""
    if kind == STR:
        if isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        if not isinstance(value, str):
            raise invalid(f"{option.name} takes text, not {value!r}")
        return value.rstrip("\0")
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes | bytearray | memoryview):
        raise invalid(f"{option.name} takes bytes, not {value!r}")
    return _key(option, bytes(value)) if kind == KEY else bytes(value)


def _number(option: Option, given: Any) -> Any:
    if not isinstance(given, int):
        raise invalid(f"{option.name} takes a number, not {given!r}")
    value = int(given)  # also of an enum
    if not option.least <= value <= option.most:
        raise invalid(f"{option.name} is {option.least} to {option.most}, not {value}")
    if option.kind == BOOL:
        return bool(value)
    return value


def _key(option: Option, value: bytes) -> bytes:
    if len(value) == _KEY_BYTES:
        return value
    text = value.rstrip(b"\0")
    if len(text) != _KEY_CHARACTERS:
        raise invalid(f"{option.name} is 32 bytes, or 40 characters of Z85")
    try:
        return z85.decode(text)
    except ValueError as error:
        raise SocketError(invalid("").errno, f"{option.name}: {error}") from None
