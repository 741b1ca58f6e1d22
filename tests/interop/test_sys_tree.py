"""$SYS beside a real Mosquitto: where both have a topic, both write it alike."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import program
from tests.process import BrokerProcess, free_port
from tests.raw import Raw

pytestmark = pytest.mark.peer("mosquitto", "mosquitto_sub")


def tree_of(port: int) -> dict[str, str]:
    """All of $SYS at a broker, while two clients come and one goes."""
    client = Raw(port, "watched", version=4)
    client.subscribe("a/b")
    Raw(port, "gone", version=4).close()
    command = [program("mosquitto_sub") or "", "-p", str(port), "-t", "$SYS/#", "-v", "-W", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    client.close()
    # The topic may have a blank in it, the value as well: a line is split where the known one is.
    known = re.compile(r"(\$SYS/broker/(?:retained messages/count|\S+)) (.*)")
    found = {}
    for line in done.stdout.splitlines():
        match = known.fullmatch(line)
        assert match is not None, line
        found[match[1]] = match[2]
    return found


def shape(value: str) -> str:
    """How a value looks, without what it is."""
    value = re.sub(r"^\w+ version \S+$", "NAME version VERSION", value)
    return re.sub(r"\d+", "9", value)


@pytest.fixture
def mosquitto_port(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    file = tmp_path / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n")
    process = subprocess.Popen(
        [program("mosquitto") or "", "-c", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield port
    os.kill(process.pid, signal.SIGTERM)
    process.wait(10)


def test_where_both_have_a_topic_its_value_has_the_same_form(
    tmp_path: Path, mosquitto_port: int
) -> None:
    with BrokerProcess(tmp_path, "sys_interval 1\n") as broker:
        ours = tree_of(broker.port)
    theirs = tree_of(mosquitto_port)
    both = ours.keys() & theirs.keys()
    assert theirs.keys() == both  # there is none that we do not have; 2.0 lacks a few of 2.1
    assert len(both) >= 50
    assert {topic: shape(ours[topic]) for topic in both} == {
        topic: shape(theirs[topic]) for topic in both
    }
    for topic in ("clients/connected", "clients/total", "clients/disconnected"):
        assert ours[f"$SYS/broker/{topic}"] == theirs[f"$SYS/broker/{topic}"]
