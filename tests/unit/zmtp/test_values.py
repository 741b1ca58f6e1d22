"""Metadata, Z85, endpoints, ZAP frames, greetings, commands and socket types."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.zmtp import commands, z85, zap
from midge.zmtp.endpoint import EndpointError, parse_endpoint
from midge.zmtp.errors import (
    ZAP_BAD_REQUEST_ID,
    ZAP_BAD_VERSION,
    ZAP_INVALID_METADATA,
    ZAP_INVALID_STATUS_CODE,
    ZAP_MALFORMED_REPLY,
    ZmtpError,
)
from midge.zmtp.events import ZapRequest
from midge.zmtp.greeting import OPENING, decode_greeting, rest_of_greeting
from midge.zmtp.metadata import decode_metadata, encode_metadata, find_property
from midge.zmtp.settings import Settings
from midge.zmtp.sockets import PEERS, fits

names = st.text("abcXYZ019-_.+", min_size=1, max_size=20)


@given(st.dictionaries(names.map(str.lower), st.binary(max_size=300), max_size=6))
def test_metadata_reads_back_as_it_was_written(properties: dict[str, bytes]) -> None:
    assert decode_metadata(encode_metadata(properties.items())) == properties


@given(st.binary(max_size=60))
def test_bytes_are_metadata_or_refused(data: bytes) -> None:
    try:
        properties = decode_metadata(data)
    except ZmtpError:
        return
    assert encode_metadata(properties.items()) == data


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"\x00\x00\x00\x00\x00",
        b"\x01a",
        b"\x01a\x00\x00\x00\x01",
        b"\x01a\x80\x00\x00\x00",
        b"\x01 \x00\x00\x00\x00",
        encode_metadata([("Name", b"1")]) + encode_metadata([("nAME", b"2")]),
    ],
)
def test_malformed_metadata_is_refused(data: bytes) -> None:
    with pytest.raises(ZmtpError):
        decode_metadata(data)


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 256])
def test_a_property_needs_a_proper_name(name: str) -> None:
    with pytest.raises(ValueError):
        encode_metadata([(name, b"")])


def test_a_property_is_found_in_any_case() -> None:
    assert find_property({"SOCKET-type": b"PUB"}, "Socket-Type") == b"PUB"
    assert find_property({"a": b"1"}, "b") is None


def test_z85_gives_the_text_of_the_rfc() -> None:
    data = bytes((0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B))
    assert z85.encode(data) == b"HelloWorld"
    assert z85.decode("HelloWorld") == data


@given(st.binary(max_size=40).filter(lambda data: len(data) % 4 == 0))
def test_z85_reads_back_as_it_was_written(data: bytes) -> None:
    assert z85.decode(z85.encode(data)) == data


@pytest.mark.parametrize("text", [b"1234", b"#####", b"1234 ", b"1234\xff", "1234\u20ac"])
def test_what_is_not_z85_is_refused(text: bytes | str) -> None:
    with pytest.raises(ValueError):
        z85.decode(text)


def test_z85_needs_a_multiple_of_four_bytes() -> None:
    with pytest.raises(ValueError):
        z85.encode(b"abc")


@pytest.mark.parametrize(
    ("text", "transport", "host", "port", "path", "source"),
    [
        ("tcp://127.0.0.1:5555", "tcp", "127.0.0.1", 5555, "", ""),
        ("tcp://*:*", "tcp", "*", 0, "", ""),
        ("tcp://*:0", "tcp", "*", 0, "", ""),
        ("tcp://[::1]:80", "tcp", "::1", 80, "", ""),
        ("tcp://::1:80", "tcp", "::1", 80, "", ""),
        ("tcp://eth0;host.example:80", "tcp", "host.example", 80, "", "eth0"),
        ("tcp://[::1]:7;[::2]:80", "tcp", "::2", 80, "", "[::1]:7"),
        ("ipc:///tmp/a:b", "ipc", "", 0, "/tmp/a:b", ""),
        ("ipc://@name", "ipc", "", 0, "@name", ""),
        ("ipc://*", "ipc", "", 0, "*", ""),
        ("inproc://#1", "inproc", "", 0, "#1", ""),
        ("ws://host:80/a/b", "ws", "host", 80, "/a/b", ""),
        ("wss://*:443", "wss", "*", 443, "", ""),
        ("udp://239.0.0.1:7", "udp", "239.0.0.1", 7, "", ""),
    ],
)
def test_an_endpoint_is_read(
    text: str, transport: str, host: str, port: int, path: str, source: str
) -> None:
    endpoint = parse_endpoint(text)
    assert (endpoint.transport, endpoint.host, endpoint.port) == (transport, host, port)
    assert (endpoint.path, endpoint.source) == (path, source)
    again = parse_endpoint(str(endpoint))
    assert str(again) == str(endpoint)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", errno.EINVAL),
        ("tcp", errno.EINVAL),
        ("tcp://", errno.EINVAL),
        ("tcp://host", errno.EINVAL),
        ("tcp://:80", errno.EINVAL),
        ("tcp://[]:80", errno.EINVAL),
        ("tcp://[::1:80", errno.EINVAL),
        ("tcp://host:", errno.EINVAL),
        ("tcp://host:x", errno.EINVAL),
        ("tcp://host:65536", errno.EINVAL),
        ("tcp://host:00000099999", errno.EINVAL),
        ("tcp://host:\u0661", errno.EINVAL),
        ("tcp://;host:1", errno.EINVAL),
        ("inproc://" + "x" * 257, errno.EINVAL),
        ("http://host:80", errno.EPROTONOSUPPORT),
    ],
)
def test_what_is_no_endpoint_is_refused(text: str, number: int) -> None:
    with pytest.raises(EndpointError) as caught:
        parse_endpoint(text)
    assert caught.value.errno == number


def test_a_zap_request_reads_back_as_it_was_written() -> None:
    request = ZapRequest(b"domain", b"127.0.0.1", b"me", "PLAIN", [b"ann", b"secret"])
    frames = zap.encode_request(request, b"17")
    assert frames == [b"1.0", b"17", b"domain", b"127.0.0.1", b"me", b"PLAIN", b"ann", b"secret"]
    again, request_id = zap.decode_request(frames)
    assert request_id == b"17"
    assert zap.encode_request(again, b"17") == frames


def test_a_zap_reply_reads_back_as_it_was_written() -> None:
    frames = zap.encode_reply(zap.ZapReply(200, "ann", {"Hello": b"World"}, "OK"), b"17")
    reply = zap.decode_reply(frames, b"17")
    assert (reply.status, reply.user_id, reply.metadata, reply.text) == (
        200,
        "ann",
        {"Hello": b"World"},
        "OK",
    )


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b"1.0", b"17", b"200", b"", b""], ZAP_MALFORMED_REPLY),
        ([b"2.0", b"17", b"200", b"", b"", b""], ZAP_BAD_VERSION),
        ([b"1.0", b"18", b"200", b"", b"", b""], ZAP_BAD_REQUEST_ID),
        ([b"1.0", b"17", b"201", b"", b"", b""], ZAP_INVALID_STATUS_CODE),
        ([b"1.0", b"17", b"200", b"", b"", b"\x05"], ZAP_INVALID_METADATA),
    ],
)
def test_a_malformed_zap_reply_says_what_is_wrong(frames: list[bytes], code: int) -> None:
    with pytest.raises(ZmtpError) as caught:
        zap.decode_reply(frames, b"17")
    assert caught.value.code == code


@pytest.mark.parametrize("frames", [[b"1.0"] * 5, [b"2.0"] * 6])
def test_a_malformed_zap_request_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(ZmtpError):
        zap.decode_request(frames)


def test_our_greeting_has_64_bytes_and_reads_back() -> None:
    wire = OPENING + rest_of_greeting("CURVE", True)
    assert len(wire) == 64
    greeting = decode_greeting(wire)
    assert greeting is not None
    assert (greeting.version, greeting.mechanism, greeting.as_server) == ((3, 1), "CURVE", True)
    assert all(decode_greeting(wire[:size]) is None for size in range(64))


@pytest.mark.parametrize(
    ("name", "left", "right"), [(f"{a}-{b}", a, b) for a in PEERS for b in PEERS]
)
def test_fitting_is_mutual(name: str, left: str, right: str) -> None:
    assert fits(left, right) == fits(right, left)


def test_a_reason_is_cut_to_what_fits() -> None:
    name, data = commands.split_command(commands.encode_error(b"x" * 300))
    assert (name, len(data)) == (commands.ERROR, 256)
    assert commands.read_error(data).reason == b"x" * 255


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x05", b"\x05READ", b"\xff"])
def test_a_command_needs_a_whole_name(body: bytes) -> None:
    with pytest.raises(ZmtpError):
        commands.split_command(body)


@pytest.mark.parametrize(
    "options",
    [
        {"socket_type": "DGRAM"},
        {"socket_type": "PUB", "mechanism": "GSSAPI"},
        {"socket_type": "PUB", "identity": b"x" * 256},
        {"socket_type": "PUB", "mechanism": "CURVE", "as_server": True},
        {"socket_type": "PUB", "mechanism": "CURVE", "curve_secret": b"x" * 32},
        {"socket_type": "PUB", "metadata": [("a b", b"")]},
    ],
)
def test_settings_that_no_connection_could_use_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Settings(**options)  # type: ignore[arg-type]
