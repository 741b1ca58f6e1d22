"""Events of the socket monitor and their message."""

from __future__ import annotations

import struct

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils.monitor import parse_monitor_message

from midge.patterns import monitor
from midge.patterns.monitor import decode_event, encode_event

NAMES = [name for name in vars(monitor) if name.isupper() and name[0] != "_" and name != "ALL"]


@pytest.mark.parametrize("name", NAMES)
def test_events_have_the_numbers_of_libzmq(name: str) -> None:
    assert getattr(monitor, name) == getattr(zmq, f"EVENT_{name}")


def test_all_events_are_known() -> None:
    assert {f"EVENT_{name}" for name in NAMES} == {
        f"EVENT_{one.name}" for one in zmq.Event if one.name and one <= monitor.ALL
    }
    assert all(getattr(monitor, name) & monitor.ALL for name in NAMES)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.text(max_size=20))
def test_an_event_is_read_as_it_was_written(event: int, value: int, endpoint: str) -> None:
    parts = encode_event(event, value, endpoint)
    assert len(parts[0]) == 6
    assert decode_event(parts) == (event, value, endpoint)


def test_pyzmq_reads_our_events() -> None:
    parts = encode_event(monitor.ACCEPTED, 7, "tcp://127.0.0.1:5555")
    assert parse_monitor_message(parts) == {
        "event": zmq.Event.ACCEPTED,
        "value": 7,
        "endpoint": b"tcp://127.0.0.1:5555",
    }


def test_a_value_below_zero_is_written_in_32_bits() -> None:
    assert encode_event(1, -1, "")[0] == struct.pack("=HI", 1, 0xFFFFFFFF)


@pytest.mark.parametrize("parts", [[], [b"\0" * 6], [b"\0" * 5, b""], [b"\0" * 6, b"", b""]])
def test_what_is_no_event_is_an_error(parts: list[bytes]) -> None:
    with pytest.raises(ValueError, match="no event"):
        decode_event(parts)
