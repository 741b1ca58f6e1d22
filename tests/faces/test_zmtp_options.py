"""Options of a listener for ZeroMQ that need a real peer to be seen."""

from __future__ import annotations

from pathlib import Path

import zmq

from midge.auth.passwords import SHA512, make_hash
from midge.client import sync
from tests.process import BrokerProcess, free_port


def test_zmtp_user_queue_is_where_the_messages_of_a_user_go(tmp_path: Path) -> None:
    port = free_port()
    users = tmp_path / "users"
    hashed = make_hash(SHA512, b"secret", b"s" * 12).encoded
    users.write_text("".join(f"{name}:{hashed}\n" for name in ("ann", "bob", "eve")))
    users.chmod(0o600)
    extra = (
        f"password_file {users}\nlistener {port} 127.0.0.1\nprotocol zmtp\nzmtp_mechanism plain\n"
        "zmtp_queue others\nzmtp_user_queue ann first\nzmtp_user_queue bob second\n"
    )
    context = zmq.Context()
    with BrokerProcess(tmp_path, extra) as broker:
        try:
            for user in ("ann", "bob", "eve"):
                made = context.socket(zmq.PUSH)
                made.linger = 10_000
                made.plain_username, made.plain_password = user.encode(), b"secret"
                made.connect(f"tcp://127.0.0.1:{port}")
                made.send(user.encode())
                made.close()
            with sync.connect(f"mqtt://127.0.0.1:{broker.port}") as client:
                for queue, user in (("first", b"ann"), ("second", b"bob"), ("others", b"eve")):
                    client.subscribe(f"$queue/{queue}", qos=1)
                    assert client.receive(10).payload == user
        finally:
            context.term()
