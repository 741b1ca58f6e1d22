"""What is measured: a row is one pattern of traffic, as settings of the load generator.

To add a row, add it to :data:`ROWS`; what the settings mean stands in ``load/load.c``. ``backlog``
keeps what is under way to a receiver well below the queue limits of every broker, so that none has
reason to drop a message. A named queue (``queue``) is compared with a shared group of a broker that
has none. An aim is what midge, compiled, is to reach on the machine where the table of peers was
measured; elsewhere the ratios say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


class Measure:
    """One figure of a row.

    Attributes:
        key: its name in the JSON file.
        label: its name and unit in the table.
        form: how it is printed.
        more_is_better: which way a ratio is good.
    """

    __slots__ = ("form", "key", "label", "more_is_better")

    def __init__(self, key: str, label: str, form: str, more_is_better: bool = False) -> None:
        self.key = key
        self.label = label
        self.form = form
        self.more_is_better = more_is_better


class Aim:
    """What a figure is to be: at most so much, at least so much where more is better.

    Attributes:
        figure: in the unit of the measure, or a factor.
        of: whose figure the factor is for: the name of another broker in the same row, or of
            another row of the same broker; empty when the aim is no factor.
    """

    __slots__ = ("figure", "of")

    def __init__(self, figure: float, of: str = "") -> None:
        self.figure = figure
        self.of = of


RATE: Final = Measure("rate", "messages/s", "{:,.0f}", more_is_better=True)
CPU: Final = Measure("cpu_us", "CPU, µs/message", "{:.3f}")
P50: Final = Measure("p50_us", "median latency, µs", "{:.1f}")
P99: Final = Measure("p99_us", "99 % latency, µs", "{:.1f}")
CONNECT_RATE: Final = Measure("rate", "connections/s", "{:,.0f}", more_is_better=True)
CONNECT_CPU: Final = Measure("cpu_us", "CPU, µs/connection", "{:.1f}")
MEMORY: Final = Measure("memory_kib", "KiB/idle connection", "{:.2f}")
STORED: Final = Measure("rate", "stored/s", "{:,.0f}", more_is_better=True)
STORED_CPU: Final = Measure("cpu_us", "CPU, µs/stored", "{:.3f}")
FETCHED: Final = Measure("fetch_ms", "# subscribed in, ms", "{:.1f}")

#: Lines of configuration of each way in, in Mosquitto's form.
DOORS: Final = {
    "tcp": "",
    "tls": "certfile {directory}/certificate.pem\nkeyfile {directory}/key.pem\n",
    "ws": "protocol websockets\n",
}
MOSQUITTO: Final = "mosquitto"


class Row:
    """One pattern of traffic.

    Attributes:
        name: as it is printed, and chosen with ``--only``.
        settings: arguments of the load generator.
        measures: the figures that are printed.
        step: what is measured: ``run`` (messages), ``connect`` (connections) or ``retained``.
        aims: by :attr:`Measure.key`.
        door: how clients come in, of :data:`DOORS`.
    """

    __slots__ = ("aims", "door", "measures", "name", "settings", "step")

    def __init__(
        self,
        name: str,
        measures: tuple[Measure, ...] = (RATE, CPU),
        step: str = "run",
        aims: Mapping[str, Aim] | float | None = None,
        door: str = "tcp",
        **settings: int,
    ) -> None:
        self.name = name
        self.measures = measures
        self.step = step
        self.aims = {"cpu_us": Aim(aims)} if isinstance(aims, float) else dict(aims or {})
        self.door = door
        self.settings = settings


ROWS: Final = (
    Row("QoS 0, 64 a write, one topic", aims=0.15, batch=64, backlog=8192),
    Row("QoS 0, 64 a write, 1,000 topics", aims=0.25, batch=64, backlog=8192, topics=1000),
    Row("QoS 0, one a write", batch=1, backlog=2048),
    Row("QoS 1, 50 a write", aims=0.75, qos=1, batch=50, inflight=100),
    Row(
        "QoS 1, 20 pairs, 16 a write",
        aims=0.6,
        qos=1,
        batch=16,
        inflight=32,
        publishers=20,
        subscribers=20,
        pairs=1,
    ),
    Row("QoS 2, 20 in flight", aims=4.0, qos=2, batch=0, inflight=20),
    Row("QoS 0, 20 to 1, 16 a write", aims=0.35, batch=16, backlog=512, publishers=20),
    Row("QoS 0, fan-out to 100", aims=0.05, batch=16, backlog=512, subscribers=100),
    Row("QoS 0, fan-out to 1,000", aims=0.05, batch=16, backlog=512, subscribers=1000),
    Row(
        "QoS 1, fan-out to 100",
        aims=0.32,
        qos=1,
        batch=16,
        inflight=64,
        backlog=64,
        subscribers=100,
    ),
    Row(
        "QoS 0, fan-out to 100, 4 KiB",
        aims=1.0,
        batch=16,
        backlog=64,
        payload=4096,
        subscribers=100,
    ),
    Row("shared group of 8, QoS 0", aims=0.6, batch=64, backlog=4096, subscribers=8, shared=1),
    Row(
        "shared group of 8, QoS 1", aims=2.5, qos=1, batch=50, inflight=100, subscribers=8, shared=1
    ),
    Row(
        "named queue, QoS 1, 1 consumer",
        qos=1,
        batch=50,
        inflight=100,
        subscribers=1,
        shared=1,
        queue=1,
    ),
    Row(
        "named queue, QoS 1, 8 consumers",
        qos=1,
        batch=50,
        inflight=100,
        subscribers=8,
        shared=1,
        queue=1,
    ),
    Row(
        "named queue, QoS 1, 64 consumers",
        qos=1,
        batch=50,
        inflight=100,
        subscribers=64,
        shared=1,
        queue=1,
    ),
    Row("MQTT 5, QoS 0, 64 a write", version=5, batch=64, backlog=8192),
    Row(
        "MQTT 5, QoS 0, a user property",
        aims={"cpu_us": Aim(1.5, "QoS 0, 64 a write, one topic")},
        version=5,
        properties=1,
        batch=64,
        backlog=8192,
    ),
    Row(
        "MQTT 5, QoS 1, a user property",
        aims={"cpu_us": Aim(1.5, "QoS 1, 50 a write")},
        version=5,
        properties=1,
        qos=1,
        batch=50,
        inflight=100,
    ),
    Row(
        "MQTT 5, QoS 0, prop., fan-out 100",
        aims={"cpu_us": Aim(1.5, "QoS 0, fan-out to 100")},
        version=5,
        properties=1,
        batch=16,
        backlog=512,
        subscribers=100,
    ),
    Row(
        "TLS, QoS 0, 64 a write",
        aims={"cpu_us": Aim(1.0, MOSQUITTO)},
        door="tls",
        batch=64,
        backlog=8192,
    ),
    Row(
        "TLS, QoS 1, 50 a write",
        aims={"cpu_us": Aim(1.0, MOSQUITTO)},
        door="tls",
        qos=1,
        batch=50,
        inflight=100,
    ),
    Row(
        "TLS, QoS 0, fan-out to 100",
        aims={"cpu_us": Aim(1.0, MOSQUITTO)},
        door="tls",
        batch=16,
        backlog=512,
        subscribers=100,
    ),
    Row(
        "WebSocket, QoS 0, 64 a write",
        aims={"cpu_us": Aim(1.0, MOSQUITTO)},
        door="ws",
        batch=64,
        backlog=8192,
    ),
    Row(
        "WebSocket, QoS 1, 50 a write",
        aims={"cpu_us": Aim(1.0, MOSQUITTO)},
        door="ws",
        qos=1,
        batch=50,
        inflight=100,
    ),
    Row(
        "WebSocket, QoS 0, fan-out to 100",
        aims={"cpu_us": Aim(1.0, MOSQUITTO)},
        door="ws",
        batch=16,
        backlog=512,
        subscribers=100,
    ),
    Row(
        "one message at 1,000/s",
        (P50, P99, CPU),
        aims={"p50_us": Aim(1.15, MOSQUITTO), "cpu_us": Aim(1.15, MOSQUITTO)},
        rate=1000,
    ),
    Row(
        "connections",
        (CONNECT_RATE, CONNECT_CPU, MEMORY),
        step="connect",
        aims={"cpu_us": Aim(30.0), "memory_kib": Aim(4.0)},
        publishers=0,
        subscribers=5000,
    ),
    Row(
        "20,000 retained",
        (STORED, STORED_CPU, FETCHED),
        step="retained",
        aims={"rate": Aim(500_000.0), "fetch_ms": Aim(30.0)},
        retained=1,
        topics=20_000,
        batch=64,
    ),
)
