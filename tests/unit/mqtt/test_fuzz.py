"""The fuzz target, bounded; and streams of good packets, which keep to its invariant too."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import mqtt as fuzz
from midge.mqtt import connection as connection_module
from midge.mqtt import packets as p
from midge.mqtt.connection import CLIENT, SERVER, Violation
from midge.mqtt.encode import encode
from tests.strategies import client_packets, versions

cuts = st.lists(st.integers(0, 500), max_size=6)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_streams_give_packets_or_a_violation_however_they_are_cut(seed: int) -> None:
    rng = random.Random(seed)
    refused = 0
    for _ in range(400):
        events = fuzz.one_round(rng)
        refused += bool(events) and isinstance(events[-1], Violation)
    assert 100 < refused < 390, "the mutations are too wild or too tame to find anything"


@given(st.sampled_from([CLIENT, SERVER]), versions, st.booleans(), st.binary(max_size=60), cuts)
def test_any_bytes_give_packets_or_a_violation_however_they_are_cut(
    role: int, version: int, fresh: bool, data: bytes, cuts: list[int]
) -> None:
    fuzz.check(role, version, fresh, data, cuts)


@pytest.mark.parametrize("version", fuzz.VERSIONS)
@given(data=st.data(), cuts=cuts)
def test_good_packets_come_out_as_they_went_in_however_they_are_cut(
    version: int, data: st.DataObject, cuts: list[int]
) -> None:
    # Neither identifiers nor aliases: whether those are good depends on more than one packet.
    wanted = [
        packet
        for packet in data.draw(st.lists(client_packets(version), max_size=3))
        if not (isinstance(packet, p.Publish) and (packet.properties or packet.qos))
    ]
    stream = b"".join(encode(packet, version) for packet in wanted)
    assert fuzz.check(SERVER, version, False, stream, cuts) == wanted


@pytest.mark.parametrize("version", fuzz.VERSIONS)
@pytest.mark.parametrize("role", [CLIENT, SERVER])
def test_the_streams_that_mutation_begins_with_are_good_ones(role: int, version: int) -> None:
    packets = (fuzz.client_stream if role == SERVER else fuzz.server_stream)(version)
    stream = b"".join(encode(packet, version) for packet in packets)
    every_byte = list(range(len(stream)))
    events = fuzz.check(role, version, False, stream, every_byte)
    assert [event.type for event in events] == [packet.type for packet in packets]
    for connect in fuzz.connects(version):
        assert fuzz.check(SERVER, version, True, encode(connect, version), [7]) == [connect]


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_a_decoder_that_raises_something_else_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(data: bytes, start: int, end: int, first: int, version: int) -> p.Packet:
        return p.Puback(data[end + 9])

    monkeypatch.setattr(connection_module, "decode_packet", careless)
    with pytest.raises(fuzz.Finding, match="IndexError"):
        fuzz.check(SERVER, 4, False, b"\x40\x02\0\x01", [])


@pytest.mark.source_only("it replaces what compiled code does not look up again")
def test_a_reader_to_whom_cuts_matter_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_whole_chunks(data: bytes, start: int, end: int, first: int, version: int) -> p.Packet:
        return p.Puback(len(data))

    monkeypatch.setattr(connection_module, "decode_packet", in_whole_chunks)
    stream = b"\x40\x02\0\x01" * 3
    with pytest.raises(fuzz.Finding, match="in one piece"):
        fuzz.check(SERVER, 4, False, stream, [4])


def test_the_target_runs_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["0.05", "1"]) == 0
    said = capsys.readouterr().out
    assert "seed 1" in said
    assert "none of them a finding" in said
