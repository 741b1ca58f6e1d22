"""The wait of the reactor that blocking sockets run: when it sleeps, and when it does not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from midge.limits import ZMQ_LIVELY_S, ZMQ_SPIN_REST_WAITS, ZMQ_SPIN_S, ZMQ_YIELD_S
from midge.net.zeromq.epoll_reactor import EpollReactor


class Processor:
    """What the time is, and what it costs to lend the processor to others."""

    def __init__(self) -> None:
        self.now = 100.0
        self.yields = 0
        self.away_s = 0.0
        self.then: list[int] = []  # descriptors that become readable at the next yield

    def perf_counter(self) -> float:
        self.now += 1e-6
        return self.now

    def sched_yield(self) -> None:
        self.yields += 1
        self.now += self.away_s
        while self.then:
            os.write(self.then.pop(), b"x")


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Processor:
    processor = Processor()
    monkeypatch.setattr(time, "perf_counter", processor.perf_counter)
    monkeypatch.setattr(os, "sched_yield", processor.sched_yield)
    return processor


class Line:
    """A reactor, and a pipe that it reads."""

    def __init__(self) -> None:
        self.reactor = EpollReactor()
        self.reads, self.writes = os.pipe()
        self.got = 0
        self.reactor.add_reader(self.reads, self._read)

    def _read(self) -> None:
        self.got += len(os.read(self.reads, 10))

    def wait(self) -> None:
        """One wait, which something ends at the latest when the reactor sleeps."""
        with self.reactor.lock:
            self.reactor.run_once(0.001)

    def wait_for_what_is_there(self) -> None:
        os.write(self.writes, b"x")
        self.wait()

    def close(self) -> None:
        self.reactor.remove_reader(self.reads)
        self.reactor.close()
        os.close(self.reads)
        os.close(self.writes)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def test_a_first_wait_sleeps(processor: Processor, line: Line) -> None:
    line.wait()
    assert processor.yields == 0


def test_after_a_short_wait_the_next_one_does_not_sleep_at_once(
    processor: Processor, line: Line
) -> None:
    line.wait_for_what_is_there()
    processor.then = [line.writes]
    line.wait()
    assert (line.got, processor.yields) == (2, 1)


def test_a_wait_without_sleep_has_an_end(processor: Processor, line: Line) -> None:
    line.wait_for_what_is_there()
    processor.away_s = ZMQ_YIELD_S / 2
    line.wait()
    assert processor.yields <= ZMQ_SPIN_S / processor.away_s + 1
    assert line.got == 1


def test_after_a_wait_that_was_longer_the_next_one_sleeps(processor: Processor, line: Line) -> None:
    line.wait_for_what_is_there()
    processor.away_s = ZMQ_LIVELY_S
    line.wait()
    processor.yields = 0
    line.wait()
    assert processor.yields == 0


def test_who_has_lent_the_processor_to_others_for_long_sleeps_for_a_while(
    processor: Processor, line: Line
) -> None:
    line.wait_for_what_is_there()
    processor.away_s = 0.003
    line.wait()
    assert processor.yields == 1
    for _ in range(ZMQ_SPIN_REST_WAITS):
        line.wait_for_what_is_there()
    line.wait_for_what_is_there()
    assert processor.yields == 1
    processor.then = [line.writes]
    line.wait()
    assert processor.yields == 2
