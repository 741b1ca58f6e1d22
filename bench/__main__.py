"""Run the rows against each broker in turn, check every message, print medians and ratios."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.brokers import CONFIGURATION, Broker, found
from bench.rows import ROWS, Row

HERE = Path(__file__).resolve().parent


class WrongError(Exception):
    """A broker lost, doubled, reordered or damaged a message."""


def build_load(directory: Path) -> Path:
    """Compile the load generator."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("bench: the load generator needs a C compiler (cc or gcc)")
    target = directory / "load"
    subprocess.run([compiler, "-O2", "-o", str(target), str(HERE / "load.c")], check=True)
    return target


def measure(load: Path, broker: Broker, row: Row, scale: float) -> dict[str, float]:
    """One run of one row against a fresh broker.

    Raises:
        WrongError: a message was not delivered as it should have been.
    """
    arguments = dict(row.load)
    count = max(int(row.messages * scale), 200)
    if "idle" in arguments:
        arguments["idle"] = count
    else:
        arguments["messages"] = count
    with broker:
        arguments["port"] = broker.port
        words = [str(load), *(f"{name}={value}" for name, value in arguments.items())]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            line = process.stdout.readline()
            if line.startswith("READY"):
                time.sleep(0.2)
                cpu, memory = broker.cpu_s(), broker.memory_bytes()
                process.stdin.write("go\n")
                process.stdin.flush()
                line = process.stdout.readline()
            if not line.startswith("seconds="):
                process.kill()
                raise WrongError(f"{broker.name}, {row.name}: {line.strip() or 'it ended'}")
            cpu = broker.cpu_s() - cpu
            memory = broker.memory_bytes() - memory
            if "idle" in arguments:
                process.stdin.write("done\n")
                process.stdin.flush()
    figures = {name: float(text) for name, text in (pair.split("=") for pair in line.split())}
    delivered = figures["delivered"]
    figures["rate"] = delivered / figures["seconds"]
    figures["cpu"] = cpu / delivered * 1e6
    figures["memory"] = memory / delivered
    return figures


def shown(row: Row, figures: dict[str, float]) -> str:
    """The cell of one broker in one row."""
    if row.compare == "memory":
        return f"{figures['memory'] / 1024:6.2f} KiB"
    if row.compare == "p50":
        return f"{figures['p50']:4.0f}/{figures['p99']:.0f} µs p50/p99, {figures['cpu']:.1f} µs"
    return f"{figures['rate']:>11,.0f}/s {figures['cpu']:8.3f} µs"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each row and broker")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument(
        "--broker",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="one more broker; {port} and {config} in the command are filled in",
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser.parse_args()


def main() -> int:
    """Run everything; 1 when any broker delivered wrongly."""
    options = arguments()
    rounds, scale = (1, 0.15) if options.quick else (options.rounds, 1.0)
    brokers = found() + [Broker(*text.split("=", 1)) for text in options.broker]
    print(f"{platform.platform()}, Python {platform.python_version()}, {rounds} rounds, medians")
    print("the same for every broker:", CONFIGURATION.replace("\n", "; "))
    print("rate of delivered messages | CPU of the broker per message | ratio to midge's\n")
    results: dict[str, dict[str, dict[str, float]]] = {}
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        load = build_load(Path(directory))
        for row in ROWS:
            if options.only not in row.name:
                continue
            runs: dict[str, list[dict[str, float]]] = {broker.name: [] for broker in brokers}
            for _ in range(rounds):
                for broker in brokers:  # in turn, so that a change of the machine hits all
                    try:
                        runs[broker.name].append(measure(load, broker, row, scale))
                    except WrongError as error:
                        print(f"WRONG: {error}", flush=True)
                        failed = True
            results[row.name] = print_row(row, runs)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if failed else 0


def print_row(row: Row, runs: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Print a row of medians; returns them by broker."""
    medians = {
        name: {key: statistics.median(run[key] for run in of_one) for key in of_one[0]}
        for name, of_one in runs.items()
        if of_one
    }
    cells = []
    base = medians.get("midge")
    for name, figures in medians.items():
        cell = f"{name} {shown(row, figures)}"
        if base is not None and name != "midge" and base[row.compare] > 0:
            cell += f" ({figures[row.compare] / base[row.compare]:.1f}x)"
        cells.append(cell)
    print(f"{row.name:34} {' | '.join(cells)}", flush=True)
    return medians


if __name__ == "__main__":
    sys.exit(main())
