"""``enable_control_api``: what is told at ``$CONTROL/broker/v1``, and to whom."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from midge import __version__
from tests.process import BrokerProcess, free_port

TOPIC = "$CONTROL/broker/v1"


class Asker:
    """A client that asks, and collects what it hears."""

    def __init__(self, port: int, name: str = "asker") -> None:
        self.heard: list[object] = []
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, name)
        subscribed: list[object] = []
        self.client.on_connect = lambda *_: self.client.subscribe(f"{TOPIC}/response", 1)
        self.client.on_subscribe = lambda *_: subscribed.append(1)
        self.client.on_message = lambda _c, _d, message: self.heard.append(
            json.loads(message.payload)
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        until(lambda: bool(subscribed))

    def ask(self, payload: str) -> object:
        before = len(self.heard)
        self.client.publish(TOPIC, payload, 1)
        until(lambda: len(self.heard) > before)
        return self.heard[-1]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_listeners_and_plugins_are_told(tmp_path: Path) -> None:
    port = free_port()
    extra = (
        f"enable_control_api true\nlistener {port} 127.0.0.1\nprotocol websockets\n"
        f"listener 0 {tmp_path}/socket\nlistener_allow_anonymous true\n"
    )
    with BrokerProcess(tmp_path, extra) as broker:
        asker = Asker(broker.port)
        answer = asker.ask(
            '{"commands": [{"command": "listListeners", "correlationData": "x"},'
            ' {"command": "listplugins"}]}'
        )
        here = {"bind-address": "127.0.0.1", "tls": False}
        assert answer == {
            "responses": [
                {
                    "command": "listListeners",
                    "correlationData": "x",
                    "data": {
                        "listeners": [
                            {"port": broker.port, "protocol": "mqtt", **here},
                            {"port": port, "protocol": "mqtt+websockets", **here},
                            {
                                "port": 0,
                                "protocol": "mqtt",
                                "socket-path": f"{tmp_path}/socket",
                                "tls": False,
                            },
                        ]
                    },
                },
                {
                    "command": "listPlugins",
                    "data": {
                        "plugins": [
                            {
                                "name": "queues",
                                "version": __version__,
                                "control-endpoints": ["$CONTROL/queue/v1"],
                            }
                        ]
                    },
                },
            ]
        }
        assert "Broker: asker/ | listListeners" in broker.log()
        asker.close()


@pytest.mark.parametrize(
    ("payload", "command", "error"),
    [
        ("nonsense", "Unknown command", "Payload not valid JSON"),
        ("[" * 10_000, "Unknown command", "Payload not valid JSON"),
        ("[]", "Unknown command", "Invalid/missing commands"),
        ('{"commands": 1}', "Unknown command", "Invalid/missing commands"),
        ('{"commands": [1]}', "Unknown command", "Command not an object"),
        ('{"commands": [{}]}', "Unknown command", "Missing command"),
        ('{"commands": [{"command": "x"}]}', "x", "Unknown command"),
        (
            '{"commands": [{"command": "listPlugins", "correlationData": 1}]}',
            "listPlugins",
            "Invalid correlationData data type.",
        ),
    ],
)
def test_nonsense_is_told_in_mosquittos_words(
    asker: Asker, payload: str, command: str, error: str
) -> None:
    assert asker.ask(payload) == {"responses": [{"command": command, "error": error}]}


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> object:
    with BrokerProcess(tmp_path_factory.mktemp("control"), "enable_control_api true\n") as broker:
        made = Asker(broker.port)
        yield made
        made.close()


def test_nobody_is_answered_until_a_reload_turns_it_on(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "enable_control_api false\n") as broker:
        asker = Asker(broker.port)
        asker.client.publish(TOPIC, "nonsense", 1).wait_for_publish(10)
        file = tmp_path / "broker.conf"
        file.write_text(file.read_text().replace("api false", "api true"))
        os.kill(broker.pid, signal.SIGHUP)
        until(lambda: "Config reloaded." in broker.log())
        asker.ask('{"commands": []}')
        assert asker.heard == [{"responses": []}]
        asker.close()


def test_rules_say_who_may_ask_and_who_may_hear(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text(f"pattern read {TOPIC}/%c\npattern write {TOPIC}\n")
    rules.chmod(0o600)
    with BrokerProcess(tmp_path, f"enable_control_api true\nacl_file {rules}\n") as broker:
        allowed, other = Asker(broker.port, "response"), Asker(broker.port, "other")
        other.client.publish(TOPIC, '{"commands": []}', 1).wait_for_publish(10)
        until(lambda: bool(allowed.heard))
        assert not other.heard
        rules.write_text(f"pattern read {TOPIC}/%c\n")
        os.kill(broker.pid, signal.SIGHUP)
        until(lambda: "Config reloaded." in broker.log())
        allowed.client.publish(TOPIC, '{"commands": []}', 1).wait_for_publish(10)
        allowed.client.publish(TOPIC, '{"commands": []}', 1).wait_for_publish(10)
        assert len(allowed.heard) == 1
        allowed.close()
        other.close()
