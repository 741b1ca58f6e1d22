"""What do many subscriptions, and many connections, cost? ``python -m bench growth``.

Four questions, each asked at sizes that grow tenfold:

* subscriptions to names, or with wildcards, that no message matches: does a message between two
  others cost more? Asked twice: with topics whose routes are remembered, and with more topics than
  a broker remembers, so that each message is looked up anew. And what does one of them take to
  make and to keep?
* connections that say nothing: does a message between two others cost more, and how much memory
  does one take?
* connections that each message goes to another of: does it cost more the more there are?

``docs/performance.md`` says what is to be expected and why.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bench import report
from bench.brokers import Broker
from bench.generator import Generator, GeneratorError, WrongError, build
from bench.measure import WARM_UP_S

SUBSCRIPTIONS: Final = (1, 10, 100, 1000, 10_000, 100_000)
CONNECTIONS: Final = (100, 1000, 5000, 10_000, 20_000)
SHORT_SUBSCRIPTIONS: Final = (1, 1000)
SHORT_CONNECTIONS: Final = (10, 100)

#: Connections that hold the subscriptions: what one of them costs is not to be measured.
HOLDERS: Final = 10

#: More topics than midge remembers routes for (65,536), and the few that any broker remembers.
TOPICS_MANY: Final = 100_000
TOPICS_FEW: Final = 1000

#: A broker sends at least so many messages a second where each is a write of its own.
SPREAD_RATE_LEAST: Final = 20_000

#: Descriptors that a broker and the generator need for other things than these connections.
DESCRIPTORS_KEPT: Final = 100

Figures = dict[str, float]


class Question:
    """A line of sizes, at each of which the same is measured.

    Attributes:
        name: what grows, as it is printed.
        sizes: how many.
        labels: the figures, by key, as they are printed.
        measure: one sample: (program, broker, size, seconds).
    """

    __slots__ = ("labels", "measure", "name", "sizes")

    def __init__(
        self,
        name: str,
        sizes: Sequence[int],
        labels: dict[str, str],
        measure: Callable[[Path, Broker, int, float], Figures],
    ) -> None:
        self.name = name
        self.sizes = sizes
        self.labels = labels
        self.measure = measure


def traffic(
    broker: Broker, generator: Generator, seconds: float, warm_up_s: float = WARM_UP_S
) -> float:
    """CPU microseconds of a message."""
    generator.run(warm_up_s)
    cpu_s = broker.cpu_s()
    figures = generator.run(seconds)
    cpu_s = broker.cpu_s() - cpu_s
    generator.finish()
    return cpu_s / figures["delivered"] * 1e6


def subscriptions(wild: int, topics: int) -> Callable[[Path, Broker, int, float], Figures]:
    """Subscriptions that no message matches, and messages to so many topics."""

    def measure(program: Path, broker: Broker, size: int, seconds: float) -> Figures:
        settings = {
            "idle": min(size, HOLDERS),
            "filters": size,
            "wild": wild,
            "topics": topics,
            "wildcard": 1,
            "batch": 64,
            "backlog": 8192,
        }
        with broker, Generator(program, {"port": broker.port, **settings}) as generator:
            generator.connect()
            memory, cpu_s = broker.memory_bytes(), broker.cpu_s()
            generator.fill()
            memory, cpu_s = broker.memory_bytes() - memory, broker.cpu_s() - cpu_s
            return {
                "cpu_us": traffic(broker, generator, seconds),
                "make_us": cpu_s / size * 1e6,
                "bytes": memory / size,
            }

    return measure


def idle(program: Path, broker: Broker, size: int, seconds: float) -> Figures:
    """Connections that say nothing, and messages between two others."""
    settings = {"idle": size, "batch": 64, "backlog": 8192}
    with broker, Generator(program, {"port": broker.port, **settings}) as generator:
        memory, cpu_s = broker.memory_bytes(), broker.cpu_s()
        generator.connect()
        memory, cpu_s = broker.memory_bytes() - memory, broker.cpu_s() - cpu_s
        return {
            "cpu_us": traffic(broker, generator, seconds),
            "make_us": cpu_s / size * 1e6,
            "bytes": memory / size,
        }


def spread(program: Path, broker: Broker, size: int, seconds: float) -> Figures:
    """Messages of one publisher, each to the next of so many subscribers."""
    settings = {"subscribers": size, "topics": size, "spread": 1, "batch": 64, "backlog": 8192}
    with broker, Generator(program, {"port": broker.port, **settings}) as generator:
        generator.connect()
        # Everybody has had a message before the clock starts: the first one has more to do.
        warm_up_s = max(WARM_UP_S, size / SPREAD_RATE_LEAST)
        return {"cpu_us": traffic(broker, generator, seconds, warm_up_s)}


MESSAGE: Final = {"cpu_us": "CPU, µs/message"}
SUBSCRIPTION: Final = {**MESSAGE, "make_us": "CPU, µs/subscription", "bytes": "bytes/subscription"}
CONNECTION: Final = {**MESSAGE, "make_us": "CPU, µs/connection", "bytes": "bytes/connection"}


def questions(counts: Sequence[int], connections: Sequence[int], topics: int) -> list[Question]:
    """All of them; ``topics`` is how many are more than a broker remembers."""
    return [
        Question("other names, known topics", counts, SUBSCRIPTION, subscriptions(0, TOPICS_FEW)),
        Question("other names, new topics", counts, MESSAGE, subscriptions(0, topics)),
        Question("other wildcards, known topics", counts, SUBSCRIPTION, subscriptions(1, 1000)),
        Question("other wildcards, new topics", counts, MESSAGE, subscriptions(1, topics)),
        Question("idle connections", connections, CONNECTION, idle),
        Question("subscribers, in turn", connections, MESSAGE, spread),
    ]


def within(sizes: Sequence[int], descriptors: int) -> list[int]:
    """The sizes that so many descriptors a process are enough for, the largest cut down to that."""
    most = descriptors - DESCRIPTORS_KEPT
    return sorted({min(size, most) for size in sizes if min(size, most) > 0})


def ask(
    program: Path, question: Question, broker: Broker, rounds: int, seconds: float
) -> tuple[dict[int, list[Figures]], str]:
    """All samples of one question by size, and what went wrong."""
    samples: dict[int, list[Figures]] = {}
    try:
        for size in question.sizes:
            for _ in range(rounds):
                figures = question.measure(program, broker, size, seconds)
                samples.setdefault(size, []).append(figures)
    except (WrongError, RuntimeError) as error:
        return samples, f"at {size:,}: {error}"
    return samples, ""


def lines_of(question: Question, broker: str, samples: dict[int, list[Figures]]) -> list[str]:
    """One line a figure: the medians, and what the last is of the first."""
    lines = []
    for key, label in question.labels.items():
        medians = [statistics.median(s[key] for s in samples[size]) for size in samples]
        form = "{:>10,.0f}" if key == "bytes" else "{:>10.3g}"
        cells = "".join(form.format(value) for value in medians)
        growth = f"{medians[-1] / medians[0]:>9.2f}x" if medians and medians[0] else ""
        lines.append(f"  {broker:12}{label:22}{cells}{growth}")
    return lines


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    from bench.__main__ import broker_of

    parser = argparse.ArgumentParser(
        prog="python -m bench growth",
        description="Measure what many subscriptions and connections cost.",
    )
    parser.add_argument("--rounds", type=int, default=3, help="samples of a size (3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a sample (1)")
    parser.add_argument("--short", action="store_true", help="small sizes, once: some seconds")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="questions")
    parser.add_argument("--just", action="append", default=[], metavar="NAME", help="brokers")
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help="brokers")
    parser.add_argument(
        "--broker", action="append", default=[], type=broker_of, metavar="NAME=COMMAND"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="bench/results/growth-TIME.json")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Ask every question of every broker, print and keep the answers; 1 when one was wrong."""
    from bench.__main__ import chosen_brokers

    options = parse(words)
    brokers = chosen_brokers(options.broker, options.without, options.just)
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    if options.short:
        options.rounds, options.seconds = 1, 0.05
        asked = questions(SHORT_SUBSCRIPTIONS, SHORT_CONNECTIONS, TOPICS_FEW)
    else:
        asked = questions(SUBSCRIPTIONS, within(CONNECTIONS, descriptors), TOPICS_MANY)
    path = options.json or report.results_file("growth")
    print(f"{report.machine()}; medians of {options.rounds} rounds of {options.seconds:g} s")
    print("\n".join(f"{broker.name}: {broker.version or broker.command}" for broker in brokers))
    answers: list[dict[str, Any]] = []
    try:
        program = build()
        for question in asked:
            if not options.only or any(text in question.name for text in options.only):
                answers.append(_answers(program, question, brokers, options))
                report.write(path, report.document("growth", brokers, questions=answers))
    except GeneratorError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"every sample is in {path}")
    return 1 if any(answer["faults"] for answer in answers) else 0


def _answers(
    program: Path, question: Question, brokers: Sequence[Broker], options: argparse.Namespace
) -> dict[str, Any]:
    """Ask one question of all, and print the answers."""
    sizes = "".join(f"{size:>10,}" for size in question.sizes)
    print(f"\n{question.name:36}{sizes}   last/first", flush=True)
    samples, faults = {}, {}
    for broker in brokers:
        found, fault = ask(program, question, broker, options.rounds, options.seconds)
        print("\n".join(lines_of(question, broker.name, found)), flush=True)
        samples[broker.name] = found
        if fault:
            faults[broker.name] = fault
            print(f"  WRONG {broker.name} {fault}", flush=True)
    return {
        "name": question.name,
        "sizes": list(question.sizes),
        "labels": question.labels,
        "samples": samples,
        "faults": faults,
    }
