"""Who may, on a broker inside a program: a user's own Python decides, and nobody stalls it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import midge
from midge.auth import password_file
from midge.auth.base import SUBSCRIBE, Identity
from midge.auth.passwords import PBKDF2, PasswordHash, make_hash
from midge.config.settings import Settings
from midge.errors import ConfigError
from midge.mqtt import packets as p
from midge.mqtt.connection import CLIENT, Connection
from midge.mqtt.reasons import Reason


class Client:
    """A client in the loop of the test."""

    def __init__(self, version: int = 5) -> None:
        self.connection = Connection(CLIENT, version)
        self.events: list[p.Packet] = []

    async def come(
        self, broker: midge.Broker, client_id: str, name: str | None, password: bytes | None
    ) -> int:
        self.reader, self.writer = await asyncio.open_connection(broker.host, broker.port)
        self.send(p.Connect(client_id, self.connection.version, username=name, password=password))
        connack = await self.take()
        assert isinstance(connack, p.Connack)
        return connack.reason

    def send(self, packet: p.Packet) -> None:
        self.connection.send(packet, 0.0)
        self.writer.write(b"".join(self.connection.data_to_send()))

    async def take(self) -> p.Packet:
        while not self.events:
            data = await asyncio.wait_for(self.reader.read(65536), 20)
            assert data, "the broker has closed"
            self.events = list(self.connection.receive_data(data, 0.0))
        return self.events.pop(0)

    def close(self) -> None:
        self.writer.close()


def passwords(directory: Path, *names: str) -> str:
    file = directory / "passwords"
    text = (f"{name}:{make_hash(PBKDF2, name.encode(), b's' * 12, 20).encoded}\n" for name in names)
    file.write_text("".join(text))
    file.chmod(0o600)
    return str(file)


class Hours:
    """A user's own: asks something slow who comes, with await."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def authenticate(self, client: Identity, password: bytes | None) -> bool | None:
        if client.username != "guest":
            return None
        await self.open.wait()
        return password == b"please"


class OwnTopic:
    """A user's own: everybody has a topic."""

    def authorize(self, client: Identity, action: int, topic: str) -> bool:
        return action == SUBSCRIBE or topic == client.username


async def test_a_users_own_python_decides_beside_a_password_file(tmp_path: Path) -> None:
    hours = Hours()
    settings = Settings(password_file=passwords(tmp_path, "bob"))
    async with midge.Broker(
        port=0, settings=settings, authenticators=[hours], authorizers=[OwnTopic()]
    ) as broker:
        waiting = Client()
        arrival = asyncio.create_task(waiting.come(broker, "g", "guest", b"please"))
        bob, stranger = Client(), Client(4)
        assert await bob.come(broker, "b", "bob", b"bob") == 0  # while the guest waits
        assert await stranger.come(broker, "s", "stranger", b"x") == 5
        assert not arrival.done()
        hours.open.set()
        assert await arrival == 0
        bob.send(p.Subscribe(1, [p.SubscribeTo("#")]))
        assert isinstance(await bob.take(), p.Suback)
        waiting.send(p.Publish("guest", b"not for bob"))
        waiting.send(p.Publish("bob", b"not guest's to write", 1, packet_id=1))
        puback = await waiting.take()
        assert isinstance(puback, p.Puback)
        assert puback.reason == Reason.NOT_AUTHORIZED
        bob.send(p.Publish("bob", b"hello"))
        message = await bob.take()
        assert isinstance(message, p.Publish)
        assert message.payload == b"hello"
        for client in (bob, stranger, waiting):
            client.close()


async def test_a_storm_of_wrong_passwords_is_never_hashed_by_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    real = password_file.verify

    def verify(stored: PasswordHash, password: bytes) -> bool:
        threads.add(threading.get_ident())
        return real(stored, password)

    monkeypatch.setattr(password_file, "verify", verify)
    settings = Settings(password_file=passwords(tmp_path, "bob"))
    async with midge.Broker(port=0, settings=settings) as broker:
        bob = Client()
        assert await bob.come(broker, "b", "bob", b"bob") == 0
        bob.send(p.Subscribe(1, [p.SubscribeTo("t")]))
        await bob.take()
        guessers = [Client(4 if number % 2 else 5) for number in range(200)]
        names = ("bob", "nobody")
        storm = asyncio.gather(
            *(
                one.come(broker, f"g{number}", names[number % 2], b"wrong%d" % number)
                for number, one in enumerate(guessers)
            )
        )
        for number in range(100):
            bob.send(p.Publish("t", b"%d" % number))
            message = await bob.take()
            assert isinstance(message, p.Publish)
            assert message.payload == b"%d" % number
        assert set(await storm) == {5, int(Reason.NOT_AUTHORIZED)}
        assert threads
        assert threading.get_ident() not in threads
        for one in (bob, *guessers):
            one.close()


async def test_when_the_queue_is_full_clients_are_told_to_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(password_file, "verify", lambda stored, password: gate.wait(20))
    monkeypatch.setattr("midge.server.security.HASH_QUEUE_PER_ADDRESS_MAX", 3)
    settings = Settings(password_file=passwords(tmp_path, "bob"))
    async with midge.Broker(port=0, settings=settings) as broker:
        waiting = [Client() for _ in range(4)]  # one is hashed, three wait
        arrivals = []
        for number, client in enumerate(waiting):
            arrivals.append(
                asyncio.create_task(client.come(broker, f"w{number}", "bob", b"%d" % number))
            )
        assert broker._security is not None
        workers = broker._security.hashing
        while workers.waiting < 3:
            await asyncio.sleep(0.001)
        late = [Client(5), Client(4)]
        reasons = [await one.come(broker, "late", "bob", b"bob") for one in late]
        assert reasons == [Reason.SERVER_BUSY, 3]
        assert workers.refused == 2
        gate.set()
        assert await asyncio.gather(*arrivals) == [0] * 4
        for one in (*late, *waiting):
            one.close()


async def test_a_reload_shows_out_those_who_would_not_be_let_in_any_more(tmp_path: Path) -> None:
    settings = Settings(password_file=passwords(tmp_path, "bob", "eve"))
    async with midge.Broker(port=0, settings=settings) as broker:
        bob, eve = Client(), Client()
        assert await bob.come(broker, "b", "bob", b"bob") == 0
        assert await eve.come(broker, "e", "eve", b"eve") == 0
        passwords(tmp_path, "bob")
        assert broker._security is not None
        plan = broker._security._plan
        assert plan is not None
        broker._security.reload(plan.configuration)
        goodbye = await eve.take()
        assert isinstance(goodbye, p.Disconnect)
        assert goodbye.reason == Reason.ADMINISTRATIVE_ACTION
        bob.send(p.Pingreq())
        assert isinstance(await bob.take(), p.Pingresp)
        bob.close()
        eve.close()


async def test_a_file_that_cannot_be_used_is_an_error_on_entering(tmp_path: Path) -> None:
    broker = midge.Broker(port=0, settings=Settings(acl_file=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="Unable to open acl_file"):
        await broker.start()


async def test_a_broker_that_names_nobody_lets_everybody_in() -> None:
    async with midge.Broker(port=0) as broker:
        client = Client()
        assert await client.come(broker, "c", "any", b"name") == 0
        client.close()
    async with midge.Broker(port=0, settings=Settings(allow_anonymous=False)) as broker:
        client = Client()
        assert await client.come(broker, "c", None, None) == Reason.NOT_AUTHORIZED
        client.close()
