"""The formats of ``midge sub -F``."""

from __future__ import annotations

import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.cli.flags import FlagError
from midge.cli.format import Format
from midge.mqtt.packets import Publish
from midge.mqtt.properties import Properties

PLAIN = Publish("a/b", b"hello", 1, True, False, 7)
RICH = Publish(
    "t",
    b"\x00\xab",
    properties=Properties.of(
        payload_format_indicator=1,
        message_expiry_interval=30,
        content_type="text/plain",
        response_topic="r",
        correlation_data=b"\xff\x00",
        topic_alias=4,
        user_property=[("a", "1"), ("b", "2")],
        subscription_identifier=[12],
    ),
)


def rendered(format: str, packet: Publish = PLAIN) -> bytes:
    return Format(format).render(packet)


@pytest.mark.parametrize(
    ("format", "output"),
    [
        ("", b""),
        ("%t %p", b"a/b hello"),
        ("%q%r %m %l", b"11 7 5"),
        ("100%% @@", b"100% @"),
        (r"\\|\0|\a|\e|\n|\r|\t|\v", b"\\|\0|\a|\x1b|\n|\r|\t|\v"),
        ("%x", b"68656c6c6f"),
        ("%.2x", b"68 65 6c 6c 6f"),
        ("%.2:X", b"68:65:6C:6C:6F"),
        ("%.1x", b"6 8 6 5 6 c 6 c 6 f"),
        ("%.4-x", b"6865-6c6c-6f"),
        ("%3x", b"68656c"),
        ("%12x|", b"  68656c6c6f|"),
        ("%-12x|", b"68656c6c6f  |"),
        ("%012x|", b"0068656c6c6f|"),
        ("%8p|", b"   hello|"),
        ("%-8p|", b"hello   |"),
        ("%2p|", b"he|"),
        ("%5t|", b"  a/b|"),
        ("%-5t|", b"a/b  |"),
        ("%.2t|", b"a/|"),
        ("%5.2t|", b"   a/|"),
        ("%5m|", b"    7|"),
        ("%05m|", b"00007|"),
        ("%-5m|", b"7    |"),
        ("ünï %t", "ünï a/b".encode()),
        ("%C%E%F%A%S%R%D%P|", b"|"),
        ("%4C|", b"    |"),
        ("%04E|", b"0000|"),
    ],
)
def test_a_format(format: str, output: bytes) -> None:
    assert rendered(format) == output


def test_properties() -> None:
    assert rendered("%A %C %E %F %R %S", RICH) == b"4 text/plain 30 1 r 12"
    assert rendered("%D", RICH) == b"\xff\x00"
    assert rendered("%P", RICH) == b"a:1 b:2"
    assert rendered("%6A|%-6E|%12C", RICH) == b"     4|30    |  text/plain"


def test_floats() -> None:
    assert rendered("%f", Publish("t", struct.pack("=f", 1.5))) == b"1.500000"
    assert rendered("%.1d", Publish("t", struct.pack("=d", -2.25))) == b"-2.2"
    assert rendered("%9.2d|", Publish("t", struct.pack("=d", -2.5))) == b"    -2.50|"
    assert rendered("%09.2d|", Publish("t", struct.pack("=d", -2.5))) == b"-00002.50|"
    assert rendered("%-9.2d|", Publish("t", struct.pack("=d", 2.5))) == b"2.50     |"
    with pytest.raises(ValueError, match="non-float"):
        rendered("%f")
    with pytest.raises(ValueError, match="non-double"):
        rendered("%d")


def test_times() -> None:
    assert len(rendered("@Y-@m-@dT@H:@M:@S.@N")) == len("2026-01-01T00:00:00.000000000")
    assert rendered("%I")[:2] == rendered("@Y")[:2]
    seconds, _, rest = rendered("%U").partition(b".")
    assert seconds.isdigit()
    assert len(rest) == 9


@pytest.mark.parametrize(
    ("format", "complaint"),
    [
        ("%", "Error: Incomplete format specifier."),
        ("%-0", "Error: Incomplete format specifier."),
        ("a%12", "Error: Incomplete format specifier."),
        ("%.3", "Error: Incomplete format specifier."),
        ("%.2:", "Error: Incomplete format specifier."),
        ("@", "Error: Incomplete format specifier."),
        ("%z", "Error: Invalid format specifier 'z'."),
        ("\\", "Error: Incomplete escape specifier."),
        (r"\q", "Error: Invalid escape specifier 'q'."),
    ],
)
def test_what_is_no_format_is_an_error(format: str, complaint: str) -> None:
    with pytest.raises(FlagError) as caught:
        Format(format)
    assert str(caught.value) == complaint


def test_json() -> None:
    message = json.loads(rendered("%j"))
    assert message.pop("tst")[4] == "-"
    assert message == {
        "topic": "a/b",
        "qos": 1,
        "retain": True,
        "payloadlen": 5,
        "mid": 7,
        "payload": "hello",
    }


def test_json_with_properties() -> None:
    packet = Publish("t", b"{}", properties=RICH.properties)
    message = json.loads(rendered("%J", packet).decode(errors="replace"))
    assert message["payload"] == {}
    assert message["properties"]["user-properties"] == [{"a": "1"}, {"b": "2"}]
    assert message["properties"]["subscription-identifier"] == 12
    assert message["properties"]["content-type"] == "text/plain"


def test_json_is_one_line_or_pretty() -> None:
    packet = Publish("t", b'{"a": [1, 2.5, 1e3, 1e300, null, "\xc3\xbc"]}')
    line = rendered("%J", packet)
    assert line.endswith('"payload":{"a":[1,2.5,1000,1e+300,null,"ü"]}}'.encode())
    assert b"\n" not in line
    pretty = Format("%J", pretty=True).render(packet)
    assert b"\n\t" in pretty
    assert json.loads(pretty)["payload"] == json.loads(line)["payload"]


def test_json_of_an_empty_payload_is_null() -> None:
    assert json.loads(rendered("%J", Publish("t")))["payload"] is None
    assert json.loads(rendered("%j", Publish("t")))["payload"] is None


@pytest.mark.parametrize("payload", [b"{", b"\xff", b"1 2", b"[" * 100_000])
def test_a_payload_that_is_no_json_is_an_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="not valid JSON on topic t"):
        rendered("%J", Publish("t", payload))


@given(st.text(max_size=30))
def test_any_text_is_a_format_or_an_error(text: str) -> None:
    try:
        format = Format(text)
    except FlagError:
        return
    with contextlib.suppress(ValueError):  # say, a float that the payload is not
        assert isinstance(format.render(PLAIN), bytes)


@given(st.binary(max_size=40))
def test_hexadecimal_and_the_payload_itself_are_exact(payload: bytes) -> None:
    packet = Publish("t", payload)
    assert rendered("%p", packet) == payload
    assert bytes.fromhex(rendered("%x", packet).decode()) == payload
    assert bytes.fromhex(rendered("%.2X", packet).decode()) == payload
