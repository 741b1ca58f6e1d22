"""``midge queue`` against a broker in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from midge.client import sync
from midge.errors import ConnectionLost
from tests.process import BrokerProcess, free_port


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("queues")) as running:
        yield running


def queue(broker: BrokerProcess, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "midge", "queue", *words, "-p", str(broker.port)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def done(broker: BrokerProcess, *words: str) -> str:
    """What it prints, when all is well."""
    result = queue(broker, *words)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def put(broker: BrokerProcess, name: str, *payloads: bytes) -> None:
    with sync.connect(f"mqtt://127.0.0.1:{broker.port}") as client:
        for payload in payloads:
            client.publish(f"$queue/{name}", payload, qos=1)


def test_a_queue_is_made_filled_looked_into_moved_emptied_and_removed(
    broker: BrokerProcess,
) -> None:
    assert done(broker, "create", "jobs", "from", "work/#", "prefetch=1") == (
        "jobs: from work/# prefetch=1\n"
    )
    put(broker, "jobs", b"one", b"two", b"\xff")
    assert done(broker, "list").splitlines() == [
        "queue  waiting  in flight  consumers",
        "jobs         3          0          0",
    ]
    shown = done(broker, "inspect", "jobs", "-n", "2")
    assert "queue      jobs from work/# prefetch=1" in shown
    assert 'message    $queue/jobs "one" (3 bytes)' in shown
    assert '"two"' in shown
    assert "/w==" not in shown  # the third
    assert done(broker, "move", "jobs", "later", "-n", "2") == (
        "2 messages moved from jobs to later\n"
    )
    assert done(broker, "purge", "jobs") == "1 message taken out of jobs\n"
    assert done(broker, "peek", "jobs") == ""
    assert done(broker, "peek", "later", "-n", "1").splitlines() == [
        '$queue/jobs "one" (3 bytes)',
        "... 2 in all",
    ]
    assert done(broker, "delete", "jobs") == "jobs is removed\n"
    assert done(broker, "delete", "later") == "later is removed with 2 messages\n"
    assert done(broker, "list").splitlines() == ["queue  waiting  in flight  consumers"]


def test_a_queue_with_consumers_is_removed_only_by_force(broker: BrokerProcess) -> None:
    with sync.connect(f"mqtt://127.0.0.1:{broker.port}", client_id="worker") as client:
        client.subscribe("$queue/used", qos=1)
        result = queue(broker, "delete", "used")
        assert result.returncode == 1
        assert "used has consumers: client worker; with force" in result.stderr
        assert done(broker, "delete", "used", "--force") == "used is removed\n"
        with pytest.raises(ConnectionLost):
            client.receive(10)


def test_the_answers_can_be_read_by_programs(broker: BrokerProcess) -> None:
    done(broker, "create", "a")
    put(broker, "a", b"x")
    found = json.loads(done(broker, "inspect", "a", "--json"))
    assert (found["queue"], found["waiting"]) == ("a", 1)
    assert found["messages"][0]["payload"] == "x"
    assert json.loads(done(broker, "list", "--json"))["totalCount"] == 1
    assert json.loads(done(broker, "purge", "a", "--json")) == {"removed": 1}
    done(broker, "delete", "a")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "A command must be given."),
        (("fly",), 2, "Unknown command 'fly'."),
        (("purge",), 2, "'purge' needs the name of a queue."),
        (("move", "a"), 2, "'move' needs the names of two queues."),
        (("list", "a"), 2, "'list' takes nothing more."),
        (("peek", "nobody"), 1, "Error: there is no queue 'nobody'."),
        (("list", "-n", "x"), 2, "Invalid count given: x"),
        (("purge", "nobody"), 1, "Error: there is no queue 'nobody'."),
        (("create", "a/b"), 1, "is no name of a queue"),
        (("create", "a", "wings=2"), 1, "'wings=2' is no setting of a queue"),
    ],
)
def test_what_cannot_be_done_is_told(
    broker: BrokerProcess, words: tuple[str, ...], status: int, said: str
) -> None:
    result = queue(broker, *words)
    assert result.returncode == status
    assert said in result.stderr
    assert result.stdout == ""


def test_who_finds_no_broker_is_told_where_none_was() -> None:
    port = str(free_port())
    done = subprocess.run(
        [sys.executable, "-m", "midge", "queue", "list", "-h", "127.0.0.1", "-p", port],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    said = f"Error: no connection to 127.0.0.1, port {port}: Connection refused.\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_who_may_not_is_told(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite #\n")  # which has no topic that begins with $
    with BrokerProcess(tmp_path, f"acl_file {rules}\n") as broker:
        result = queue(broker, "list", "-W", "2")
        assert result.returncode == 1
        assert "Error: " in result.stderr
        rules_text = "topic write $CONTROL/queue/v1\ntopic read $CONTROL/queue/v1/response\n"
        rules.write_text(rules_text)
        broker.stop()
        broker.start()
        assert done(broker, "list").startswith("queue")
