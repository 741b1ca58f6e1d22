"""What grows: the questions at small sizes, of a real broker, and what is made of the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import growth
from bench.brokers import Broker
from bench.generator import Generator, WrongError

from .fake_broker import FakeBroker
from .test_generator import run


def test_the_short_form_answers_questions_about_midge(
    load: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "growth.json"
    names = ["other wildcards, new topics", "idle connections", "subscribers, in turn"]
    only = [word for name in names for word in ("--only", name)]
    assert growth.main(["--short", *only, "--just", "midge", "--json", str(path)]) == 0
    document = json.loads(path.read_text())
    assert document["kind"] == "growth"
    assert [q["name"] for q in document["questions"]] == names
    for question in document["questions"]:
        samples = question["samples"]["midge"]
        assert sorted(map(int, samples)) == question["sizes"]
        for (sample,) in samples.values():
            assert sample.keys() >= question["labels"].keys()
            assert sample["cpu_us"] > 0
    assert "subscribers, in turn" in capsys.readouterr().out


def test_a_subscription_of_midge_takes_less_than_a_kibibyte(load: Path) -> None:
    from bench.brokers import midge

    found = growth.subscriptions(wild=1, topics=100)(load, midge(), 20_000, 0.05)
    assert 50 < found["bytes"] < 1024


def test_a_question_that_goes_wrong_says_at_which_size() -> None:
    def measure(program: Path, broker: Broker, size: int, seconds: float) -> growth.Figures:
        if size == 3000:
            raise WrongError("lost one")
        return {"cpu_us": 1.0}

    question = growth.Question("q", [1, 3000, 4000], growth.MESSAGE, measure)
    samples, fault = growth.ask(Path(), question, Broker("x", ""), 2, 0.1)
    assert samples == {1: [{"cpu_us": 1.0}, {"cpu_us": 1.0}]}
    assert fault == "at 3,000: lost one"


def test_a_line_has_the_medians_and_how_much_they_grew() -> None:
    question = growth.Question("q", [1, 10], growth.MESSAGE, growth.idle)
    samples = {1: [{"cpu_us": 2.0}, {"cpu_us": 1.0}, {"cpu_us": 9.0}], 10: [{"cpu_us": 3.0}]}
    (line,) = growth.lines_of(question, "midge", samples)
    assert line.split() == ["midge", "CPU,", "µs/message", "2", "3", "1.50x"]


@pytest.mark.parametrize(
    ("descriptors", "sizes"), [(1_000_000, [10, 100, 20_000]), (1100, [10, 100, 1000]), (99, [])]
)
def test_sizes_keep_within_the_descriptors_of_a_process(descriptors: int, sizes: list[int]) -> None:
    assert growth.within([10, 100, 20_000], descriptors) == sizes


async def test_spread_messages_that_go_astray_are_caught(load: Path) -> None:
    async with FakeBroker() as broker:  # it forwards every message to every receiver
        with pytest.raises(WrongError, match="not subscribed to"):
            await run(load, broker, subscribers=3, topics=3, spread=1, batch=8)


async def test_an_idle_connection_that_gets_a_message_is_caught(load: Path) -> None:
    def session(port: int) -> None:
        with Generator(load, {"port": port, "idle": 2, "filters": 2}) as generator:
            generator.connect()
            generator.fill()
            generator.run(0.05)

    class Refusing(FakeBroker):
        pass

    import asyncio

    async with Refusing() as broker:
        with pytest.raises(WrongError, match="idle connection"):
            await asyncio.to_thread(session, broker.port)
