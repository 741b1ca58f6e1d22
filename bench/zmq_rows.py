"""What `python -m bench zmq` measures: patterns, faces, transports, sizes."""

from __future__ import annotations

from typing import Final, NamedTuple

#: The packages that are compared: ours first.
LIBRARIES: Final = ("midge.zmq", "zmq")


#: The ratio of the rates that is to be reached, by face and size, over tcp and ipc.
AIMS: Final = {
    "sync": {16: 4.0, 100: 4.0, 1024: 2.0, 65_536: 1.3},
    "asyncio": {16: 40.0, 100: 40.0, 1024: 12.0, 65_536: 1.5},
}
AIM_INPROC: Final = 4.0
#: A round trip is to take nine tenths of the time.
AIM_ROUND_TRIP: Final = 1.11

#: libzmq's own sockets in a program in C, beside ours in Python; the ratio to be reached, by size.
NATIVE: Final = "libzmq in C"
AIMS_NATIVE: Final = {16: 1.0}


class ZmqRow(NamedTuple):
    """One line of the table.

    Attributes:
        pattern: "push", "pub" or "req".
        face: "sync" or "asyncio".
        transport: "tcp", "ipc" or "inproc".
        size: bytes of a message.
        aim: the ratio of the rates that is to be reached.
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

    @property
    def has_native(self) -> bool:
        """Whether there is a program in C that does the same."""
        return self.pattern == "push" and self.face == "sync" and self.transport != "inproc"

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
    for face, aims in AIMS.items():
        for pattern in ("push", "pub"):
            for transport in ("tcp", "ipc", "inproc"):
                for size, over_wire in aims.items():
                    aim = AIM_INPROC if transport == "inproc" else over_wire
                    found.append(ZmqRow(pattern, face, transport, size, aim))
        found += [
            ZmqRow("req", face, transport, 16, AIM_ROUND_TRIP)
            for transport in ("tcp", "ipc", "inproc")
        ]
    return found
