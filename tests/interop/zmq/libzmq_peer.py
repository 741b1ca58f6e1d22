"""A process with one pyzmq socket, which does what it is told on its standard input.

Each line in is a JSON list: a verb and its arguments; each line out the answer. Bytes travel as
Latin-1 text. It knows nothing of midge, so that what it sees is what libzmq sees.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import zmq
import zmq.auth.thread


def _text(parts: list[bytes]) -> list[str]:
    return [part.decode("latin-1") for part in parts]


class Peer:
    def __init__(self) -> None:
        self.context = zmq.Context()
        self.socket: zmq.Socket[bytes] = None  # type: ignore[assignment]
        self.authenticator: Any = None

    def socket_of(self, type_name: str) -> None:
        self.socket = self.context.socket(getattr(zmq, type_name))
        self.socket.rcvtimeo = 10_000
        self.socket.sndtimeo = 10_000

    def set(self, name: str, value: Any) -> None:
        option = getattr(zmq, name)
        self.socket.setsockopt(option, value.encode("latin-1") if type(value) is str else value)

    def bind(self, endpoint: str) -> str:
        self.socket.bind(endpoint)
        return self.socket.last_endpoint.decode()

    def connect(self, endpoint: str) -> None:
        self.socket.connect(endpoint)

    def send(self, parts: list[str]) -> None:
        self.socket.send_multipart([part.encode("latin-1") for part in parts])

    def send_run(self, count: int, size: int) -> None:
        """``count`` messages that begin with their number."""
        for number in range(count):
            self.socket.send(b"%d" % number + b"." * size)

    def receive(self) -> list[str]:
        return _text(self.socket.recv_multipart())

    def receive_run(self, count: int) -> list[Any]:
        """The numbers of ``count`` messages, and their bytes in all."""
        numbers = []
        total = 0
        for _ in range(count):
            message = self.socket.recv()
            numbers.append(int(message.split(b".", 1)[0]))
            total += len(message)
        return [numbers, total]

    def receive_until_quiet(self, milliseconds: int) -> list[list[str]]:
        found = []
        while self.socket.poll(milliseconds):
            found.append(_text(self.socket.recv_multipart()))
        return found

    def metadata(self, name: str) -> str:
        frame: Any = self.socket.recv(copy=False)
        return str(frame.get(name))

    def authenticate(self, domain: str, users: dict[str, str] | None) -> None:
        self.authenticator = zmq.auth.thread.ThreadAuthenticator(self.context)
        self.authenticator.start()
        if users is not None:
            self.authenticator.configure_plain(domain=domain, passwords=users)
        else:
            self.authenticator.configure_curve(domain=domain, location=zmq.auth.CURVE_ALLOW_ANY)

    def close(self, linger: int) -> None:
        self.socket.close(linger)
        if self.authenticator is not None:
            self.authenticator.stop()
        self.context.term()


def main() -> None:
    peer = Peer()
    for line in sys.stdin:
        verb, *arguments = json.loads(line)
        try:
            answer = {"ok": getattr(peer, verb)(*arguments)}
        except zmq.ZMQError as error:
            answer = {"errno": error.errno}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
