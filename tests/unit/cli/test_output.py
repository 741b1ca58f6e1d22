"""Words: refusals, reasons, and writing to a standard output that may be gone."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from midge.cli import output
from midge.mqtt.reasons import Reason


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """A pipe in the place of standard output: its reading and its writing end."""
    reading, writing = os.pipe()
    monkeypatch.setattr(output, "_STDOUT", writing)
    yield reading, writing
    os.close(writing)


def test_output_is_written_at_once(pipe: tuple[int, int]) -> None:
    output.print_line("bell \N{BELL} \udcff")
    assert os.read(pipe[0], 100) == "bell \N{BELL} ".encode() + b"\xff\n"
    os.close(pipe[0])


def test_a_reader_that_is_gone_is_told_apart(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with pytest.raises(output.OutputGone):
        output.write_output(b"x")
    output.print_line("nobody misses it")


def test_a_full_disk_is_no_reader_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(output, "_STDOUT", full)
    with pytest.raises(output.OutputFailed, match="No space left on device"):
        output.write_output(b"x")
    os.close(full)


def test_errors_go_to_standard_error_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_error("one")
    output.print_error("two", quiet=True)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "one\n")


@pytest.mark.parametrize(
    ("code", "version", "text"),
    [
        (1, 4, "Connection error: Connection Refused: unacceptable protocol version"),
        (2, 4, "Connection error: Connection Refused: identifier rejected"),
        (3, 3, "Connection error: Connection Refused: broker unavailable"),
        (4, 4, "Connection error: Connection Refused: bad user name or password"),
        (5, 4, "Connection error: Connection Refused: not authorised"),
        (6, 4, "Connection error: Connection Refused: unknown reason"),
        (0x87, 5, "Connection error: Not authorized"),
        (0x86, 5, "Connection error: Bad User Name or Password"),
        (
            0x84,
            5,
            "Connection error: Unsupported Protocol Version. "
            "Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.",
        ),
        (0xFE, 5, "Connection error: Unknown reason 0xfe"),
    ],
)
def test_refusals_in_words(code: int, version: int, text: str) -> None:
    assert output.refusal_text(code, version) == text


def test_every_reason_has_words() -> None:
    texts = [output.reason_text(reason) for reason in Reason]
    assert len(set(texts)) == len(texts)
    assert all(text and text[0].isupper() and "_" not in text for text in texts)
