"""The options of a socket: numbers and ranges as libzmq has them, values in our units."""

from __future__ import annotations

import errno
import re
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
import zmq

import midge
from midge.patterns.errors import SocketError
from midge.patterns.networks import admits
from midge.patterns.options import BY_NAME, OPTIONS, Options
from midge.zmtp.z85 import encode

KEY = bytes(range(32))
ROOMS = Path(midge.__file__).parent


def number(name: str) -> int:
    return BY_NAME[name].number


def changed(name: str, value: Any) -> Options:
    options = Options()
    options.set(number(name), value)
    return options


def error_of(name: str, value: Any) -> int:
    with pytest.raises(SocketError) as caught:
        changed(name, value)
    return caught.value.errno


# -- the table -----------------------------------------------------------------------------------

#: Aliases, and what later versions took away.
NOT_OURS = {
    "IDENTITY",
    "CONNECT_RID",
    "HWM",
    "FAIL_UNROUTABLE",
    "ROUTER_BEHAVIOR",
    "DELAY_ATTACH_ON_CONNECT",
    "BLOCKY",
}


def test_every_option_that_pyzmq_names_is_in_the_table_under_its_number() -> None:
    for option in zmq.SocketOption:
        if option.name in NOT_OURS:
            continue
        if option.name in BY_NAME:
            assert number(option.name) == option.value
        else:
            assert option.value in OPTIONS, option


def test_every_option_has_a_meaning_and_a_value_or_a_reason() -> None:
    values = Options()
    for option in OPTIONS.values():
        assert option.meaning.endswith("."), option.name
        assert option.readable or option.writable
        if option.attribute:
            assert hasattr(values, option.attribute)
        elif option.writable and option.supported:
            special = option.name in ("SUBSCRIBE", "UNSUBSCRIBE", "IPV4ONLY", "METADATA")
            assert special or option.means_nothing, option.name


def test_every_attribute_belongs_to_an_option() -> None:
    assert {option.attribute for option in OPTIONS.values()} - {""} | {"mechanism"} == set(
        Options.__slots__
    )


READABLE_BY_LIBZMQ = [
    option
    for option in OPTIONS.values()
    if option.readable and option.attribute and option.supported and option.kind != "key"
]


@pytest.mark.parametrize("option", READABLE_BY_LIBZMQ, ids=lambda one: one.name)
def test_defaults_are_those_of_libzmq(option: Any) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as theirs:
        try:
            value = theirs.getsockopt(option.number)
        except zmq.ZMQError as error:
            if error.errno != errno.EINVAL:
                raise
            pytest.skip(f"this libzmq does not read {option.name} of a ROUTER")
    ours = Options().get(option.number)
    if isinstance(value, bytes):
        value = value.rstrip(b"\0")
    assert ours == value


NUMBERS = [-2, -1, 0, 1, 2, 3, 7, 100, 255, 256, 6_553_599, 6_553_600, 2**31 - 1]
BEYOND_A_BYTE = {256, 6_553_599, 6_553_600, 2**31 - 1}
#: The numbers that libzmq takes and we refuse, or the other way round, and why.
KNOWN = {
    "MULTICAST_HOPS": BEYOND_A_BYTE,  # the system takes no more
    "TOS": BEYOND_A_BYTE,
    "HEARTBEAT_TTL": {-2, -1},  # there is no such time
    "HEARTBEAT_TIMEOUT": {-1},  # its own default can be set here
    "RECONNECT_STOP": {-2, -1, 100, 255, *BEYOND_A_BYTE},  # bits without a meaning
}
KINDS = {"XPUB": zmq.XPUB, "ONLY": zmq.XPUB, "REQ": zmq.REQ, "STREAM": zmq.STREAM}


def their_verdict(context: zmq.Context[Any], option: Any, value: int) -> int:
    kind = KINDS.get(option.name.split("_")[0], zmq.ROUTER)
    with context.socket(kind) as theirs:
        try:
            theirs.setsockopt(option.number, value)
        except zmq.ZMQError as error:
            return error.errno or -1
    return 0


def our_verdict(option: Any, value: int) -> int:
    try:
        Options().set(option.number, value)
    except SocketError as error:
        return error.errno
    return 0


