"""The programs of docs/migrate-queues.md, before and after, do what is said of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from midge.client import sync
from tests.packaging.programs import Place, programs, until

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "migrate-queues.md"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, PAGE)
    yield made
    made.close()


def test_all_programs_of_the_page_are_known_here() -> None:
    names = re.findall(r"^    # (\w+\.\w+)$", PAGE.read_text(), re.MULTILINE)
    ports = {"5555": 1, "5556": 2, "1883": 3}
    assert list(programs(PAGE, ports)) == names
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
