"""`python -m bench zmq`: midge.zmq against pyzmq, in one run, row by row.

Each sample is two fresh processes (one for inproc) that run the same program text on either
library. The libraries take turns, so that what disturbs the machine disturbs both, and the figures
are medians. The ratio is midge's rate divided by pyzmq's. Where libzmq's headers are installed, a
line below some rows has libzmq's own sockets in a program in C in the place of pyzmq. An aim that
cannot be told is marked with a question mark.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from bench import report
from bench.generator import GeneratorError, build_zmq_ends
from bench.zmq_load import WARM_UP, how_many_differ
from bench.zmq_rows import AIMS_NATIVE, LIBRARIES, NATIVE, ZmqRow, rows
from tests.process import free_port

TIMEOUT_S: Final = 60.0


class SampleError(Exception):
    """A sample that gave no figure: a fault of the library, or none in time."""


def _start(
    library: str, row: ZmqRow, role: str, endpoint: str, count: int
) -> subprocess.Popen[str]:
    if library == NATIVE:
        numbers = (count, row.size, WARM_UP, how_many_differ(row.size))
        command = [str(build_zmq_ends()), role, endpoint, *map(str, numbers)]
    else:
        words = [library, row.face, row.pattern, role, endpoint, str(count), str(row.size)]
        command = [sys.executable, "-m", "bench.zmq_load", *words]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
    )


def sample(library: str, row: ZmqRow, seconds: float) -> dict[str, float]:
    """Measure one row once.

    Raises:
        SampleError: a message was lost or damaged, or a process did not end.
    """
    count = row.messages(library, seconds)
    with tempfile.TemporaryDirectory(prefix="midge-bench-") as place:
        endpoint = {
            "tcp": f"tcp://127.0.0.1:{free_port()}",
            "ipc": f"ipc://{place}/socket",
            "inproc": "inproc://bench",
        }[row.transport]
        processes = []
        try:
            if row.transport == "inproc":
                processes.append(_start(library, row, "both", endpoint, count))
            else:
                processes.append(_start(library, row, "receive", endpoint, count))
                _read_line(processes[0].stdout)  # it is bound
                processes.append(_start(library, row, "send", endpoint, count))
            outputs = [process.communicate(timeout=TIMEOUT_S)[0] for process in processes]
        except subprocess.TimeoutExpired:
            raise SampleError(f"nothing within {TIMEOUT_S:g} seconds") from None
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                    process.communicate()
    figures = [line for output in outputs for line in output.splitlines() if line[:1] == "{"]
    if not figures:
        raise SampleError("a process ended without a figure")
    found: dict[str, float] = json.loads(figures[0])
    if "fault" in found:
        raise SampleError(str(found["fault"]))
    return found


def _read_line(stream: IO[str] | None) -> None:
    assert stream is not None
    if not stream.readline():
        raise SampleError("the receiver ended before it was bound")


def measure(
    row: ZmqRow, rounds: int, seconds: float, native: bool = False
) -> tuple[dict[str, list[dict[str, float]]], dict[str, str]]:
    """The samples by library, and what went wrong with it."""
    samples: dict[str, list[dict[str, float]]] = {}
    faults: dict[str, str] = {}
    for _ in range(rounds):
        for library in (*LIBRARIES, NATIVE) if native and row.has_native else LIBRARIES:
            try:
                samples.setdefault(library, []).append(sample(library, row, seconds))
            except SampleError as error:
                faults[library] = str(error)
    return samples, faults


def medians(samples: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """The median rates by library."""
    return {
        name: statistics.median(sample["rate"] for sample in found)
        for name, found in samples.items()
        if found
    }


def libraries() -> dict[str, str]:
    """The versions of both; of midge also whether it is compiled."""
    words = [sys.executable, "-m", "midge", "--version"]
    import zmq

    ours = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    return {"midge.zmq": ours, "zmq": f"pyzmq {zmq.__version__}, libzmq {zmq.zmq_version()}"}


def line_of(row: ZmqRow, rates: Mapping[str, float], faults: Mapping[str, str]) -> str:
    """One line of the table."""
    return _beside(row.name, LIBRARIES[1], row.aim, rates, faults)


def line_of_native(row: ZmqRow, rates: Mapping[str, float], faults: Mapping[str, str]) -> str:
    """The line below it, if there is something to say; empty if not."""
    aim = AIMS_NATIVE.get(row.size, 0.0)
    if not row.has_native or (not aim and NATIVE not in rates and NATIVE not in faults):
        return ""
    return _beside(f"  beside {NATIVE}", NATIVE, aim, rates, faults)


def _beside(
    name: str, other: str, aim: float, rates: Mapping[str, float], faults: Mapping[str, str]
) -> str:
    ours, theirs = rates.get(LIBRARIES[0]), rates.get(other)
    wrong = [f"{one}: {faults[one]}" for one in (LIBRARIES[0], other) if one in faults]
    if wrong:
        return f"{name:34} WRONG  {'; '.join(wrong)}"
    aimed = f"{aim:>6.2f}" if aim else ""
    if ours is None or theirs is None:
        shown = [f"{rate:>12,.0f}" if rate else f"{'-':>12}" for rate in (ours, theirs)]
        return f"{name:34} {' '.join(shown)} {'-':>8} {aimed}  ? not measured"
    ratio = ours / theirs
    verdict = "" if ratio >= aim else "  below the aim"
    return f"{name:34} {ours:>12,.0f} {theirs:>12,.0f} {ratio:>8.2f} {aimed}{verdict}".rstrip()


def has_native() -> bool:
    """Whether the program in C can be built; says why not."""
    try:
        found = build_zmq_ends()
    except GeneratorError as error:
        print(error)
        return False
    if found is None:
        print("libzmq's headers are not here (libzmq3-dev): nothing is compared with it in C")
    return found is not None


def main(words: Sequence[str] | None = None) -> int:
    """Run the rows, print the table; 1 when a message was lost or damaged."""
    parser = argparse.ArgumentParser(
        prog="python -m bench zmq", description="Measure midge.zmq against pyzmq."
    )
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="rows with it")
    parser.add_argument("--rounds", type=int, default=3, help="samples a row and library (3)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a sample (0.5)")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="bench/results/zmq-TIME.json")
    options = parser.parse_args(words)
    chosen = [row for row in rows() if all(text in row.name for text in options.only)]
    if options.list:
        print("\n".join(row.name for row in chosen))
        return 0
    path = options.json or report.results_file("zmq")
    versions = libraries()
    print(f"{report.machine()}; medians of {options.rounds} rounds; {'; '.join(versions.values())}")
    print(f"{'messages a second':34} {'midge.zmq':>12} {'pyzmq':>12} {'ratio':>8} {'aim':>6}")
    kept: list[dict[str, Any]] = []
    native = any(row.has_native for row in chosen) and has_native()
    for row in chosen:
        samples, faults = measure(row, options.rounds, options.seconds, native)
        for line in (line_of, line_of_native):
            if text := line(row, medians(samples), faults):
                print(text, flush=True)
        kept.append({**row._asdict(), "name": row.name, "samples": samples, "faults": faults})
        report.write(path, report.document("zmq", [], libraries=versions, rows=kept))
    print(f"every sample is in {path}")
    return 1 if any(row["faults"] for row in kept) else 0


if __name__ == "__main__":
    sys.exit(main())
