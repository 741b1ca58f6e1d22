"""What is measured: one row is one pattern of traffic, as arguments of the load generator."""

from __future__ import annotations

from typing import Final


class Row:
    """One line of the table.

    Attributes:
        name: as it is printed, and chosen with ``--only``.
        load: arguments of the generator.
        messages: how many each publisher sends at full length.
        compare: what the ratio is made of: ``cpu`` (per message), ``p50`` or ``memory``.
    """

    def __init__(self, name: str, messages: int, compare: str = "cpu", **load: int) -> None:
        self.name = name
        self.messages = messages
        self.compare = compare
        self.load = load


# `ahead` keeps what is under way below the queues of every broker, so that none has to drop.
ROWS: Final = (
    Row("QoS 0, 64 a write, one topic", 600_000, batch=64, ahead=20_000),
    Row("QoS 0, 64 a write, 1,000 topics", 400_000, batch=64, topics=1000, ahead=20_000),
    Row("QoS 0, one a write", 100_000, batch=1, ahead=5_000),
    Row("QoS 0, 64 a write, MQTT 5", 600_000, batch=64, version=5, ahead=20_000),
    Row("QoS 1, 50 a write", 50_000, qos=1, batch=50, window=100),
    Row("QoS 1, 20 a write, MQTT 5", 50_000, qos=1, batch=20, window=20, version=5),
    Row(
        "QoS 1, 20 pairs, 16 a write", 2_500, qos=1, batch=16, window=32, pubs=20, subs=20, pairs=1
    ),
    Row("QoS 2, 20 in flight", 25_000, qos=2, batch=20, window=20),
    Row("QoS 0, 20 to 1, 16 a write", 20_000, batch=16, pubs=20, ahead=10_000),
    Row("QoS 0, fan-out to 100", 10_000, batch=64, subs=100, ahead=640),
    Row("QoS 0, fan-out to 1,000", 2_000, batch=64, subs=1000, ahead=256),
    Row("QoS 1, fan-out to 100", 1_500, qos=1, batch=16, window=64, subs=100, ahead=64),
    Row("QoS 0, fan-out to 100, 4 KiB", 3_000, batch=16, subs=100, size=4096, ahead=64),
    Row("shared group of 8, QoS 0", 100_000, batch=64, subs=8, shared=1, ahead=10_000),
    Row("shared group of 8, QoS 1", 30_000, qos=1, batch=50, window=100, subs=8, shared=1),
    Row("one message at 1,000/s: latency", 3_000, "p50", rate=1000),
    Row("a connection: CPU", 5_000, idle=1),
    Row("memory per idle connection", 5_000, "memory", idle=1),
)
