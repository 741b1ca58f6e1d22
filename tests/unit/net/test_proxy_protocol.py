"""The PROXY protocol: what a header says, how it may arrive, and what is none."""

from __future__ import annotations

import ipaddress
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from midge.config.settings import ListenerSettings
from midge.limits import PROXY_HEADER_BYTES_MAX, PROXY_LINE_BYTES_MAX
from midge.net.layer import Layer
from midge.net.proxy_protocol import ProxyError, ProxyHeader, ProxyLayer, read_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROXY_ADDRESS = ("10.9.8.7", 4321)


class Wire:
    """What carries the layer; it notes what is asked of it."""

    full = False
    username: str | None = None

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.written: list[bytes] = []

    def peer(self) -> tuple[str, int]:
        return PROXY_ADDRESS

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.ended.append("close")

    def abort(self) -> None:
        self.ended.append("abort")


class Above:
    """What stands above the layer."""

    def __init__(self) -> None:
        self.data = b""
        self.over: list[str] = []

    def stream_data(self, data: bytes) -> None:
        self.data += data

    def stream_writable(self) -> None: ...

    def stream_closed(self, text: str) -> None:
        self.over.append(text)


class Connection:
    """A layer with what is below and above it.

    Attributes:
        opened: it got ready, so many times.
        refusals: why it never will be.
    """

    def __init__(self, takes: bool = True, **named: object) -> None:
        named.setdefault("proxy_protocol", 2)
        self.wire = Wire()
        self.above = Above()
        self.opened = 0
        self.refusals: list[str] = []
        self._takes = takes
        self.layer = ProxyLayer(
            self.wire,
            ListenerSettings(**named),  # type: ignore[arg-type]
            self._open,
            lambda _, text: self.refusals.append(text),
        )

    def _open(self, layer: Layer) -> Above | None:
        assert layer is self.layer
        self.opened += 1
        return self.above if self._takes else None

    def send(self, *chunks: bytes) -> Connection:
        for chunk in chunks:
            self.layer.stream_data(chunk)
        return self


