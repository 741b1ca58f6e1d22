"""Handshakes that fail, and bytes that are no ZMTP: an event, and nothing raised."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.zmtp import events as ev
from midge.zmtp import frames
from midge.zmtp.connection import CLOSED, Connection
from midge.zmtp.errors import (
    CRYPTOGRAPHIC,
    INVALID_SEQUENCE,
    KEY_EXCHANGE,
    MECHANISM_MISMATCH,
    UNEXPECTED_COMMAND,
)
from midge.zmtp.greeting import OPENING, rest_of_greeting
from midge.zmtp.metadata import encode_metadata
from midge.zmtp.settings import Settings
from tests.unit.zmtp.support import (
    CLIENT_PUBLIC,
    CLIENT_SECRET,
    MECHANISMS,
    NOW,
    SERVER_PUBLIC,
    connect,
    curve_settings,
    cut,
    described,
    exchange,
    exchange_opening,
    only,
    opened,
    plain_settings,
    received,
    shaken,
    taken,
)

# -- handshakes that fail ----------------------------------------------------------------------


def test_different_mechanisms_do_not_meet() -> None:
    null, plain = Settings("PUSH"), plain_settings("PULL", "PULL")[0]
    for seen in exchange(connect(null), connect(plain)):
        failed = only(seen, ev.HandshakeFailed)
        assert (failed.kind, failed.code) == (ev.PROTOCOL, MECHANISM_MISMATCH)


@pytest.mark.parametrize(("side", "code"), [(0, UNEXPECTED_COMMAND), (1, MECHANISM_MISMATCH)])
def test_two_clients_or_two_servers_do_not_meet(side: int, code: int) -> None:
    # libzmq never says that it is the server: two clients find out by the other's HELLO.
    one = plain_settings("PAIR", "PAIR")[side]
    for seen in exchange(connect(one), connect(one)):
        assert only(seen, ev.HandshakeFailed).code == code


def test_a_curve_client_with_the_wrong_server_key_is_refused() -> None:
    _, server_settings = curve_settings("PUSH", "PULL")
    client_settings = Settings(
        "PUSH",
        mechanism="CURVE",
        curve_public=CLIENT_PUBLIC,
        curve_secret=CLIENT_SECRET,
        curve_server=CLIENT_PUBLIC,
    )
    client, server = connect(client_settings, 3), connect(server_settings, 4)
    _, seen = exchange(client, server)
    failed = only(seen, ev.HandshakeFailed)
    assert (failed.kind, failed.code) == (ev.PROTOCOL, CRYPTOGRAPHIC)


def test_a_curve_client_that_lacks_the_secret_of_its_key_is_refused() -> None:
    _, server_settings = curve_settings("PUSH", "PULL")
    client_settings = Settings(
        "PUSH",
        mechanism="CURVE",
        curve_public=SERVER_PUBLIC,
        curve_secret=CLIENT_SECRET,
        curve_server=SERVER_PUBLIC,
    )
    client, server = connect(client_settings, 3), connect(server_settings, 4)
    _, seen = exchange(client, server)
    assert only(seen, ev.HandshakeFailed).code == CRYPTOGRAPHIC


@given(st.integers(0, 5000), st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_a_single_wrong_byte_ends_a_curve_handshake_or_changes_nothing_that_matters(
    place: int, change: int
) -> None:
    client_settings, server_settings = curve_settings("PUSH", "PULL")
    client, server = connect(client_settings, 3), connect(server_settings, 4)
    exchange_opening(client, server)
    wire = bytearray(taken(client))  # HELLO
    # Frame header and name, version and padding apart, every byte is protected.
    place = 2 + 6 + 2 + 72 + place % (len(wire) - 82)
    wire[place] ^= change
    seen = server.receive_data(bytes(wire), NOW)
    assert only(seen, ev.HandshakeFailed).kind == ev.PROTOCOL


@pytest.mark.parametrize("step", ["WELCOME", "INITIATE", "READY"])
@pytest.mark.parametrize("place", [-1, -20, -40])
def test_every_curve_command_is_protected(step: str, place: int) -> None:
    client_settings, server_settings = curve_settings("PUSH", "PULL")
    client, server = connect(client_settings, 3), connect(server_settings, 4)
    exchange_opening(client, server)
    server.receive_data(taken(client), NOW)
    turns = [("WELCOME", server, client), ("INITIATE", client, server), ("READY", server, client)]
    for name, sender, receiver in turns:
        wire = bytearray(taken(sender))
        if name == step:
            wire[place] ^= 1
            failed = only(receiver.receive_data(bytes(wire), NOW), ev.HandshakeFailed)
            assert failed.code in (CRYPTOGRAPHIC, KEY_EXCHANGE)
            return
        receiver.receive_data(bytes(wire), NOW)
    raise AssertionError("the step never came")


def test_a_replayed_curve_message_ends_the_connection() -> None:
    client, server = shaken("CURVE", "PUSH", "PULL")
    client.send(b"pay 1")
    wire = taken(client)
    seen = server.receive_data(wire + wire, NOW)
    assert received(seen) == [b"pay 1"]
    assert only(seen, ev.Closed).code == INVALID_SEQUENCE


def test_clear_text_on_an_encrypted_connection_ends_it() -> None:
    _, server = shaken("CURVE", "PUSH", "PULL")
    closed = only(server.receive_data(frames.encode_single(b"x" * 60), NOW), ev.Closed)
    assert closed.code == UNEXPECTED_COMMAND


def test_curve_traffic_does_not_show_what_it_says() -> None:
    client, _ = shaken("CURVE", "PUSH", "PULL")
    client.send(b"a secret of some length")
    assert b"secret" not in taken(client)


def test_curve_without_randomness_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="randomness"):
        Connection(curve_settings("PUSH", "PULL")[0], NOW)


def _v3(command: bytes, flags: int = frames.COMMAND) -> bytes:
    return OPENING + rest_of_greeting("NULL", False) + frames.encode_frame(flags, command)


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00",  # TLS
        b"\x01\x00",  # ZMTP 1.0, anonymous
        b"\xff" + bytes(8) + b"\x00",  # ZMTP 1.0 with a long length
        b"\xff" + bytes(8) + b"\x7f\x00",  # revision 0
        OPENING + b"\x01" + b"NU\0LL".ljust(20, b"\0") + bytes(32),
        OPENING + b"\x01" + bytes(52),
        OPENING + b"\x01" + b"NULL".ljust(20, b"\0") + b"\x02" + bytes(31),
        OPENING + rest_of_greeting("GSSAPI", False),
        _v3(b"\x05READY"),  # no socket type
        _v3(b"\x05READY" + encode_metadata([("Socket-Type", b"PULL")])),
        _v3(b"\x05READY" + encode_metadata([("Socket-Type", b"NONE")])),
        _v3(b"\x05READY" + b"\x0bSocket-Type\x00\x00\x01\x00PUSH"),
        _v3(b"\x05READY" + encode_metadata([("Socket-Type", b"PUSH"), ("Identity", b"x" * 256)])),
        _v3(b"\x05READY" + encode_metadata([("Socket-Type", b"PUSH")]), flags=0),
        _v3(b"\x05HELLO"),
        _v3(b"\x05ERROR"),
        _v3(b"\x05ERROR\x09short"),
        _v3(b""),
        _v3(b"\x09READY"),
        _v3(b"hello", flags=0),
        OPENING + rest_of_greeting("NULL", False) + b"\x06" + (2**40).to_bytes(8, "big"),
        OPENING + rest_of_greeting("NULL", False) + b"\xf0\x00",
    ],
)
def test_a_malformed_handshake_fails_with_an_event_and_nothing_is_raised(wire: bytes) -> None:
    connection = connect(Settings("PULL"))
    failed = only(connection.receive_data(wire, NOW), ev.HandshakeFailed)
    assert failed.kind == ev.PROTOCOL
    assert failed.text
    assert connection.state == CLOSED
    assert connection.receive_data(wire, NOW) == []
    assert connection.receive_eof(NOW) == []
    assert connection.next_deadline() is None


@pytest.mark.parametrize(
    "hello",
    [
        b"",
        b"\x03an",
        b"\x03ann",
        b"\x03ann\x06secre",
        b"\x03ann\x06secrets",
        b"\x03ann\x06secret\x00",
    ],
)
def test_a_malformed_plain_hello_is_refused(hello: bytes) -> None:
    server = connect(plain_settings("PUSH", "PULL")[1])
    wire = OPENING + rest_of_greeting("PLAIN", False)
    wire += frames.encode_frame(frames.COMMAND, b"\x05HELLO" + hello)
    assert only(server.receive_data(wire, NOW), ev.HandshakeFailed).kind == ev.PROTOCOL


# -- fuzz --------------------------------------------------------------------------------------


_pieces = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [
            OPENING,
            rest_of_greeting("NULL", False),
            rest_of_greeting("PLAIN", False),
            rest_of_greeting("CURVE", False),
            frames.encode_frame(4, b"\x05READY" + encode_metadata([("Socket-Type", b"SUB")])),
            frames.encode_frame(4, b"\x05HELLO\x01a\x01b"),
            frames.encode_frame(4, b"\x08INITIATE"),
            frames.encode_frame(4, b"\x09SUBSCRIBEabc"),
            frames.encode_frame(4, b"\x04PING\x00\x01ctx"),
            frames.encode_frame(0, b"\x01abc"),
            frames.encode_frame(1, b"part"),
            b"\x02\xff\xff",
        ]
    ),
)


@given(st.sampled_from(MECHANISMS), st.lists(_pieces, max_size=12), st.booleans())
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_read_or_closes_the_connection_and_never_raises(
    mechanism: str, pieces: list[bytes], whole: bool
) -> None:
    ours = {
        "NULL": Settings("XPUB"),
        "PLAIN": plain_settings("SUB", "XPUB")[1],
        "CURVE": curve_settings("SUB", "XPUB")[1],
    }[mechanism]
    connection = connect(ours)
    for piece in [b"".join(pieces)] if whole else pieces:
        for event in connection.receive_data(piece, NOW):
            if isinstance(event, ev.ZapRequest):
                connection.zap_reply(200, NOW)
    connection.data_to_send()
    connection.tick(NOW + 1000)
    connection.receive_eof(NOW + 1000)
    assert connection.state == CLOSED


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=5))
@settings(max_examples=300, deadline=None)
def test_cutting_the_stream_elsewhere_changes_nothing(data: bytes, places: list[int]) -> None:
    whole, pieces = opened("XPUB", b"SUB"), opened("XPUB", b"SUB")
    one = whole.receive_data(data, NOW)
    other: list[ev.Event] = []
    for chunk in cut(data, places):
        other += pieces.receive_data(chunk, NOW)
    assert described(one) == described(other)
    assert whole.state == pieces.state
