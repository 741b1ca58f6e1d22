"""Makes a table, and a JSON file, of the samples.

A line is one figure of one row: the median of each broker, then each midge's median divided by that
of each other broker, then the aim. Samples of a broker that delivered wrongly are not shown:
``WRONG`` is.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.brokers import CONFIGURATION, ROOT, Broker
from bench.rows import Aim, Measure, Row

#: A generator busier than this part of the time may have set the rate; the CPU per message stands.
LOAD_BUSY: Final = 0.95

NAME_WIDTH: Final = 34
LABEL_WIDTH: Final = 20
COLUMN_WIDTH: Final = 14

#: Where runs are kept.
RESULTS: Final = ROOT / "bench" / "results"


class Outcome:
    """What the brokers did in one row.

    Attributes:
        row: the row.
        samples: by broker, the figures of each round.
        faults: by broker, what it did wrong.
        absent: by broker, why it was not measured.
    """

    __slots__ = ("absent", "faults", "row", "samples")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.samples: dict[str, list[dict[str, float]]] = {}
        self.faults: dict[str, list[str]] = {}
        self.absent: dict[str, str] = {}

    def median(self, broker: str, key: str) -> float | None:
        """The median of a figure; ``None`` without a sample, or when one of them was wrong."""
        samples = self.samples.get(broker)
        if not samples or broker in self.faults:
            return None
        return statistics.median(sample[key] for sample in samples)


#: The outcomes so far, by the name of the row.
Outcomes = Mapping[str, Outcome]


def ratio(outcome: Outcome, measure: Measure, other: str, ours: str = "midge") -> float | None:
    """A midge's median divided by that of another broker."""
    mine, theirs = outcome.median(ours, measure.key), outcome.median(other, measure.key)
    return None if mine is None or not theirs else mine / theirs


def pairs(brokers: Sequence[Broker]) -> list[tuple[str, str]]:
    """Who is divided by whom: every midge by every other broker."""
    others = [broker.name for broker in brokers if not broker.ours]
    return [(broker.name, other) for broker in brokers if broker.ours for other in others]


def machine() -> str:
    """What the figures were taken on, in one line."""
    return (
        f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs{_processor()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f" ({names[0]})" if names else ""


def heading(brokers: Sequence[Broker], rounds: int, seconds: float) -> str:
    """What stands above the table."""
    lines = [f"{machine()}; medians of {rounds} rounds of {seconds:g} s, brokers in turn"]
    lines += [f"{broker.name}: {broker.version or broker.command}" for broker in brokers]
    lines.append("configuration: " + "; ".join(CONFIGURATION.strip().splitlines()))
    lines.append("CPU is user and system time of the broker; * the generator was busy all the time")
    lines.append("the last column is the aim of a compiled midge; ! marks a midge that misses it")
    columns = [broker.name for broker in brokers]
    columns += [f"{ours[:6]}/{other[:6]}" for ours, other in pairs(brokers)]
    cells = "".join(f"{column[: COLUMN_WIDTH - 1]:>{COLUMN_WIDTH}}" for column in columns)
    return "\n".join(lines) + f"\n\n{'':{NAME_WIDTH}}{'':{LABEL_WIDTH}}{cells}  {'aim'}"


def lines_of(
    outcome: Outcome, brokers: Sequence[Broker], before: Outcomes | None = None
) -> list[str]:
    """The lines of the table for one row; ``before`` holds rows that an aim may refer to."""
    lines = []
    for index, measure in enumerate(outcome.row.measures):
        cells = [_figure(outcome, measure, broker, before or {}) for broker in brokers]
        for ours, other in pairs(brokers):
            value = ratio(outcome, measure, other, ours)
            cells.append("-" if value is None else f"{value:.3g}x")
        name = "" if index else outcome.row.name
        text = "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)
        aim = aim_text(outcome.row, measure)
        lines.append(f"{name:{NAME_WIDTH}}{measure.label:{LABEL_WIDTH}}{text}  {aim}".rstrip())
    for broker_name, faults in outcome.faults.items():
        lines += [f"  WRONG {broker_name}: {fault}" for fault in faults]
    lines += [f"  not measured: {name}: {why}" for name, why in outcome.absent.items()]
    return lines


def aim_text(row: Row, measure: Measure) -> str:
    """The aim of a figure as it is printed; empty without one."""
    aim = row.aims.get(measure.key)
    if aim is None:
        return ""
    sign = ">=" if measure.more_is_better else "<="
    if not aim.of:
        return f"{sign} {aim.figure:,g}"
    return f"{sign} {aim.figure:g}x {aim.of}"


def is_missed(outcome: Outcome, measure: Measure, broker: str, before: Outcomes) -> bool:
    """Whether a midge is not where it is to be; ``False`` when that cannot be told."""
    aim, value = outcome.row.aims.get(measure.key), outcome.median(broker, measure.key)
    limit = None if aim is None else _limit(aim, outcome, measure, broker, before)
    if limit is None or value is None:
        return False
    return value < limit if measure.more_is_better else value > limit


def _limit(
    aim: Aim, outcome: Outcome, measure: Measure, broker: str, before: Outcomes
) -> float | None:
    if not aim.of:
        return aim.figure
    if aim.of in before:
        base = before[aim.of].median(broker, measure.key)
    else:
        base = outcome.median(aim.of, measure.key)
    return None if base is None else base * aim.figure


def _figure(outcome: Outcome, measure: Measure, broker: Broker, before: Outcomes) -> str:
    value = outcome.median(broker.name, measure.key)
    if value is None:
        return "WRONG" if broker.name in outcome.faults else "-"
    busy = measure.more_is_better and (outcome.median(broker.name, "load") or 0.0) > LOAD_BUSY
    missed = broker.ours and is_missed(outcome, measure, broker.name, before)
    return measure.form.format(value) + ("*" if busy else "") + ("!" if missed else "")


def results_file(kind: str) -> Path:
    """Where a run that begins now is kept; names sort by time."""
    now = datetime.datetime.now(datetime.UTC)
    return RESULTS / f"{kind}-{now:%Y%m%dT%H%M%SZ}.json"


def document(kind: str, brokers: Sequence[Broker], **more: Any) -> dict[str, Any]:
    """What every file of results says: of what, when, on what, of whom."""
    return {
        "kind": kind,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "configuration": CONFIGURATION,
        "brokers": {
            b.name: {"command": b.command, "version": b.version, "ours": b.ours} for b in brokers
        },
        **more,
    }


def write_json(
    path: Path,
    outcomes: Sequence[Outcome],
    brokers: Sequence[Broker],
    rounds: int = 0,
    seconds: float = 0.0,
) -> None:
    """Write every sample, the medians and what they were taken on."""
    rows = [_row_document(outcome, brokers) for outcome in outcomes]
    write(path, document("bench", brokers, rounds=rounds, seconds=seconds, rows=rows))


def _row_document(outcome: Outcome, brokers: Sequence[Broker]) -> dict[str, Any]:
    row = outcome.row
    return {
        "name": row.name,
        "settings": row.settings,
        "door": row.door,
        "measures": {m.key: m.label for m in row.measures},
        "aims": {key: {"figure": aim.figure, "of": aim.of} for key, aim in row.aims.items()},
        "medians": {
            broker.name: {m.key: outcome.median(broker.name, m.key) for m in row.measures}
            for broker in brokers
        },
        "samples": outcome.samples,
        "faults": outcome.faults,
        "absent": outcome.absent,
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a file of results, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    scratch.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(scratch, path)
