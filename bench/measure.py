"""One sample: a fresh broker, a fresh generator, one row."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.brokers import Broker
from bench.generator import Generator
from bench.rows import Row

#: Before the clock starts: route caches fill, an interpreter specialises its code, buffers grow.
WARM_UP_S: Final = 0.2


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
    """
    settings = dict(row.settings)
    if not broker.name.startswith("midge"):
        settings.pop("queue", None)  # others have no named queues: a shared group is the nearest
    with broker, Generator(program, {"port": broker.port, **settings}) as generator:
        if row.step == "connect":
            return _connections(broker, generator, row.settings["subscribers"])
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