def vector(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value


def ssl(flags: int = 5, result: int = 0, *inner: bytes) -> bytes:
    return vector(0x20, bytes((flags,)) + result.to_bytes(4, "big") + b"".join(inner))


def binary(
    body: bytes, family: int = 0x11, command: int = 0x21, length: int | None = None
) -> bytes:
    size = len(body) if length is None else length
    return SIGNATURE + bytes((command, family)) + size.to_bytes(2, "big") + body


def over_ipv4(
    *vectors: bytes, source: str = "192.0.2.5", port: int = 6275, padding: int = 0
) -> bytes:
    addresses = ipaddress.ip_address(source).packed + bytes(4)
    ports = port.to_bytes(2, "big") + bytes(2)
    return binary(addresses + ports + b"".join(vectors) + b"\4\0\0" * padding)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The pieces of ``data`` between some places."""
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(bounds) if a < b]


def header(data: bytes, version: int) -> ProxyHeader:
    """The header that all of ``data`` is."""
    found = read_header(data, version)
    assert found is not None
    assert found[1] == len(data)
    return found[0]


# -- what headers say ------------------------------------------------------------------------------

ipv4 = st.ip_addresses(v=4)
ipv6 = st.ip_addresses(v=6)
ports = st.integers(1, 65_535)


def same(one: str | None, other: object) -> bool:
    return one is not None and ipaddress.ip_address(one) == other


@given(ipv4, ipv4, ports, ports)
def test_a_line_names_an_ipv4_client(
    source: ipaddress.IPv4Address, target: ipaddress.IPv4Address, port: int, at: int
) -> None:
    found = header(f"PROXY TCP4 {source} {target} {port} {at}\r\n".encode(), 1)
    assert (found.address, found.port, found.local) == (str(source), port, False)


@given(ipv6, ipv6, ports, ports)
def test_a_line_names_an_ipv6_client_in_its_usual_form(
    source: ipaddress.IPv6Address, target: ipaddress.IPv6Address, port: int, at: int
) -> None:
    for text in (source.compressed, source.exploded, source.exploded.upper()):
        found = header(f"PROXY TCP6 {text} {target} {port} {at}\r\n".encode(), 1)
        assert same(found.address, source)
        assert found.port == port
        assert found.address == header(binary_ipv6(source, port), 2).address


def binary_ipv6(source: ipaddress.IPv6Address, port: int) -> bytes:
    return binary(source.packed + bytes(16) + port.to_bytes(2, "big") + bytes(2), 0x21)


@given(ipv4, st.integers(0, 65_535))
def test_a_binary_header_names_an_ipv4_client(source: ipaddress.IPv4Address, port: int) -> None:
    found = header(over_ipv4(source=str(source), port=port), 2)
    assert (found.address, found.port) == (str(source), port)


@given(ipv6, st.integers(0, 65_535))
def test_a_binary_header_names_an_ipv6_client(source: ipaddress.IPv6Address, port: int) -> None:
    found = header(binary_ipv6(source, port), 2)
    assert same(found.address, source)
    assert found.port == port


@pytest.mark.parametrize(
    "body",
    [
        b"/run/client",
        b"/run/client".ljust(108, b"\0"),
        b"/run/client".ljust(216, b"\0"),
        b"/run/client".ljust(216, b"\0") + ssl(1),
    ],
)
def test_a_unix_client_has_a_path_and_no_port(body: bytes) -> None:
    found = header(binary(body, 0x31), 2)
    assert (found.address, found.port) == ("/run/client", 0)
    assert found.secured == (len(body) > 216)


def test_the_longest_path_is_all_of_its_field() -> None:
    assert header(binary(b"p" * 216, 0x31), 2).address == "p" * 108


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    ],
)
def test_an_unknown_client_has_the_address_of_its_connection(line: bytes) -> None:
    assert header(line, 1).address is None
    connection = Connection(proxy_protocol=1).send(line)
    assert connection.opened == 1
    assert connection.layer.peer() == PROXY_ADDRESS


def test_of_tls_the_flags_the_result_and_the_common_name_count() -> None:
    name = vector(0x22, "Ärla".encode())
    version = vector(0x21, b"TLSv1.3")
    cases = [
        ((ssl(5, 0, version, name),), (True, True, "Ärla")),
        ((vector(2, b"host"), ssl(5, 0, name), vector(0x30, b"netns")), (True, True, "Ärla")),
        ((ssl(5, 0, version),), (True, True, None)),
        ((ssl(5, 0, vector(0x22, b"")),), (True, True, None)),
        ((ssl(5, 1, name),), (True, False, "Ärla")),
        ((ssl(3, 0, name),), (True, False, "Ärla")),
        ((ssl(1, 0),), (True, False, None)),
        ((ssl(4, 0, name),), (False, False, "Ärla")),
        ((ssl(0, 0),), (False, False, None)),
        ((), (False, False, None)),
        ((ssl(5, 0, name), ssl(1, 1)), (True, False, None)),
    ]
    for vectors, expected in cases:
        found = header(over_ipv4(*vectors), 2)
        assert (found.secured, found.certified, found.common_name) == expected, vectors


# -- what is none ----------------------------------------------------------------------------------

BAD_LINES = [
    b"PROXY TCP3 192.0.2.5 127.0.0.1 6275 1234\r\n",
    b"PROXY UDP4 192.0.2.5 127.0.0.1 6275 1234\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.1 6275\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.1\r\n",
    b"PROXY TCP4 192.0.2.5\r\n",
    b"PROXY TCP4 \r\n",
    b"PROXY TCP4\r\n",
    b"PROXY \r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY unknown\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.1 6275 1234 \r\n",
    b"PROXY TCP4 192.0.2.5  127.0.0.1 6275 1234\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.1 6275 0\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.1 6275 65536\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.1 0 1234\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.1 65536 1234\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.1 +6275 1234\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.1 6275x 1234\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.256 6275 1234\r\n",
    b"PROXY TCP4 192.0.2.256 127.0.0.1 6275 1234\r\n",
    b"PROXY TCP4 192.0.2.5\0 127.0.0.1 6275 1234\r\n",
    b"PROXY TCP4 ::1 ::1 6275 1234\r\n",
    b"PROXY TCP6 192.0.2.5 127.0.0.1 6275 1234\r\n",
    b"PROXY TCP6 ::1%lo ::1 6275 1234\r\n",
    b"PROXY TCP4 192.0.2.\xb2 127.0.0.1 6275 1234\r\n",
    b"PROXY TCP4 192.0.2.5 127.0.0.1 6275 1234" + b" " * 67 + b"\r\n",
    b"PROXY UNKNOWN " + b"x" * 93 + b"\r\n",
    b"PROXY UNKNOWN " + b"x" * 1000,
    b"proxy TCP4 192.0.2.5 127.0.0.1 6275 1234\r\n",
    b"\x10\x0c\0\4MQTT\4\2\0\0\0\0",
    over_ipv4(),
]
BAD_BINARY = [
    SIGNATURE[:-1] + b"\x0b\x21\x11\0\x0c" + bytes(12),
    binary(bytes(12), command=0x31),
    binary(bytes(12), command=0x11),
    binary(bytes(12), command=0x23),
    binary(bytes(12), 0x00),
    binary(bytes(12), 0x12),
    binary(bytes(36), 0x22),
    binary(bytes(11)),
    binary(b""),
    binary(bytes(35), 0x21),
    binary(bytes(12), 0x21),
    binary(b"", 0x21),
    binary(b"", 0x31),
    *(binary(bytes(PROXY_HEADER_BYTES_MAX + 1), family) for family in (0x11, 0x21, 0x31)),
    over_ipv4(b"\x04"),
    over_ipv4(b"\x04\0"),
    over_ipv4(b"\x04\0\1"),
    over_ipv4(vector(0x20, b"\x05\0\0\0")),
    over_ipv4(vector(0x20, b"")),
    over_ipv4(ssl(5, 0, b"\x21\0")),
    over_ipv4(ssl(5, 0, b"\x21\0\x08TLSv1.3"), b"\0\0\0"),
    over_ipv4(ssl(5, 0, vector(0x22, b"\xff"))),
    over_ipv4(ssl(5, 0, vector(0x22, b"bob\0admin"))),
    b"PROXY TCP4 192.0.2.5 127.0.0.1 6275 1234\r\n",
    b"\x10\x0c\0\4MQTT\4\2\0\0\0\0",
]
BAD = [(data, 1) for data in BAD_LINES] + [(data, 2) for data in BAD_BINARY]


@pytest.mark.parametrize(("data", "version"), BAD)
def test_what_is_no_header_is_refused_and_cut_off(data: bytes, version: int) -> None:
    with pytest.raises(ProxyError, match="corrupt PROXY header"):
        read_header(data, version)
    connection = Connection(proxy_protocol=version).send(data)
    assert connection.wire.ended == ["abort"]
    assert len(connection.refusals) == 1
    assert connection.refusals[0].startswith("corrupt PROXY header (")
    assert not connection.opened
    connection.send(over_ipv4(), b"more")
    connection.layer.stream_closed("")
    assert not connection.opened
    assert len(connection.refusals) == 1  # told once


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_without_a_proxy_is_seen_at_its_first_byte(version: int) -> None:
    connection = Connection(proxy_protocol=version).send(b"\x10")
    assert connection.wire.ended == ["abort"]


def test_the_longest_headers_fit() -> None:
    longest = b"PROXY UNKNOWN " + b"x" * (PROXY_LINE_BYTES_MAX - 16) + b"\r\n"
    assert len(longest) == PROXY_LINE_BYTES_MAX
    header(longest, 1)
    body = PROXY_HEADER_BYTES_MAX - 12
    assert header(over_ipv4(vector(4, bytes(body - 3))), 2).address == "192.0.2.5"


# -- however it arrives ----------------------------------------------------------------------------

GOOD = [
    (b"PROXY TCP4 192.0.2.5 127.0.0.1 6275 1234\r\n", 1, ("192.0.2.5", 6275)),
    (b"PROXY TCP6 2001:db8::5 ::1 6275 1234\r\n", 1, ("2001:db8::5", 6275)),
    (b"PROXY UNKNOWN\r\n", 1, PROXY_ADDRESS),
    (over_ipv4(), 2, ("192.0.2.5", 6275)),
    (over_ipv4(ssl(5, 0, vector(0x22, b"bob")), padding=50), 2, ("192.0.2.5", 6275)),
    (binary_ipv6(ipaddress.IPv6Address("2001:db8::5"), 6275), 2, ("2001:db8::5", 6275)),
    (binary(b"/path", 0x31), 2, ("/path", 0)),
]
places = st.lists(st.integers(0, 1000), max_size=8)


@given(st.sampled_from(GOOD), st.binary(max_size=40), places)
def test_what_comes_behind_is_handed_on_however_it_is_cut(
    case: tuple[bytes, int, tuple[str, int]], rest: bytes, where: list[int]
) -> None:
    data, version, peer = case
    connection = Connection(proxy_protocol=version).send(*cut(data + rest, where))
    assert connection.opened == 1
    assert not connection.refusals
    assert connection.layer.peer() == peer
    assert connection.above.data == rest


@given(st.sampled_from(GOOD))
def test_nothing_is_said_before_the_last_byte(case: tuple[bytes, int, tuple[str, int]]) -> None:
    data, version, _ = case
    connection = Connection(proxy_protocol=version)
    for place in range(len(data)):
        assert not connection.opened
        assert connection.layer.peer() == PROXY_ADDRESS
        connection.send(data[place : place + 1])
    assert connection.opened == 1


starts = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ::1", SIGNATURE, SIGNATURE + b"\x21\x11\0"]
    + [data for data, _, _ in GOOD]
)


@given(st.integers(1, 2), starts, st.binary(max_size=700), places)
@example(2, SIGNATURE, b"\x21\x11\x01\xf4" + bytes(12) + b"\x20\xff\xff" * 200, [])
def test_no_bytes_whatever_raise_and_cutting_them_changes_nothing(
    version: int, start: bytes, end: bytes, where: list[int]
) -> None:
    whole = Connection(proxy_protocol=version).send(start + end)
    pieces = Connection(proxy_protocol=version).send(*cut(start + end, where))
    for one in (whole, pieces):
        assert one.opened + len(one.refusals) <= 1
        assert one.opened or not one.above.data
    assert (whole.opened, whole.refusals, whole.wire.ended, whole.layer.peer()) == (
        pieces.opened,
        pieces.refusals,
        pieces.wire.ended,
        pieces.layer.peer(),
    )
    assert whole.above.data == pieces.above.data


@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_header_with_wrong_bytes_never_raises(
    case: tuple[bytes, int, tuple[str, int]], wrong: list[tuple[int, int]]
) -> None:
    data = bytearray(case[0])
    for place, byte in wrong:
        data[place % len(data)] = byte
    connection = Connection(proxy_protocol=case[1]).send(bytes(data))
    assert connection.opened + len(connection.refusals) <= 1


def test_what_waits_is_bounded() -> None:
    connection = Connection(proxy_protocol=1)
    for byte in b"PROXY UNKNOWN " + b"x" * 1000:
        connection.send(bytes((byte,)))
    assert connection.wire.ended == ["abort"]
    connection = Connection(proxy_protocol=2).send(SIGNATURE + b"\x21\x31\xff\xff")
    assert connection.wire.ended == ["abort"]  # before any of it came


# -- what a listener wants -------------------------------------------------------------------------


def test_a_proxy_that_looks_whether_we_live_is_let_go_and_nothing_is_told() -> None:
    for data in (binary(b"", 0, 0x20), binary(bytes(12), 0x11, 0x20), binary(bytes(600), 0, 0x20)):
        connection = Connection().send(data)
        assert (connection.opened, connection.refusals) == (0, [""])
        assert connection.wire.ended == ["abort"]


@pytest.mark.parametrize(
    ("vectors", "taken"), [((ssl(1),), True), ((ssl(5),), True), ((ssl(0),), False), ((), False)]
)
def test_only_clients_with_tls_where_the_listener_says_so(
    vectors: tuple[bytes, ...], taken: bool
) -> None:
    connection = Connection(proxy_protocol_v2_require_tls=True).send(over_ipv4(*vectors))
    assert connection.opened == taken
    assert connection.refusals == ([] if taken else ["client did not connect using TLS"])
    assert connection.layer.peer() == ("192.0.2.5", 6275)  # for the log, also of one refused
    if taken:
        assert connection.layer.secured
    assert Connection().send(over_ipv4(*vectors)).opened == 1


@pytest.mark.parametrize(
    ("vectors", "taken"),
    [((ssl(5),), True), ((ssl(5, 1),), False), ((ssl(1),), False), ((ssl(4),), False), ((), False)],
)
def test_only_clients_with_a_certificate_where_the_listener_says_so(
    vectors: tuple[bytes, ...], taken: bool
) -> None:
    connection = Connection(require_certificate=True).send(over_ipv4(*vectors))
    assert connection.opened == taken
    assert connection.refusals == ([] if taken else ["client did not provide a certificate"])


def test_in_version_1_nothing_is_known_of_tls_so_the_layers_above_ask_for_certificates() -> None:
    connection = Connection(proxy_protocol=1, require_certificate=True)
    connection.send(b"PROXY UNKNOWN\r\n")
    assert connection.opened == 1
    assert not connection.layer.secured


@pytest.mark.parametrize(
    ("asked", "vectors", "name"),
    [
        (True, (ssl(5, 0, vector(0x22, b"bob")),), "bob"),
        (True, (ssl(5, 7, vector(0x22, b"bob")),), None),
        (True, (ssl(1, 0, vector(0x22, b"bob")),), None),
        (True, (), None),
        (False, (ssl(5, 0, vector(0x22, b"bob")),), None),
    ],
)
def test_the_common_name_is_who_it_is_if_that_is_asked_and_was_checked(
    asked: bool, vectors: tuple[bytes, ...], name: str | None
) -> None:
    connection = Connection(use_identity_as_username=asked).send(over_ipv4(*vectors))
    assert connection.layer.username == name


# -- the end ---------------------------------------------------------------------------------------


def test_a_connection_that_ends_early_is_told_with_the_address_it_had() -> None:
    connection = Connection().send(SIGNATURE)
    connection.layer.stream_closed("")
    assert connection.refusals == ["the connection was closed"]
    assert connection.layer.peer() == PROXY_ADDRESS


def test_a_connection_that_ends_later_is_told_to_who_is_above() -> None:
    connection = Connection().send(over_ipv4())
    connection.layer.stream_closed("reset")
    assert connection.above.over == ["reset"]
    assert not connection.refusals


def test_nobody_above_means_that_it_is_cut_off() -> None:
    connection = Connection(takes=False).send(over_ipv4() + b"rest")
    connection.send(b"more")
    assert connection.wire.ended == ["abort"]
    assert not connection.above.data


def test_what_is_written_goes_out_as_it_is() -> None:
    connection = Connection().send(over_ipv4())
    connection.layer.write(b"answer")
    assert connection.wire.written == [b"answer"]
