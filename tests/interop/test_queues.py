"""The stories of queues with other people's programs: a pipeline, a worker that is killed, a crash.

The broker is a process of its own; so is each worker that is killed. Workers write down what they
have done before they acknowledge it, a line for each message.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiomqtt
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from midge.mqtt import packets as p
from midge.mqtt.connection import CLIENT, Connection
from tests.process import BrokerProcess

#: A worker that takes from a queue, writes down what it has done, and acknowledges by hand; with
#: a hold it never gets to that. Where there is a next queue it passes the message on first.
WORKER = """
import sys
import paho.mqtt.client as mqtt

port, name, queue, following, hold = sys.argv[1:]
client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5, manual_ack=True
)

def connected(client, *_):
    client.subscribe("$queue/" + queue, 1)

def message(client, _, message):
    word = "again" if message.dup else "first"
    print(message.payload.decode(), word, flush=True)
    if hold == "hold":
        return
    if following:
        client.publish("$queue/" + following, message.payload + b"+", 1)
    client.ack(message.mid, message.qos)

client.on_connect = connected
client.on_message = message
client.reconnect_delay_set(1, 1)
client.connect("127.0.0.1", int(port), 60)
client.loop_forever(retry_first_connection=True)
"""


class WorkerProcess:
    """A worker in a process of its own, and what it has written down."""

    def __init__(
        self, directory: Path, port: int, name: str, queue: str, following: str = "", hold: str = ""
    ) -> None:
        self.path = directory / f"{name}.txt"
        with self.path.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER, str(port), name, queue, following, hold], stdout=out
            )

    def done(self) -> list[tuple[str, str]]:
        lines = self.path.read_text().splitlines(keepends=True)
        words = [line.split() for line in lines if line.endswith("\n")]
        return [(payload, mark) for payload, mark in words]

    def kill(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def hire(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    hired: list[WorkerProcess] = []

    def one(port: int, name: str, queue: str, **more: str) -> WorkerProcess:
        hired.append(WorkerProcess(tmp_path, port, name, queue, **more))
        return hired[-1]

    yield one
    for worker in hired:
        worker.kill()


def until(reached: Callable[[], bool], what: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


class Producer:
    """Publishes numbered messages; paho keeps what is not acknowledged and sends it again."""

    def __init__(self, port: int) -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "producer", clean_session=False)
        self.client.reconnect_delay_set(1, 1)
        self.acknowledged = 0
        self.changed = threading.Lock()
        self.client.on_publish = self.published
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def published(self, *_: object) -> None:
        with self.changed:
            self.acknowledged += 1

    def publish(self, topic: str, payloads: list[str]) -> None:
        for payload in payloads:
            self.client.publish(topic, payload, 1)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


def test_a_pipeline_of_two_steps_does_each_message_once(
    broker: BrokerProcess, hire: Callable[..., WorkerProcess]
) -> None:
    steps = [hire(broker.port, f"step{i}", "raw", following="cooked") for i in range(2)]
    workers = [hire(broker.port, f"worker{i}", "cooked") for i in range(3)]
    producer = Producer(broker.port)
    producer.publish("$queue/raw", numbers(0, 300))
    until(lambda: sum(len(one.done()) for one in workers) >= 300)
    producer.close()
    assert sorted(int(p) for one in steps for p, _ in one.done()) == list(range(300))
    done = [line for one in workers for line in one.done()]
    assert sorted(int(payload.rstrip("+")) for payload, _ in done) == list(range(300))
    assert {mark for _, mark in done} == {"first"}


def test_what_a_killed_worker_had_is_done_by_others_and_marked(
    broker: BrokerProcess, hire: Callable[..., WorkerProcess]
) -> None:
    victim = hire(broker.port, "victim", "risky", hold="hold")
    producer = Producer(broker.port)
    producer.publish("$queue/risky", numbers(0, 10))
    until(lambda: len(victim.done()) >= 1)
    held = {payload for payload, _ in victim.done()}
    victim.kill()
    other = hire(broker.port, "other", "risky")
    until(lambda: len(other.done()) >= 10)
    producer.close()
    marks = dict(other.done())
    assert sorted(marks, key=int) == numbers(0, 10)
    assert all(marks[payload] == "again" for payload in held)


def test_a_crash_of_the_broker_costs_no_message_and_hides_no_repetition(
    tmp_path: Path, hire: Callable[..., WorkerProcess]
) -> None:
    where = tmp_path / "broker"
    where.mkdir()
    with BrokerProcess(where, f"persistence true\npersistence_location {where}\n") as broker:
        workers = [hire(broker.port, f"durable{i}", "durable") for i in range(3)]
        producer = Producer(broker.port)
        producer.publish("$queue/durable", numbers(0, 600))
        until(lambda: sum(len(one.done()) for one in workers) >= 100)
        broker.stop(signal.SIGKILL)
        broker.start()
        producer.publish("$queue/durable", numbers(600, 700))
        until(lambda: producer.acknowledged >= 700)
        wanted = set(numbers(0, 700))
        until(lambda: {p for one in workers for p, _ in one.done()} >= wanted)
        producer.close()
        for worker in workers:
            worker.kill()


@pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="no mosquitto clients here")
def test_mosquittos_clients_share_a_queue(broker: BrokerProcess, tmp_path: Path) -> None:
    place = ["-p", str(broker.port), "-t", "$queue/shop", "-q", "1"]
    papers = [tmp_path / f"sub{i}.txt" for i in range(2)]
    workers = []
    for paper in papers:
        with paper.open("wb") as out:
            workers.append(subprocess.Popen(["mosquitto_sub", *place], stdout=out))
    try:
        lines = "".join(f"{number}\n" for number in range(40))
        publish = ["mosquitto_pub", *place, "-l"]
        subprocess.run(publish, input=lines, text=True, check=True, timeout=20)
        until(lambda: sum(len(paper.read_text().splitlines()) for paper in papers) >= 40)
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait(10)
    found = [line for paper in papers for line in paper.read_text().splitlines()]
    assert sorted(found, key=int) == numbers(0, 40)


class BareWorkers:
    """Many workers on bare sockets in one process; every tenth leaves with what it was given."""

    def __init__(self, port: int, wanted: int) -> None:
        self.port = port
        self.wanted = wanted
        self.subscribed = 0
        self.everybody = asyncio.Event()
        self.finished = asyncio.Event()
        self.given: set[bytes] = set()
        self.done: list[bytes] = []
        self.unmarked: list[bytes] = []

    async def work(self, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await self.talk(number, reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def talk(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        connection = Connection(CLIENT, 5)
        connection.send(p.Connect(f"thousand{number}", 5, True, 0), 0.0)
        connection.send(p.Subscribe(1, [p.SubscribeTo("$queue/thousand", 1)]), 0.0)
        writer.writelines(connection.data_to_send())
        leaves = number % 10 == 0
        while not self.finished.is_set() and (data := await reader.read(65536)):
            for packet in connection.receive_data(data, 0.0):
                if isinstance(packet, p.Suback):
                    self.subscribed += 1
                    if self.subscribed == 1000:
                        self.everybody.set()
                elif isinstance(packet, p.Publish):
                    self.take(packet)
                    if leaves:
                        return
                    self.done.append(packet.payload)
                    connection.send(p.Puback(packet.packet_id), 0.0)
            writer.writelines(connection.data_to_send())
            if len(set(self.done)) == self.wanted:
                self.finished.set()

    def take(self, message: p.Publish) -> None:
        if message.payload in self.given and not message.dup:
            self.unmarked.append(message.payload)
        self.given.add(message.payload)


async def test_a_thousand_workers_do_each_message_once(broker: BrokerProcess) -> None:
    workers = BareWorkers(broker.port, 3000)
    tasks = [asyncio.create_task(workers.work(number)) for number in range(1000)]
    producer = Producer(broker.port)
    try:
        await asyncio.wait_for(workers.everybody.wait(), 30)
        producer.publish("$queue/thousand", numbers(0, 3000))
        await asyncio.wait_for(workers.finished.wait(), 30)
    finally:
        producer.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(map(int, workers.done)) == list(range(3000))
    assert workers.unmarked == []


async def test_workers_of_aiomqtt_do_what_another_left_and_see_that_it_comes_again(
    broker: BrokerProcess,
) -> None:
    seen: dict[str, list[tuple[bytes, list[tuple[str, str]]]]] = {"one": [], "two": []}

    async def work(name: str) -> None:
        async with aiomqtt.Client(
            "127.0.0.1", broker.port, identifier=name, protocol=aiomqtt.ProtocolVersion.V5
        ) as client:
            await client.subscribe("$queue/async", qos=1)
            async for message in client.messages:
                pairs = getattr(message.properties, "UserProperty", [])
                seen[name].append((bytes(message.payload), pairs))

    def count() -> int:
        return sum(map(len, seen.values()))

    async with aiomqtt.Client("127.0.0.1", broker.port, identifier="shop") as shop:
        reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
        leaver = Connection(CLIENT, 5)
        leaver.send(p.Connect("leaver", 5, True, 0), 0.0)
        leaver.send(p.Subscribe(1, [p.SubscribeTo("$queue/async", 1)]), 0.0)
        writer.writelines(leaver.data_to_send())
        for number in range(10):
            await shop.publish("$queue/async", str(number), qos=1)
        held: list[p.Packet] = []
        while sum(isinstance(packet, p.Publish) for packet in held) < 10:
            held += leaver.receive_data(await asyncio.wait_for(reader.read(65536), 10), 0.0)
        tasks = [asyncio.create_task(work(name)) for name in seen]
        writer.close()
        await asyncio.to_thread(until, lambda: count() >= 10)
        for number in range(10, 40):
            await shop.publish("$queue/async", str(number), qos=1)
        await asyncio.to_thread(until, lambda: count() >= 40)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    everything = dict(seen["one"] + seen["two"])
    assert sorted(map(int, everything)) == list(range(40))
    assert count() == 40
    assert all(seen.values())
    again = {number for number, pairs in everything.items() if ("deliveries", "2") in pairs}
    assert again == {str(number).encode() for number in range(10)}