@pytest.mark.parametrize(
    "option",
    [
        option
        for option in OPTIONS.values()
        if option.writable and option.kind in ("int", "int64", "bool") and option.supported
    ],
    ids=lambda one: one.name,
)
def test_numbers_are_taken_and_refused_as_libzmq_does(option: Any) -> None:
    with zmq.Context() as context:
        theirs = {value: their_verdict(context, option, value) for value in NUMBERS}
    if all(theirs.values()):
        pytest.skip(f"this libzmq was built without {option.name}")
    ours = {value: our_verdict(option, value) for value in NUMBERS}
    differing = {value for value in NUMBERS if ours[value] != theirs[value]}
    assert differing == KNOWN.get(option.name, set())


def test_what_is_no_number_is_refused() -> None:
    for value in (b"1", "1", 1.0, None):
        assert error_of("SNDHWM", value) == errno.EINVAL


def test_an_enum_is_a_number() -> None:
    class Marks(IntEnum):
        HIGH = 70

    assert type(changed("SNDHWM", Marks.HIGH).send_mark) is int


# -- values --------------------------------------------------------------------------------------


def test_what_does_not_exist_or_may_not_be_done_is_an_error() -> None:
    options = Options()
    for call in (
        lambda: options.set(9999, 1),
        lambda: options.get(9999),
        lambda: options.set(number("TYPE"), 1),
        lambda: options.get(number("SUBSCRIBE")),
    ):
        with pytest.raises(SocketError) as caught:
            call()
        assert caught.value.errno == errno.EINVAL
    assert error_of("GSSAPI_SERVER", 1) == errno.ENOTSUP


def test_values_are_read_as_they_were_set() -> None:
    for name, value in [("SNDHWM", 5), ("IPV6", 1), ("ROUTING_ID", b"me"), ("LINGER", -1)]:
        assert changed(name, value).get(number(name)) == value
    assert changed("ZAP_DOMAIN", "house").get(number("ZAP_DOMAIN")) == b"house"
    assert changed("ZAP_DOMAIN", b"house").zap_domain == "house"
    assert changed("ROUTER_MANDATORY", 2).router_mandatory is True


def test_ipv4only_is_the_opposite_of_ipv6() -> None:
    options = changed("IPV4ONLY", 0)
    assert options.ipv6
    assert options.get(number("IPV4ONLY")) == 0
    options.set(number("IPV6"), 0)
    assert options.get(number("IPV4ONLY")) == 1


@pytest.mark.parametrize("value", [b"", b"\0abc", b"x" * 256])
def test_a_routing_id_has_1_to_255_bytes_and_does_not_begin_with_0(value: bytes) -> None:
    assert error_of("ROUTING_ID", value) == errno.EINVAL


@pytest.mark.parametrize(("value", "good"), [(b"", False), (b"x" * 256, False), (b"x" * 255, True)])
def test_a_name_for_a_connect_has_1_to_255_bytes(value: bytes, good: bool) -> None:
    if good:
        assert changed("CONNECT_ROUTING_ID", value).connect_routing_id == value
    else:
        assert error_of("CONNECT_ROUTING_ID", value) == errno.EINVAL


@pytest.mark.parametrize("form", [KEY, encode(KEY), encode(KEY) + b"\0", encode(KEY).decode()])
def test_a_key_is_32_bytes_or_40_characters(form: Any) -> None:
    options = changed("CURVE_PUBLICKEY", form)
    assert options.curve_public_key == KEY
    assert options.get(number("CURVE_PUBLICKEY")) == encode(KEY)


@pytest.mark.parametrize("form", [b"", KEY[1:], b"~" * 40, 7, b"x" * 41])
def test_anything_else_is_no_key(form: Any) -> None:
    assert error_of("CURVE_SECRETKEY", form) == errno.EINVAL


def test_the_mechanism_follows_from_what_was_set_last() -> None:
    options = Options()

    def mechanism_after(name: str, value: Any) -> str:
        options.set(number(name), value)
        assert options.get(number("MECHANISM")) == ["NULL", "PLAIN", "CURVE"].index(
            options.mechanism
        )
        return options.mechanism

    assert options.mechanism == "NULL"
    assert mechanism_after("PLAIN_SERVER", 1) == "PLAIN"
    assert mechanism_after("PLAIN_SERVER", 0) == "NULL"
    assert mechanism_after("PLAIN_USERNAME", "ann") == "PLAIN"
    assert mechanism_after("PLAIN_PASSWORD", "secret") == "PLAIN"
    assert mechanism_after("PLAIN_USERNAME", None) == "NULL"
    assert mechanism_after("CURVE_SERVER", 1) == "CURVE"
    assert mechanism_after("CURVE_SERVER", 0) == "NULL"
    assert mechanism_after("CURVE_SERVERKEY", KEY) == "CURVE"
    assert not options.curve_server
    assert error_of("PLAIN_USERNAME", "x" * 256) == errno.EINVAL


