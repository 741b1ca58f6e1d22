"""Peers on plain sockets that say whatever a test has them say, in the framing of a transport."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from midge.zmtp.frames import encode_frame
from midge.zmtp.greeting import OPENING, rest_of_greeting
from midge.zmtp.metadata import encode_metadata

COMMAND = 4
#: A piece of what is said: bytes as they are, or the flags (of ZMTP) and the body of a frame.
Piece = bytes | tuple[int, bytes]


def ready(socket_type: str, *more: tuple[str, bytes]) -> Piece:
    """The command that ends the handshake of NULL."""
    metadata = encode_metadata([("Socket-Type", socket_type.encode()), *more])
    return COMMAND, b"\x05READY" + metadata


def greeting(transport: str, mechanism: str = "NULL") -> bytes:
    """What a client says first."""
    if transport != "ws":
        return OPENING + rest_of_greeting(mechanism, False)
    lines = (
        "GET / HTTP/1.1",
        "Host: here",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: ZWS2.0/{mechanism}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def on_the_wire(transport: str, pieces: Sequence[Piece]) -> bytes:
    """What the pieces are in the framing of the transport."""
    said = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            said += piece
        elif transport == "ws":
            flags, body = piece
            said += ws_header(len(body) + 1) + bytes([flags & 1 | flags >> 1 & 2]) + body
        else:
            said += encode_frame(*piece)
    return said


def huge_header(transport: str, size: int, flags: int = 0) -> bytes:
    """The beginning of a frame of so many bytes, of which none comes."""
    if transport == "ws":
        return ws_header(size + 1)
    return bytes([flags | 2]) + size.to_bytes(8, "big")


def ws_header(size: int) -> bytes:
    """A whole binary message, with a mask that changes nothing."""
    if size < 126:
        return bytes([0x82, 0x80 | size]) + bytes(4)
    if size < 1 << 16:
        return b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4)
    return b"\x82\xff" + size.to_bytes(8, "big") + bytes(4)


GREETINGS = [greeting("ws", mechanism) for mechanism in ("NULL", "PLAIN", "CURVE")]


class Stranger:
    """A connection to an endpoint of tcp, ipc or ws.

    It waits for one answer only, that to the greeting of a WebSocket, as it must.
    """

    def __init__(self, endpoint: str) -> None:
        transport, _, rest = endpoint.partition("://")
        self.transport = transport
        if transport == "ipc":
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(os.fsencode(rest.replace("@", "\0", 1)))
        else:
            host, _, port = rest.partition("/")[0].rpartition(":")
            self.sock = socket.create_connection((host, int(port)))
        self.sock.settimeout(10)

    def say(self, *pieces: Piece) -> bool:
        """Say something; ``False``: nobody listens any more."""
        try:
            if self.transport == "ws" and len(pieces) > 1 and pieces[0] in GREETINGS:
                self.sock.sendall(on_the_wire("ws", pieces[:1]))
                answer = b""
                while not answer.endswith(b"\r\n\r\n"):
                    answer += self.sock.recv(1)
                pieces = pieces[1:]
            self.sock.sendall(on_the_wire(self.transport, pieces))
        except OSError:
            return False
        return True

    def close(self) -> None:
        self.sock.close()
