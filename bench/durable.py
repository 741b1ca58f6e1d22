"""What does it cost that nothing acknowledged is lost? ``python -m bench durable``.

QoS 1 to a subscriber whose session lasts: by midge with a store, which acknowledges what is on the
disk; by midge that leaves the syncing to the system (``persistence_sync normal``); by midge without
a store; by Mosquitto that saves on changes, which is as near as it comes (it still loses what was
acknowledged since it last did, and does not sync); and by Mosquitto that does not save. The disk is
that of the temporary directory: one that syncs slowly makes latency long and batches large.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bench import report
from bench.brokers import Broker, midge, mosquitto
from bench.generator import GeneratorError, build
from bench.rows import CPU, P50, P99, RATE, Row

ROWS = (
    Row("QoS 1, 1,000 in flight", qos=1, batch=50, inflight=1000, lasting=1),
    Row("QoS 1, 100 in flight", qos=1, batch=50, inflight=100, lasting=1),
    Row(
        "QoS 1, 20 pairs, 32 in flight each",
        qos=1,
        batch=16,
        inflight=32,
        publishers=20,
        subscribers=20,
        pairs=1,
        lasting=1,
    ),
    Row("QoS 1, one after the other", (RATE, CPU), qos=1, batch=1, inflight=1, lasting=1),
    Row("QoS 2, 20 in flight", qos=2, batch=0, inflight=20, lasting=1),
    Row("QoS 1 at 200/s", (P50, P99, CPU), qos=1, rate=200, lasting=1),
)
SAVED = "persistence true\npersistence_location {directory}/\n"


def brokers() -> list[Broker]:
    """midge with a store first; it is what the others are compared with."""
    ours = midge()
    chosen = [
        Broker("midge", ours.command, ours.version, SAVED),
        Broker("midge normal", ours.command, ours.version, SAVED + "persistence_sync normal\n"),
        Broker("no store", ours.command, ours.version),
    ]
    theirs = mosquitto()
    if theirs is not None:
        often = SAVED + "autosave_on_changes true\nautosave_interval 1\n"
        chosen.append(Broker("mosq. saves", theirs.command, theirs.version, often))
        chosen.append(Broker("mosq. not", theirs.command, theirs.version))
    return chosen


def main(words: Sequence[str]) -> int:
    """Run the rows, print the table; 1 when a broker was wrong."""
    from bench.__main__ import measure_row

    parser = argparse.ArgumentParser(prog="python -m bench durable", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="samples of a row and broker (3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a sample (1)")
    options = parser.parse_args(words)
    those = brokers()
    try:
        program = build()
        print(report.heading(those, options.rounds, options.seconds), flush=True)
        faults = False
        for row in ROWS:
            outcome = measure_row(program, row, those, options.rounds, options.seconds)
            print("\n".join(report.lines_of(outcome, those)), flush=True)
            faults = faults or bool(outcome.faults)
    except GeneratorError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 1 if faults else 0
