"""A peer on plain sockets that gets into the middle of a message and waits there to be killed.

Started with nothing but the standard library, to be there soon: ``victim.py PUSH tcp://...``.
"""

from __future__ import annotations

import socket
import sys
import time

MIB = 1 << 20
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def connected(endpoint: str) -> socket.socket:
    """A connection to an endpoint of tcp or ipc."""
    transport, _, rest = endpoint.partition("://")
    if transport == "tcp":
        host, _, port = rest.rpartition(":")
        return socket.create_connection((host, int(port)), timeout=20)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(20)
    made.connect("\0" + rest[1:] if rest.startswith("@") else rest)
    return made


def frame(flags: int, body: bytes) -> bytes:
    """A long frame."""
    return bytes([flags | 2]) + len(body).to_bytes(8, "big") + body


def read(peer: socket.socket, size: int) -> None:
    """Read so much and forget it."""
    while size:
        data = peer.recv(min(size, MIB))
        assert data, "the other end has closed"
        size -= len(data)


def main() -> None:
    role, endpoint = sys.argv[1:]
    peer = connected(endpoint)
    ready = b"\x05READY\x0bSocket-Type" + len(role).to_bytes(4, "big") + role.encode()
    peer.sendall(GREETING + frame(4, ready))
    read(peer, 64)
    if role == "PUSH":
        peer.sendall(frame(0, b"whole") + 4 * frame(1, bytes(MIB)))
        peer.sendall(frame(0, bytes(MIB))[: MIB // 2])
    else:
        read(peer, MIB // 2)
    print("in the middle", flush=True)
    time.sleep(60)


main()
