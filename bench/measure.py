"""One sample: a fresh broker, a fresh generator, one row."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.brokers import Broker, NotListening
from bench.generator import Generator, WrongError
from bench.rows import DOORS, Row

#: Before the clock starts: route caches fill, an interpreter specialises its code, buffers grow.
WARM_UP_S: Final = 0.2

#: What the generator says when a broker knows no such version of MQTT (3.1.1, table 3.1).
UNKNOWN_VERSION: Final = "was refused with 0x01"


class NotOffered(Exception):
    """A broker that a row cannot be measured of: it does not open such a door."""


def sample(program: Path, broker: Broker, row: Row, seconds: float) -> dict[str, float]:
    """Measure one row of one broker once.

    Args:
        program: the load generator.
        broker: who is measured; it is started and stopped here.
        row: what is measured.
        seconds: for how long messages are published.

    Returns:
        The figures by :attr:`bench.rows.Measure.key`, and ``load``, the part of the time that the
        generator was busy: near 1 it was what set the rate.

    Raises:
        WrongError: the broker lost, doubled, reordered or damaged a message.
        NotOffered: the broker does not open the row's door.
    """
    if row.door == "tcp":
        try:
            return _sample(program, broker, row, dict(row.settings), seconds)
        except WrongError as error:
            if broker.ours or row.settings.get("version") != 5 or UNKNOWN_VERSION not in str(error):
                raise
            raise NotOffered("does not speak MQTT 5") from error
    if not broker.reads_mosquitto():
        raise NotOffered(f"is not told how to listen for {row.door}")
    door = broker.with_lines(DOORS[row.door])
    try:
        return _sample(program, door, row, {**row.settings, row.door: 1}, seconds)
    except NotListening as error:
        if broker.ours:
            raise
        # As one that was built without WebSockets: nothing was delivered wrongly.
        raise NotOffered(str(error)) from error


def _sample(
    program: Path, broker: Broker, row: Row, settings: dict[str, int], seconds: float
) -> dict[str, float]:
    if not broker.ours:
        settings.pop("queue", None)  # others have no named queues: a shared group is the nearest
    with broker, Generator(program, {"port": broker.port, **settings}) as generator:
        if row.step == "connect":
            return _connections(broker, generator, row.settings["subscribers"])
        if row.step == "retained":
            return _retained(broker, generator, row.settings["topics"])
        generator.connect()
        generator.run(WARM_UP_S)
        cpu_s = broker.cpu_s()
        figures = generator.run(seconds)
        cpu_s = broker.cpu_s() - cpu_s
        generator.finish()
    delivered = figures["delivered"]
    return {
        **figures,
        "rate": delivered / figures["seconds"],
        "cpu_us": cpu_s / delivered * 1e6,
        "load": figures["load_cpu_s"] / figures["seconds"],
    }


def _connections(broker: Broker, generator: Generator, count: int) -> dict[str, float]:
    """What a connection costs to make and to keep."""
    cpu_s, memory = broker.cpu_s(), broker.memory_bytes()
    figures = generator.connect()
    cpu_s, memory = broker.cpu_s() - cpu_s, broker.memory_bytes() - memory
    generator.finish()
    return {
        **figures,
        "rate": count / figures["seconds"],
        "cpu_us": cpu_s / count * 1e6,
        "memory_kib": memory / count / 1024,
        "load": figures["load_cpu_s"] / figures["seconds"],
    }


def _retained(broker: Broker, generator: Generator, count: int) -> dict[str, float]:
    """What a retained message costs to store, and to a subscriber of all of them."""
    generator.connect()
    cpu_s = broker.cpu_s()
    stored = generator.store()
    store_cpu_s = broker.cpu_s() - cpu_s
    fetched = generator.fetch()
    fetch_cpu_s = broker.cpu_s() - cpu_s - store_cpu_s
    generator.finish()
    return {
        "rate": count / stored["seconds"],
        "cpu_us": store_cpu_s / count * 1e6,
        "fetch_ms": fetched["seconds"] * 1e3,
        "fetch_cpu_us": fetch_cpu_s / count * 1e6,
        "load": 0.0,
    }
