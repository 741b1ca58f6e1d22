"""Queues that a configuration names: there from the start, kept, changed by SIGHUP."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from midge.client import sync
from tests.faces.test_operations import logged
from tests.process import BrokerProcess


def client(broker: BrokerProcess) -> sync.Client:
    return sync.connect(f"mqtt://127.0.0.1:{broker.port}")


def work(broker: BrokerProcess, queue: str, count: int) -> list[bytes]:
    """What a worker is given."""
    with client(broker) as worker:
        worker.subscribe(f"$queue/{queue}", qos=1)
        return [worker.receive(10).payload for _ in range(count)]


def test_a_durable_queue_keeps_its_messages_over_a_kill(tmp_path: Path) -> None:
    lines = f"persistence true\npersistence_location {tmp_path}/\nqueue orders from shop/+/orders\n"
    with BrokerProcess(tmp_path, lines) as broker:
        with client(broker) as publisher:
            for number in range(50):
                publisher.publish("shop/1/orders", b"%d" % number, qos=1)
        broker.stop(signal.SIGKILL)
        broker.start()
        assert [int(one) for one in work(broker, "orders", 50)] == list(range(50))


def test_a_reload_makes_and_changes_queues_and_ends_none(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "queue old from a/#\nqueue orders from shop/#\n") as broker:
        file = tmp_path / "broker.conf"
        with client(broker) as publisher:
            publisher.publish("a/1", b"kept", qos=1)
            text = file.read_text().replace("queue old from a/#\n", "")
            file.write_text(text.replace("from shop/#", "from store/#") + "queue new from b/#\n")
            os.kill(broker.pid, signal.SIGHUP)
            logged(broker, "Config reloaded.")
            logged(broker, "The queue old is no longer in the configuration")
            publisher.publish("b/1", b"new", qos=1)
            publisher.publish("shop/1", b"nobody's", qos=1)
            publisher.publish("store/1", b"changed", qos=1)
        assert work(broker, "new", 1) == [b"new"]
        assert work(broker, "orders", 1) == [b"changed"]
        assert work(broker, "old", 1) == [b"kept"]