def test_lists_collect_and_nothing_empties_them() -> None:
    options = Options()
    name = number("TCP_ACCEPT_FILTER")
    for value in (b"127.0.0.1", b"10.0.0.0/8"):
        options.set(name, value)
    assert options.tcp_accept_filter == [b"127.0.0.1", b"10.0.0.0/8"]
    options.set(name, b"")
    assert options.tcp_accept_filter == []


@pytest.mark.parametrize(
    "value", [b"x", b"127.0.0.1/33", b"::1/129", b"localhost", b"1.2.3", b"\xff"]
)
def test_a_filter_that_is_no_network_is_refused(value: bytes) -> None:
    assert error_of("TCP_ACCEPT_FILTER", value) == errno.EINVAL


@pytest.mark.parametrize(
    ("filters", "host", "let_in"),
    [
        ([], "192.0.2.1", True),
        ([b"192.0.2.1"], "192.0.2.1", True),
        ([b"192.0.2.1\0"], "192.0.2.1", True),
        ([b"192.0.2.2"], "192.0.2.1", False),
        ([b"192.0.2.2", b"192.0.0.0/16"], "192.0.2.1", True),
        ([b"192.0.99.99/16"], "192.0.2.1", True),
        ([b"0.0.0.0/0"], "192.0.2.1", True),
        ([b"0.0.0.0/0"], "2001:db8::1", False),
        ([b"::/0"], "192.0.2.1", False),
        ([b"2001:db8::/32"], "2001:db8::1", True),
        ([b"2001:db8::/32"], "2001:db9::1", False),
        ([b"fe80::/10"], "fe80::1%eth0", True),
    ],
)
def test_a_filter_lets_in_who_is_of_its_network(
    filters: list[bytes], host: str, let_in: bool
) -> None:
    options = Options()
    for one in filters:
        options.set(number("TCP_ACCEPT_FILTER"), one)
    assert admits(options.tcp_accept_filter, host) is let_in


def test_what_is_accepted_and_means_nothing_can_be_read_again() -> None:
    for option in OPTIONS.values():
        if option.means_nothing and option.readable and option.writable:
            options = Options()
            options.set(option.number, 1)
            assert options.get(option.number) == 1, option.name


def test_every_option_that_has_an_effect_is_read_somewhere() -> None:
    """An option that nobody reads would be accepted, and mean nothing, in silence."""
    rooms = [ROOMS / room for room in ("net", "patterns", "zmq")]
    texts = [
        path.read_text()
        for room in rooms
        for path in room.rglob("*.py")
        if path.name not in ("options.py", "option_table.py")
    ]
    for option in OPTIONS.values():
        if option.attribute and option.supported and not option.means_nothing:
            word = re.compile(rf"\b{option.attribute}\b")
            assert any(map(word.search, texts)), f"nobody reads {option.name}"


def test_metadata_has_a_name_of_ones_own_and_a_value() -> None:
    options = changed("METADATA", "X-Key:some:value")
    assert options.metadata == [("X-Key", b"some:value")]
    for value in ("X-Key", "Key:value", "X-" + "k" * 254 + ":v"):
        assert error_of("METADATA", value) == errno.EINVAL


def test_verbose_and_verboser_are_set_as_libzmq_does() -> None:
    options = changed("XPUB_VERBOSER", 1)
    assert (options.xpub_verbose, options.xpub_verboser) == (True, True)
    options.set(number("XPUB_VERBOSE"), 1)
    assert (options.xpub_verbose, options.xpub_verboser) == (True, False)
    options.set(number("XPUB_MANUAL_LAST_VALUE"), 1)
    assert options.xpub_manual
    assert options.xpub_manual_last_value


def test_a_copy_is_independent() -> None:
    options = changed("TCP_ACCEPT_FILTER", b"127.0.0.1")
    options.set(number("SNDHWM"), 5)
    other = options.copy()
    options.set(number("SNDHWM"), 6)
    options.set(number("TCP_ACCEPT_FILTER"), b"10.0.0.1")
    assert other.send_mark == 5
    assert other.tcp_accept_filter == [b"127.0.0.1"]
