"""What `python -m bench zmq` measures: patterns, faces, transports, sizes."""

from __future__ import annotations

from typing import Final, NamedTuple

#: The packages that are compared: ours first.
LIBRARIES: Final = ("midge.zmq", "zmq")


class ZmqRow(NamedTuple):
    """One line of the table.

    Attributes:
        pattern: "push", "pub" or "req".
        face: "sync" or "asyncio".
        transport: "tcp", "ipc" or "inproc".
        size: bytes of a message.
        aim: the ratio of the rates that issue 3 asks for.
    """

    pattern: str
    face: str
    transport: str
    size: int
    aim: float

    @property
    def name(self) -> str:
        """As in the table."""
        pair = {"push": "PUSH/PULL", "pub": "PUB/SUB", "req": "REQ/REP"}[self.pattern]
        return f"{pair} {self.face} {self.transport} {self.size} B"

    def messages(self, library: str, seconds: float) -> int:
        """How many messages make about so many seconds; exact rates are what is to be found out."""
        per_second = 15_000 if self.pattern == "req" else 1_000_000
        if self.size >= 65_536:
            per_second = 15_000
        elif self.size >= 1024:
            per_second //= 3
        if self.face == "asyncio":
            if self.pattern == "req":
                per_second = 4_000
            else:
                per_second = min(per_second, 60_000 if library == "zmq" else 800_000)
        return max(int(per_second * seconds), 100)


def rows() -> list[ZmqRow]:
    """All of them."""
    found = []
    for face, small in (("sync", 1.5), ("asyncio", 20.0)):
        for pattern in ("push", "pub"):
            for transport in ("tcp", "ipc", "inproc"):
                for size in (16, 100, 1024, 65_536):
                    aim = small if size < 1024 else 1.0 if size == 1024 else 0.8
                    if transport == "inproc":
                        aim = 1.0
                    found.append(ZmqRow(pattern, face, transport, size, aim))
        found += [
            ZmqRow("req", face, transport, 16, 0.91) for transport in ("tcp", "ipc", "inproc")
        ]
    return found
