"""A reload of the file with the keys of ZeroMQ's users, under their connections."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
import zmq.auth

from midge.client import sync
from tests.process import BrokerProcess, free_port


class Site:
    """A listener for CURVE, and sockets of libzmq that subscribe there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.context = zmq.Context()
        self.sockets: list[zmq.Socket[bytes]] = []
        self.keys = {}
        for name in ("server", "ann", "bob"):
            zmq.auth.create_certificates(directory, name)
            self.keys[name] = zmq.auth.load_certificate(directory / f"{name}.key_secret")
        self.file = directory / "keys"

    def write(self, **users: str) -> None:
        """Let users have the keys of these certificates."""
        lines = [f"{user} {self.keys[name][0].decode()}\n" for user, name in users.items()]
        self.file.write_text("".join(lines))

    def configuration(self, mechanism: str = "curve") -> str:
        keys = (
            f"zmtp_curve_secret {self.directory / 'server.key_secret'}\n"
            f"zmtp_curve_keys {self.file}\n"
        )
        return (
            f"listener {self.port} 127.0.0.1\nlistener_allow_anonymous true\nprotocol zmtp\n"
            f"zmtp_mechanism {mechanism}\n{keys if mechanism == 'curve' else ''}"
        )

    def subscriber(self, name: str | None) -> zmq.Socket[bytes]:
        made = self.context.socket(zmq.SUB)
        self.sockets.append(made)
        made.linger = 0
        if name is not None:
            made.curve_serverkey = self.keys["server"][0]
            made.curve_publickey, made.curve_secretkey = self.keys[name]
        made.subscribe(b"")
        made.connect(f"tcp://127.0.0.1:{self.port}")
        return made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for one in made.sockets:
        one.close()
    made.context.term()


def hear(client: sync.Client, *subscribers: zmq.Socket[bytes]) -> None:
    """Publish until each of them has heard something."""
    deadline = time.monotonic() + 15
    left = list(subscribers)
    while left:
        assert time.monotonic() < deadline, "nothing was heard"
        client.publish("t", b"x")
        left = [one for one in left if not one.poll(20)]


def drain(subscriber: zmq.Socket[bytes]) -> None:
    while subscriber.poll(50):
        subscriber.recv_multipart()


def reload(broker: BrokerProcess) -> None:
    before = broker.log().count("Config reloaded.")
    os.kill(broker.pid, signal.SIGHUP)
    deadline = time.monotonic() + 15
    while broker.log().count("Config reloaded.") == before:
        assert time.monotonic() < deadline, broker.log()
        time.sleep(0.02)


def test_a_user_whose_key_was_removed_is_shown_out_and_the_others_stay(
    tmp_path: Path, site: Site
) -> None:
    site.write(ann="ann", bob="bob")
    with (
        BrokerProcess(tmp_path, site.configuration()) as broker,
        sync.connect(f"mqtt://127.0.0.1:{broker.port}") as client,
    ):
        ann, bob = site.subscriber("ann"), site.subscriber("bob")
        hear(client, ann, bob)
        site.write(bob="bob")
        reload(broker)
        drain(ann)
        drain(bob)
        hear(client, bob)
        assert not ann.poll(100)
        assert broker.log().count("is shown out: ") == 1
        why = "its CURVE key is not in zmtp_curve_keys any more"
        assert f"Client ann is shown out: {why}." in broker.log()
        site.write(bob="bob", ann="ann")
        reload(broker)
        # libzmq does not try again after a refusal; a new socket of ann's is let in.
        hear(client, site.subscriber("ann"), bob)
        assert broker.log().count("is shown out: ") == 1


def test_a_key_that_became_another_users_is_that_ones_from_then_on(
    tmp_path: Path, site: Site
) -> None:
    site.write(ann="ann")
    with (
        BrokerProcess(tmp_path, site.configuration()) as broker,
        sync.connect(f"mqtt://127.0.0.1:{broker.port}") as client,
    ):
        ann = site.subscriber("ann")
        hear(client, ann)
        site.write(carol="ann")
        reload(broker)
        assert "Client ann is shown out: its CURVE key is carol's now" in broker.log()
        drain(ann)
        hear(client, ann)


def test_peers_without_a_key_are_shown_out_when_keys_are_asked_for(
    tmp_path: Path, site: Site
) -> None:
    site.write(bob="bob")
    with BrokerProcess(tmp_path, site.configuration("null")) as broker:
        file = tmp_path / "broker.conf"
        with sync.connect(f"mqtt://127.0.0.1:{broker.port}") as client:
            anybody = site.subscriber(None)
            hear(client, anybody)
            text = file.read_text()
            file.write_text(text.replace(site.configuration("null"), site.configuration()))
            reload(broker)
            drain(anybody)
            hear(client, site.subscriber("bob"))
            assert not anybody.poll(100)
            assert "is shown out: its listener asks for a CURVE key now" in broker.log()
