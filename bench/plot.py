"""Draws results: ``python -m bench plot``, or ``make bench-plot``.

The newest run of each kind in ``bench/results``, or the files that are named, become one SVG each,
beside the file. Every broker's median is a mark, with a line from its least to its greatest sample;
scales are logarithmic and say so; a broker that delivered wrongly has no mark, and is named. Needs
matplotlib (``pip install --group bench``), which nothing else here does.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.report import RESULTS

KINDS: Final = ("bench", "growth")

#: Distinguishable without colour too: each broker has a mark of its own.
MARKS: Final = "osD^vPX*"
COLOURS: Final = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#555555")

#: No scale shows less than this: two powers of ten have room for a labelled one between them.
DECADES_LEAST: Final = 2.0

Document = dict[str, Any]


class Spread:
    """Median, least and greatest of some samples."""

    __slots__ = ("greatest", "least", "median")

    def __init__(self, values: Sequence[float]) -> None:
        self.median = statistics.median(values)
        self.least = min(values)
        self.greatest = max(values)

    def arms(self) -> list[list[float]]:
        """As matplotlib wants error bars: how far to each side."""
        return [[self.median - self.least], [self.greatest - self.median]]


def spread_of(samples: Sequence[dict[str, float]], key: str) -> Spread | None:
    """The spread of a figure; ``None`` without a sample that a logarithmic scale can show."""
    values = [sample[key] for sample in samples if sample.get(key, 0.0) > 0]
    return Spread(values) if values else None


def panels(document: Document) -> list[tuple[str, list[tuple[str, dict[str, Spread], float]]]]:
    """What is drawn of a table: by figure, the rows that have it: name, spread by broker, aim.

    An aim that is a factor of another figure has no place on the axis: it is 0.
    """
    found: dict[str, list[tuple[str, dict[str, Spread], float]]] = {}
    for row in document["rows"]:
        right = {name: s for name, s in row["samples"].items() if name not in row["faults"]}
        for key, label in row["measures"].items():
            spreads = {name: spread_of(samples, key) for name, samples in right.items()}
            marks = {name: spread for name, spread in spreads.items() if spread is not None}
            aim = row["aims"].get(key, {})
            figure = 0.0 if aim.get("of") else float(aim.get("figure", 0.0))
            if marks:
                found.setdefault(label, []).append((row["name"], marks, figure))
    return list(found.items())


def faults_of(document: Document) -> list[str]:
    """Who delivered wrongly, in which row or question."""
    parts = document.get("rows") or document.get("questions") or []
    return [f"{name}: {part['name']}" for part in parts for name in part["faults"]]


def style(document: Document, broker: str) -> tuple[str, str]:
    """The mark and the colour of a broker: the same in all panels of a run."""
    index = list(document["brokers"]).index(broker)
    return MARKS[index % len(MARKS)], COLOURS[index % len(COLOURS)]


def widened(low: float, high: float) -> tuple[float, float]:
    """The limits of a scale, far enough apart that noise does not look like a slope."""
    if math.log10(high / low) >= DECADES_LEAST:
        return low, high
    middle = math.sqrt(low * high)
    half = 10 ** (DECADES_LEAST / 2)
    return middle / half, middle * half


def caption(document: Document) -> str:
    """What the figures were taken on, and what the drawing means."""
    versions = "; ".join(
        f"{name}: {broker['version'] or broker['command']}"
        for name, broker in document["brokers"].items()
    )
    wrong = faults_of(document)
    lines = [
        f"{document['date']} · {document['machine']}",
        versions,
        "Marks are medians, lines go from the least sample to the greatest. Logarithmic scales.",
    ]
    if wrong:
        lines.append("Not shown, because it delivered wrongly: " + "; ".join(wrong))
    return "\n".join(lines)


def draw_table(document: Document, target: Path) -> None:
    """One panel a figure, a line a row of the table, a mark a broker."""
    from matplotlib.figure import Figure

    parts = panels(document)
    heights = [len(rows) + 2 for _, rows in parts]
    figure = Figure(figsize=(11, 0.32 * sum(heights) + 2), layout="constrained")
    axes = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (label, rows) in zip(axes, parts, strict=True):
        for line, (_, marks, aim) in enumerate(rows):
            _draw_row(axis, document, line, marks, aim)
        axis.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        axis.set_ylim(len(rows) - 0.4, -0.6)  # the first row on top
        axis.set_xscale("log")
        axis.set_xlim(*widened(*axis.get_xlim()))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axis.xaxis.set_minor_formatter("")
        axis.set_xlabel(f"{label} (logarithmic)")
        axis.grid(axis="x", which="both", alpha=0.25)
    _legend(figure, axes[0], document, aims=True)
    figure.suptitle(caption(document), fontsize=8, ha="left", x=0.01)
    figure.savefig(target)


def _draw_row(
    axis: Any, document: Document, line: int, marks: dict[str, Spread], aim: float
) -> None:
    for place, (name, spread) in enumerate(marks.items()):
        mark, colour = style(document, name)
        shift = (
            place - (len(marks) - 1) / 2
        ) * 0.12  # so that equal figures do not hide each other
        axis.errorbar(
            spread.median,
            line + shift,
            xerr=spread.arms(),
            marker=mark,
            color=colour,
            markersize=5,
            capsize=2,
        )
    if aim:
        axis.plot([aim, aim], [line - 0.4, line + 0.4], color="black", linewidth=1.5)


def draw_growth(document: Document, target: Path) -> None:
    """One panel a question and figure: size against cost."""
    from matplotlib.figure import Figure

    parts = [(q, key, label) for q in document["questions"] for key, label in q["labels"].items()]
    columns = 3
    lines = -(-len(parts) // columns)
    figure = Figure(figsize=(12, 2.8 * lines + 1.2), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).flatten()
    for axis, (question, key, label) in zip(axes, parts, strict=False):
        _draw_curves(axis, document, question, key)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_ylim(*widened(*axis.get_ylim()))
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter(lambda value, _: f"{value:,.10g}")
            side.set_minor_formatter("")
        axis.set_title(question["name"], fontsize=9)
        axis.set_ylabel(f"{label} (log.)", fontsize=8)
        axis.grid(which="both", alpha=0.2)
    for axis in axes[len(parts) :]:
        axis.set_visible(False)
    _legend(figure, axes[0], document)
    figure.suptitle(caption(document), fontsize=8, ha="left", x=0.01)
    figure.savefig(target)


def _draw_curves(axis: Any, document: Document, question: Document, key: str) -> None:
    for name, by_size in question["samples"].items():
        mark, colour = style(document, name)
        spreads = {int(size): spread_of(samples, key) for size, samples in by_size.items()}
        known = {size: spread for size, spread in spreads.items() if spread is not None}
        if not known:
            continue
        arms = [
            [spread.arms()[side][0] for spread in known.values()]
            for side in (0, 1)  # what is below the medians, what is above
        ]
        medians = [spread.median for spread in known.values()]
        axis.errorbar(
            list(known), medians, yerr=arms, marker=mark, color=colour, markersize=4, capsize=2
        )


def _legend(figure: Any, axis: Any, document: Document, aims: bool = False) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for name in document["brokers"]:
        mark, colour = style(document, name)
        handles.append(Line2D([], [], marker=mark, color=colour, label=name))
    if aims:
        handles.append(Line2D([], [], color="black", linestyle="", marker="|", label="aim"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)


def newest() -> list[Path]:
    """The newest run of each kind; names sort by time."""
    found = []
    for kind in KINDS:
        runs = sorted(RESULTS.glob(f"{kind}-*.json"))
        found += runs[-1:]
    return found


def draw(path: Path) -> Path:
    """Draw one file; returns where.

    Raises:
        ValueError: it is no file of results.
    """
    document = json.loads(path.read_text())
    drawer = {"bench": draw_table, "growth": draw_growth}.get(document.get("kind"))
    if drawer is None:
        raise ValueError(f"{path} holds no results of a bench run")
    target = path.with_suffix(".svg")
    drawer(document, target)
    return target


def main(words: Sequence[str]) -> int:
    """Draw what is named, or the newest; 2 when there is nothing to draw."""
    parser = argparse.ArgumentParser(
        prog="python -m bench plot", description="Draw results of the benchmark as SVG."
    )
    parser.add_argument("files", nargs="*", type=Path, help="bench/results/*.json, the newest")
    files = parser.parse_args(words).files or newest()
    if not files:
        print(f"bench: nothing in {RESULTS}: run python -m bench first", file=sys.stderr)
        return 2
    try:
        for path in files:
            print(draw(path))
    except ImportError as error:
        print(f"bench: {error}: pip install --group bench", file=sys.stderr)
        return 2
    except (OSError, ValueError, KeyError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 0
