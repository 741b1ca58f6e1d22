"""The programs of docs/migrate-queues.md, before and after, do what is said of them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from midge.client import sync
from tests.process import free_port

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "migrate-queues.md"
NAME = re.compile(r"    # (\w+\.\w+)")


def programs(ports: dict[str, int]) -> dict[str, str]:
    """The indented blocks by the names in their first lines, with free ports for those written."""
    found: dict[str, str] = {}
    name = ""
    for line in PAGE.read_text().splitlines():
        begins = NAME.fullmatch(line)
        if begins:
            name = begins[1]
            found[name] = ""
        elif line and not line.startswith("    "):
            name = ""
        elif name:
            port = re.compile(r"\b(5555|5556|1883)\b")
            found[name] += port.sub(lambda found: str(ports[found[1]]), line[4:]) + "\n"
    return found


class Place:
    """A directory with the programs in it, and those of them that run.

    Attributes:
        ports: the ones that are used, by the one that is written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = {port: free_port() for port in ("5555", "5556", "1883")}
        self.programs = programs(self.ports)
        self.running: list[subprocess.Popen[bytes]] = []
        for name, text in self.programs.items():
            (directory / name).write_text(text)

    def start(self, name: str, *words: str) -> Path:
        """Run one of them in the background; returns where it prints to."""
        paper = self.directory / f"{name}{len(self.running)}.out"
        with paper.open("wb") as out:
            command = [sys.executable, str(self.directory / name), *words]
            self.running.append(subprocess.Popen(command, stdout=out))
        return paper

    def run(self, name: str) -> str:
        """Run one to its end; returns what it has printed."""
        command = [sys.executable, str(self.directory / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def broker(self, name: str) -> subprocess.Popen[bytes]:
        """midge with one of the configurations, once it serves."""
        command = [sys.executable, "-m", "midge", "broker", "-c", str(self.directory / name)]
        with (self.directory / "broker.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.running.append(process)
        until(lambda: "running" in (self.directory / "broker.log").read_text())
        return process


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for process in made.running:
        process.kill()
        process.wait(10)


def test_all_programs_of_the_page_are_known_here() -> None:
    names = re.findall(r"^    # (\w+\.\w+)$", PAGE.read_text(), re.MULTILINE)
    ports = {"5555": 1, "5556": 2, "1883": 3}
    assert list(programs(ports)) == names
    assert names == [
        *("broker.py", "worker.py", "client.py", "midge.conf", "worker_of_midge.py"),
        *("glue.py", "glued_worker.py", "queue.conf", "queue_worker.py"),
    ]


def test_the_hand_written_broker_serves_its_clients(place: Place) -> None:
    place.start("broker.py")
    for _ in range(2):
        place.start("worker.py")
    assert place.run("client.py") == "ONE\nTWO\nTHREE\n"


def test_midge_serves_the_same_clients_and_outlives_its_workers(place: Place) -> None:
    place.broker("midge.conf")
    place.start("worker_of_midge.py")
    assert place.run("client.py") == "ONE\nTWO\nTHREE\n"
    worker = place.running[-1]
    worker.kill()
    worker.wait(10)
    place.start("worker_of_midge.py")
    assert place.run("client.py") == "ONE\nTWO\nTHREE\n"


def order(port: int, count: int) -> list[str]:
    """Publish orders as the shops do."""
    numbers = [str(number) for number in range(count)]
    with sync.connect(f"mqtt://127.0.0.1:{port}") as shop:
        for number in numbers:
            shop.publish(f"shop/{int(number) % 3}/orders", number, qos=1)
    return numbers


def lines(*papers: Path) -> list[str]:
    return sorted((line for one in papers for line in one.read_text().split()), key=int)


def test_the_script_hands_out_orders_by_turns(place: Place) -> None:
    port = place.ports["1883"]
    plain = f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type all\n"
    (place.directory / "plain.conf").write_text(plain)
    place.broker("plain.conf")
    papers = [place.start("glued_worker.py", number) for number in ("1", "2")]
    place.start("glue.py")
    log = place.directory / "broker.log"
    until(lambda: log.read_text().count("Received SUBSCRIBE") >= 3)
    wanted = order(port, 6)
    until(lambda: lines(*papers) == wanted)
    assert [len(paper.read_text().split()) for paper in papers] == [3, 3]


def test_the_queue_hands_out_orders_to_any_number_of_workers(place: Place) -> None:
    place.broker("queue.conf")
    port = place.ports["1883"]
    with sync.connect(f"mqtt://127.0.0.1:{port}") as watcher:
        watcher.subscribe("shop/+/orders", qos=1)
        wanted = order(port, 30)
        papers = [place.start("queue_worker.py") for _ in range(3)]
        until(lambda: lines(*papers) == wanted)
        assert [watcher.receive(10).payload.decode() for _ in wanted] == wanted
