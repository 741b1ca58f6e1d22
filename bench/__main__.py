"""The command: run the rows against each broker in turn, print the table; 1 when one was wrong."""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import report
from bench.brokers import COMPILED, Broker, compiled, midge, mosquitto
from bench.generator import GeneratorError, WrongError, build
from bench.measure import NotOffered, sample
from bench.peers import peers
from bench.rows import ROWS, Row

QUICK_ROUNDS, QUICK_SECONDS = 1, 0.3


def broker_of(text: str) -> Broker:
    """Read the value of ``--broker``."""
    name, equals, command = text.partition("=")
    if not (name and equals and command):
        raise argparse.ArgumentTypeError("wants NAME=COMMAND, or NAME=DIRECTORY of a midge")
    if Path(command).is_dir():
        if not Path(command, "midge", "__init__.py").exists():
            raise argparse.ArgumentTypeError(f"there is no midge in {command}")
        return compiled(Path(command), name)
    return Broker(name, command)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure midge against the brokers of this machine; check every message.",
        epilog="The brokers are midge, the one that `make compiled` built when it is there, those "
        "of mosquitto, FlashMQ, NanoMQ and amqtt that are found, and those named with --broker. "
        "`python -m bench queues` runs the rows of queues and shared groups; "
        "`python -m bench durable` measures what a store costs, `python -m bench zmq` midge.zmq "
        "against pyzmq, `python -m bench growth` what many subscriptions and connections cost; "
        "`python -m bench plot` draws results.",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="ROW",
        help="only rows whose name contains this; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--rounds", type=int, default=3, help="samples of a row and broker (3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a sample (1)")
    parser.add_argument("--quick", action="store_true", help="one short round: about a minute")
    parser.add_argument(
        "--broker",
        action="append",
        default=[],
        type=broker_of,
        metavar="NAME=COMMAND",
        help="one more broker, or another midge or mosquitto; {port} is the port on 127.0.0.1, "
        "{config} a configuration in Mosquitto's form; a directory with a midge in it (as "
        "build/compiled) is that midge",
    )
    parser.add_argument(
        "--just", action="append", default=[], metavar="NAME", help="only this broker, and the like"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="NAME", help="leave this broker out"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write every sample there (bench/results/bench-TIME.json)",
    )
    options = parser.parse_args(words)
    if options.quick:
        options.rounds, options.seconds = QUICK_ROUNDS, QUICK_SECONDS
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be more than nothing")
    return options


def chosen_brokers(
    named: Sequence[Broker], without: Sequence[str] = (), just: Sequence[str] = ()
) -> list[Broker]:
    """midge first, then mosquitto, then the others; one named on the command line replaces ours."""
    by_name: dict[str, Broker] = {"midge": midge()}
    if (COMPILED / "midge").exists():
        by_name["compiled"] = compiled(COMPILED)
    peer = mosquitto()
    if peer is not None:
        by_name["mosquitto"] = peer
    by_name.update((broker.name, broker) for broker in peers())
    by_name.update((broker.name, broker) for broker in named)
    left = [
        broker
        for name, broker in by_name.items()
        if name not in without and (not just or name in just)
    ]
    return sorted(left, key=lambda broker: not broker.ours)


def chosen_rows(only: Sequence[str]) -> list[Row]:
    """The rows that ``--only`` leaves."""
    wanted = [text.lower() for text in only]
    return [r for r in ROWS if not wanted or any(text in r.name.lower() for text in wanted)]


def measure_row(
    program: Path, row: Row, brokers: Sequence[Broker], rounds: int, seconds: float
) -> report.Outcome:
    """All samples of one row, the brokers in turn: what disturbs the machine disturbs them all."""
    outcome = report.Outcome(row)
    for _ in range(rounds):
        for broker in brokers:
            if broker.name in outcome.faults or broker.name in outcome.absent:
                continue  # once wrong, always wrong: no need to wait for the next time
            try:
                figures = sample(program, broker, row, seconds)
            except NotOffered as error:
                outcome.absent[broker.name] = str(error)
            except (WrongError, RuntimeError) as error:
                outcome.faults.setdefault(broker.name, []).append(str(error))
            else:
                outcome.samples.setdefault(broker.name, []).append(figures)
    return outcome


def main(words: Sequence[str] | None = None) -> int:
    """Run it; 1 when a broker delivered wrongly or did not start, 2 when nothing could be run."""
    given = list(sys.argv[1:] if words is None else words)
    if given[:1] == ["zmq"]:
        from bench import zmq_table  # pyzmq is not needed for the rest

        return zmq_table.main(given[1:])
    if given[:1] == ["durable"]:
        from bench import durable

        return durable.main(given[1:])
    if given[:1] == ["proxy"]:
        from bench import zmq_proxy

        return zmq_proxy.main(given[1:])
    if given[:1] == ["growth"]:
        from bench import growth

        return growth.main(given[1:])
    if given[:1] == ["plot"]:
        from bench import plot

        return plot.main(given[1:])
    if given[:1] == ["queues"]:
        given = ["--only", "shared group", "--only", "named queue", *given[1:]]
    options = parse(given)
    rows = chosen_rows(options.only)
    if options.list:
        print("\n".join(row.name for row in rows))
        return 0
    brokers = chosen_brokers(options.broker, options.without, options.just)
    if not rows or not brokers:
        print("bench: there is nothing to measure", file=sys.stderr)
        return 2
    with contextlib.suppress(ValueError, OSError):  # thousands of connections, a descriptor each
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    outcomes: dict[str, report.Outcome] = {}
    path = options.json or report.results_file("bench")
    try:
        program = build()
        print(report.heading(brokers, options.rounds, options.seconds), flush=True)
        for row in rows:
            outcome = measure_row(program, row, brokers, options.rounds, options.seconds)
            outcomes[row.name] = outcome
            print("\n".join(report.lines_of(outcome, brokers, outcomes)), flush=True)
            report.write_json(
                path, list(outcomes.values()), brokers, options.rounds, options.seconds
            )
    except GeneratorError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"every sample is in {path}")
    return 1 if any(outcome.faults for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
