"""What is on a disk when the power fails, at any moment of a recorded run.

The record comes from the shim (``disk.c``). A write is safe when its file was synced behind it, a
name when its directory was. Everything else the disk may have done or not, in any choice, and of a
write any of its sectors. (Changes to a directory keep their order among each other, as they do in
the journal of a file system.)
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

#: What a disk writes at once.
SECTOR: Final = 512

#: Of what was not safe: nothing is there, everything is, or a random choice with torn writes.
NONE: Final = "none"
ALL: Final = "all"
SOME: Final = "some"


class Operation:
    """One line of the record."""

    __slots__ = ("data", "descriptor", "kind", "number")

    def __init__(self, kind: str, descriptor: int, number: int, data: bytes) -> None:
        self.kind = kind
        self.descriptor = descriptor
        self.number = number
        self.data = data


def read_record(path: Path) -> list[Operation]:
    """The whole record."""
    operations = []
    with path.open("rb") as file:
        while head := file.readline():
            kind, descriptor, number, size = head.decode().split()
            operations.append(Operation(kind, int(descriptor), int(number), file.read(int(size))))
    return operations


class File:
    """A file: what is safe of it, and what was done to it since."""

    __slots__ = ("pending", "safe")

    def __init__(self) -> None:
        self.safe = bytearray()
        self.pending: list[tuple[int, bytes | None]] = []  # offset and data; length, without data

    def sync(self) -> None:
        self.safe = self.content()
        self.pending.clear()

    def content(self) -> bytearray:
        """With everything that was done to it."""
        content = bytearray(self.safe)
        for number, data in self.pending:
            _apply(content, number, data)
        return content

    def after_failure(self, how: str, chance: random.Random) -> bytearray:
        """What may be there when the power has failed."""
        if how == NONE:
            return self.safe
        if how == ALL:
            return self.content()
        content = bytearray(self.safe)
        for number, data in self.pending:
            fate = chance.randrange(4)
            if fate < 2:
                _apply(content, number, data)
            elif fate == 2 and data is not None:
                for start in range(0, len(data), SECTOR):
                    if chance.random() < 0.5:
                        _apply(content, number + start, data[start : start + SECTOR])
        return content


def _apply(content: bytearray, number: int, data: bytes | None) -> None:
    if data is None:
        del content[number:]
        content.extend(bytes(number - len(content)))
        return
    content.extend(bytes(max(0, number - len(content))))
    content[number : number + len(data)] = data


class Disk:
    """The disk at one moment of the record, moved on by :meth:`do`."""

    def __init__(self) -> None:
        self.open: dict[int, File | None] = {}  # None: the directory
        self.names: list[dict[str, File]] = [{}]  # as they were safe, then after each change

    def do(self, operation: Operation) -> None:
        kind, file = operation.kind, self.open.get(operation.descriptor)
        if kind == "open":
            self._open(operation)
        elif kind == "close":
            del self.open[operation.descriptor]
        elif kind == "write":
            assert file is not None
            file.pending.append((operation.number, operation.data))
        elif kind == "truncate":
            assert file is not None
            file.pending.append((operation.number, None))
        elif kind == "sync" and file is not None:
            file.sync()
        elif kind == "sync":
            del self.names[:-1]
        elif kind == "unlink":
            names = dict(self.names[-1])
            del names[operation.data.decode()]
            self.names.append(names)
        else:
            assert kind == "rename"
            before, after = operation.data.decode().split("\0")
            names = dict(self.names[-1])
            names[after] = names.pop(before)
            self.names.append(names)

    def is_database(self, descriptor: int) -> bool:
        """Whether a descriptor is one of the database itself."""
        file = self.open[descriptor]
        return any(one is file and path.endswith(".db") for path, one in self.names[-1].items())

    def _open(self, operation: Operation) -> None:
        path = operation.data.decode()
        file = self.names[-1].get(path)
        if file is None and operation.number:
            file = File()
            self.names.append({**self.names[-1], path: file})
        self.open[operation.descriptor] = file

    def after_failure(self, how: str, chance: random.Random) -> dict[str, bytearray]:
        """Which files may be there, with what in them."""
        names = {NONE: self.names[0], ALL: self.names[-1]}.get(how) or chance.choice(self.names)
        return {path: file.after_failure(how, chance) for path, file in names.items()}
