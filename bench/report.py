"""Makes a table, and a JSON file, of the samples.

A line is one figure of one row: the median of each broker, then midge's median divided by that of
each other broker. Samples of a broker that delivered wrongly are not shown: ``WRONG`` is.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.brokers import CONFIGURATION, Broker
from bench.rows import Measure, Row

#: A generator busier than this part of the time may have set the rate; the CPU per message stands.
LOAD_BUSY: Final = 0.95

NAME_WIDTH: Final = 34
LABEL_WIDTH: Final = 20
COLUMN_WIDTH: Final = 14

OURS: Final = "midge"


class Outcome:
    """What the brokers did in one row.

    Attributes:
        row: the row.
        samples: by broker, the figures of each round.
        faults: by broker, what it did wrong.
    """

    __slots__ = ("faults", "row", "samples")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.samples: dict[str, list[dict[str, float]]] = {}
        self.faults: dict[str, list[str]] = {}

    def median(self, broker: str, key: str) -> float | None:
        """The median of a figure; ``None`` without a sample, or when one of them was wrong."""
        samples = self.samples.get(broker)
        if not samples or broker in self.faults:
            return None
        return statistics.median(sample[key] for sample in samples)


def ratio(outcome: Outcome, measure: Measure, other: str) -> float | None:
    """midge's median divided by that of another broker."""
    ours, theirs = outcome.median(OURS, measure.key), outcome.median(other, measure.key)
    return None if ours is None or not theirs else ours / theirs


def machine() -> str:
    """What the figures were taken on, in one line."""
    return (
        f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def heading(brokers: Sequence[Broker], rounds: int, seconds: float) -> str:
    """What stands above the table."""
    lines = [f"{machine()}; medians of {rounds} rounds of {seconds:g} s, brokers in turn"]
    lines += [f"{broker.name}: {broker.version or broker.command}" for broker in brokers]
    lines.append("configuration: " + "; ".join(CONFIGURATION.strip().splitlines()))
    lines.append("CPU is user and system time of the broker; * the generator was busy all the time")
    columns = [broker.name for broker in brokers]
    columns += [f"/{broker.name}" for broker in brokers if broker.name != OURS]
    cells = "".join(f"{column[:COLUMN_WIDTH]:>{COLUMN_WIDTH}}" for column in columns)
    return "\n".join(lines) + f"\n\n{'':{NAME_WIDTH}}{'':{LABEL_WIDTH}}{cells}"


def lines_of(outcome: Outcome, brokers: Sequence[Broker]) -> list[str]:
    """The lines of the table for one row."""
    lines = []
    for index, measure in enumerate(outcome.row.measures):
        cells = [_figure(outcome, measure, broker.name) for broker in brokers]
        for broker in brokers:
            if broker.name != OURS:
                value = ratio(outcome, measure, broker.name)
                cells.append("-" if value is None else f"{value:.3g}x")
        name = "" if index else outcome.row.name
        text = "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)
        lines.append(f"{name:{NAME_WIDTH}}{measure.label:{LABEL_WIDTH}}{text}")
    for broker_name, faults in outcome.faults.items():
        lines += [f"  WRONG {broker_name}: {fault}" for fault in faults]
    return lines


def _figure(outcome: Outcome, measure: Measure, broker: str) -> str:
    value = outcome.median(broker, measure.key)
    if value is None:
        return "WRONG" if broker in outcome.faults else "-"
    busy = measure.more_is_better and (outcome.median(broker, "load") or 0.0) > LOAD_BUSY
    return measure.form.format(value) + ("*" if busy else "")


def write_json(path: Path, outcomes: Sequence[Outcome], brokers: Sequence[Broker]) -> None:
    """Write every sample, the medians and what they were taken on."""
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        keys = [measure.key for measure in outcome.row.measures]
        rows.append(
            {
                "name": outcome.row.name,
                "settings": outcome.row.settings,
                "medians": {
                    broker.name: {key: outcome.median(broker.name, key) for key in keys}
                    for broker in brokers
                },
                "samples": outcome.samples,
                "faults": outcome.faults,
            }
        )
    document = {
        "machine": machine(),
        "configuration": CONFIGURATION,
        "brokers": {b.name: {"command": b.command, "version": b.version} for b in brokers},
        "rows": rows,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
