"""Standard input as lines, and the message of ``midge pub``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midge.cli import pub
from midge.cli.flags import FlagError
from midge.cli.pub import FILE, STDIN_WHOLE, LineReader, PubOptions, load_payload


def lines_of(*chunks: bytes) -> list[bytes]:
    """What a reader makes of input that comes in these chunks."""
    reading, writing = os.pipe()
    reader = LineReader(reading)
    for chunk in chunks:
        os.write(writing, chunk)
        assert reader.read()
    os.close(writing)
    assert reader.read()
    os.close(reading)
    assert reader.ended
    return list(reader.ready)


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b"one\n"], [b"one"]),
        ([b"one"], [b"one"]),
        ([b"\n"], [b""]),
        ([b"\n\n"], [b"", b""]),
        ([b"one\n\ntwo"], [b"one", b"", b"two"]),
        ([b"o", b"n", b"e\nt", b"wo\n"], [b"one", b"two"]),
        ([b"one\r\n\0\xff\n"], [b"one\r", b"\0\xff"]),
    ],
)
def test_lines(chunks: list[bytes], lines: list[bytes]) -> None:
    assert lines_of(*chunks) == lines


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=10))
def test_lines_do_not_depend_on_the_chunks(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    lines = whole.split(b"\n")
    if not lines[-1]:
        lines.pop()
    assert lines_of(*chunks) == lines


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pub, "VARINT_MAX", 10)
    reading, writing = os.pipe()
    reader = LineReader(reading)
    os.write(writing, b"12345678901\n")
    assert reader.read()  # too long for a message, which is found when it is sent
    os.write(writing, b"12345")
    assert reader.read()
    os.write(writing, b"678901")
    assert not reader.read()
    os.close(reading)
    os.close(writing)


def test_a_file_is_the_message(tmp_path: Path) -> None:
    options = PubOptions()
    options.source = FILE
    options.file = str(tmp_path / "message")
    (tmp_path / "message").write_bytes(b"\0one\ntwo\n")
    assert load_payload(options) == b"\0one\ntwo\n"
    options.file = str(tmp_path / "nothing")
    with pytest.raises(FlagError, match=r"Unable to read file .*nothing.*: No such file"):
        load_payload(options)


@pytest.fixture
def stdin() -> Iterator[int]:
    """The writing end of standard input."""
    saved = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    yield writing
    os.dup2(saved, 0)
    os.close(saved)


def test_all_of_standard_input_is_the_message(stdin: int) -> None:
    os.write(stdin, b"one\ntwo")
    os.close(stdin)
    options = PubOptions()
    options.source = STDIN_WHOLE
    assert load_payload(options) == b"one\ntwo"


def test_an_empty_standard_input_is_an_error(stdin: int) -> None:
    os.close(stdin)
    options = PubOptions()
    options.source = STDIN_WHOLE
    with pytest.raises(FlagError, match=r"^Error: Zero length input"):
        load_payload(options)
