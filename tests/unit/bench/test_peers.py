"""Other brokers: found when they are there, told in their own form."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import peers
from bench.brokers import Broker, NotListening
from bench.generator import WrongError
from bench.measure import NotOffered, sample
from bench.rows import Row


def program(directory: Path, name: str, text: str) -> None:
    """A program that is found in ``directory``."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_broker_in_the_path_is_found_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "flashmq", "echo FlashMQ 9.9.9")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (found,) = [broker for broker in peers.peers() if broker.name == "flashmq"]
    assert found.version == "FlashMQ 9.9.9"
    assert found.command == f"{tmp_path}/flashmq --config-file {{config}}"
    assert not found.ours
    assert not found.reads_mosquitto()


@pytest.mark.parametrize("known", peers.KNOWN, ids=lambda known: known[0])
def test_the_configuration_says_the_port_and_leaves_other_braces_alone(
    tmp_path: Path, known: tuple[str, str, str, str, str]
) -> None:
    name, _, words, _, configuration = known
    # What a broker says is cut to its end: one that says only the lines with the port, and braces.
    program(tmp_path, name, 'for last; do :; done; grep -e 127 -e port -e "[{}]" "$last"; exit 1')
    broker = Broker(name, f"{tmp_path / name} {words}", configuration=configuration)
    with pytest.raises(NotListening) as caught, broker:
        pass
    said = str(caught.value)
    assert str(broker.port) in said
    assert "{port}" not in said
    assert (
        said.count("{")
        == said.count("}")
        == configuration.replace("{port}", "").replace("{directory}", "").count("{")
    )


def test_a_peer_without_mqtt_5_is_left_out_and_one_that_loses_is_wrong(
    load: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> dict[str, float]:
        raise WrongError(why)

    monkeypatch.setattr("bench.measure._sample", refuse)
    why = "subscriber 0 was refused with 0x01"
    old, row = Broker("old", "x"), Row("row", version=5)
    with pytest.raises(NotOffered, match="MQTT 5"):
        sample(load, old, row, 0.1)
    with pytest.raises(WrongError):
        sample(load, old, Row("row"), 0.1)
    with pytest.raises(WrongError):
        sample(load, Broker("midge", "x"), row, 0.1)
    why = "lost one"
    with pytest.raises(WrongError):
        sample(load, old, row, 0.1)
