"""The load generator against a broker that does right, and against some that do not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.generator import Generator, GeneratorError, WrongError, build
from tests.process import free_port

from .fake_broker import FakeBroker, Fault
from .messages import publish


async def run(load: Path, broker: FakeBroker, **settings: int) -> dict[str, float]:
    """A short run against the fake broker, which lives in this loop."""

    def session() -> dict[str, float]:
        with Generator(load, {"port": broker.port, "backlog": 64, **settings}) as generator:
            generator.connect()
            figures = generator.run(0.05)
            generator.finish()
            return figures

    return await asyncio.to_thread(session)


async def test_an_honest_broker_is_right_and_every_arrival_is_counted(load: Path) -> None:
    async with FakeBroker() as broker:
        figures = await run(load, broker, subscribers=3, batch=8)
    assert figures["delivered"] >= 3 * 8
    assert figures["delivered"] % (3 * 8) == 0
    assert figures["seconds"] >= 0.05


async def test_latency_is_measured_for_each_message(load: Path) -> None:
    async with FakeBroker() as broker:
        figures = await run(load, broker, rate=1000)
    assert 0 < figures["p50_us"] <= figures["p99_us"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (lambda packets, receiver: packets[1:], "missing"),
        (lambda packets, receiver: packets + packets[-1:], "delivered twice"),
        (lambda packets, receiver: packets[::-1], "missing"),
        (lambda packets, receiver: [p[:-1] + b"!" for p in packets], "damaged"),
        (lambda packets, receiver: [b"\x31" + p[1:] for p in packets], "retained"),
        (lambda packets, receiver: packets if receiver else packets[1:], "missing"),
    ],
    ids=["loses", "doubles", "reorders", "damages", "sets retain", "forgets one of two"],
)
async def test_a_broker_that_delivers_wrongly_is_caught(load: Path, fault: Fault, why: str) -> None:
    async with FakeBroker(fault) as broker:
        with pytest.raises(WrongError, match=why):
            await run(load, broker, subscribers=2, batch=8)


async def test_a_shared_message_for_two_members_is_caught(load: Path) -> None:
    async with FakeBroker() as broker:
        with pytest.raises(WrongError, match="two members"):
            await run(load, broker, subscribers=2, shared=1)


async def test_a_message_after_the_last_one_is_caught(load: Path) -> None:
    async with FakeBroker(parting_shot=publish(0)) as broker:
        with pytest.raises(WrongError, match="delivered twice"):
            await run(load, broker, batch=8)


async def test_a_message_nobody_sent_is_caught_in_a_shared_group(load: Path) -> None:
    async with FakeBroker(parting_shot=publish(4_000_000)) as broker:
        with pytest.raises(WrongError, match="after the end"):
            await run(load, broker, shared=1, batch=8)


async def test_the_loss_of_the_last_messages_is_caught(load: Path) -> None:
    async with FakeBroker(lambda packets, receiver: [] if receiver else packets) as broker:
        with pytest.raises(WrongError, match=r"subscriber \d got 0 of"):
            await run(load, broker, subscribers=2, batch=8, silence=1000)


async def test_a_shared_group_that_misses_a_message_is_caught(load: Path) -> None:
    async with FakeBroker(lambda packets, receiver: packets[1:]) as broker:
        with pytest.raises(WrongError, match=r"\d+ messages of \d+ were delivered"):
            await run(load, broker, shared=1, batch=8, silence=1000)


async def test_a_broker_that_does_not_answer_is_caught(load: Path) -> None:
    class Mute(FakeBroker):
        def _take(self, packets: list[bytes], writer: asyncio.StreamWriter) -> None:
            pass

    async with Mute() as broker:
        with pytest.raises(WrongError, match="no answer to CONNECT"):
            await run(load, broker, silence=1000)


async def test_a_refused_subscription_is_caught(load: Path) -> None:
    def connect(generator: Generator) -> None:
        with generator:
            generator.connect()

    class Refusing(FakeBroker):
        def _take(self, packets: list[bytes], writer: asyncio.StreamWriter) -> None:
            super()._take([p[:-1] + b"\x80" if p[0] == 0x82 else p for p in packets], writer)

    async with Refusing() as broker:
        generator = Generator(load, {"port": broker.port})
        with pytest.raises(WrongError, match="granted 0x80"):
            await asyncio.to_thread(connect, generator)


def test_a_broker_that_is_not_there_is_no_wrong_delivery(load: Path, unused_port: int) -> None:
    with Generator(load, {"port": unused_port}) as generator, pytest.raises(GeneratorError):
        generator.connect()


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    return free_port()


def test_without_a_compiler_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GeneratorError, match="install gcc"):
        build(tmp_path)


def test_what_was_built_is_found_again(load: Path) -> None:
    before = load.stat().st_mtime_ns
    assert build(load.parent) == load
    assert load.stat().st_mtime_ns == before
