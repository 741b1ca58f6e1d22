"""Loses the power at every moment of a recorded run, and looks what the store has kept.

A process (:mod:`tests.disk.work`) writes batches; the shim under it records each write and sync.
For every moment of the record, the files are made as the disk may have left them, and opened as the
broker opens them. The store must be as it was behind one of the batches: with ``full`` not before
the last one that was said to be safe, with ``normal`` behind any.

``python -m tests.disk.losses SEEDS`` does it at length (``make crash``).
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from midge.store.base import Contents
from midge.store.memory import MemoryStore
from midge.store.sqlite.salvage import open_store
from tests.disk import build, environment, work
from tests.disk.power import ALL, NONE, SOME, Disk, Operation, read_record

ALL_OF_IT = 1 << 30


def record(library: Path, directory: Path, seed: int, count: int, sync: str) -> list[Operation]:
    """Run the process above the shim."""
    data = directory / "data"
    data.mkdir()
    log = directory / "record"
    words = ["-m", "tests.disk.work", str(data), str(seed), str(count), sync]
    subprocess.run(
        [sys.executable, *words],
        env=environment(library, data, DISK_LOG=log),
        check=True,
        timeout=60,
    )
    return read_record(log)


def image(contents: Contents) -> str:
    """Everything in a store, to be compared."""
    return repr(
        (
            sorted(contents.sessions),
            sorted(contents.subscriptions),
            sorted(contents.incoming),
            sorted(contents.deliveries),
            sorted(contents.queued.items()),
            sorted(contents.messages.items()),
            sorted(contents.retained.items()),
        )
    )


def images(seed: int, count: int) -> list[str]:
    """How the store must look behind each batch, the empty one first."""
    store = MemoryStore()
    found = [image(store.read(ALL_OF_IT))]
    for changes in work.batches(seed, count):
        for _ in store.write(changes):
            pass
        store.commit()
        found.append(image(store.read(ALL_OF_IT)))
    return found


class Failures:
    """Opens the store as it is after each failure of the power, and compares."""

    def __init__(self, directory: Path, seed: int, count: int) -> None:
        self.chance = random.Random(seed)
        self.directory = directory
        self.expected = {one: number for number, one in enumerate(images(seed, count))}
        assert len(self.expected) == count + 1, "every batch changes something"
        self.opened = 0
        self.checkpointed = 0  # writes to the database itself, after the first batch was safe
        self.behind: set[int] = set()  # how far behind what was said, and ahead of it

    def check(self, disk: Disk, how: str, said: int, sync: str) -> None:
        """Let the power fail now."""
        for path in self.directory.iterdir():
            path.unlink()
        for name, content in disk.after_failure(how, self.chance).items():
            if not name.endswith("said"):
                (self.directory / Path(name).name).write_bytes(content)
        with mock.patch("midge.store.sqlite.reading.STORE_QUEUE_PAGE_BYTES", sys.maxsize):
            store, contents, lines = open_store(
                str(self.directory / "midge.db"), "off", "now", ALL_OF_IT
            )
        store.close()
        self.opened += 1
        assert not lines
        number = self.expected.get(image(contents))
        assert number is not None, "the store is as it never was"
        assert number <= said + 1
        if sync == "full":
            assert number >= said, f"batch {said} was safe, and is gone"
        self.behind.add(number - said)


def lose(
    library: Path, directory: Path, seed: int, count: int, sync: str, ways: Sequence[str] = ()
) -> Failures:
    """Record ``count`` batches, and lose the power behind each operation.

    Args:
        ways: each of them at each moment; one after the other where there are none.
    """
    operations = record(library, directory, seed, count, sync)
    after = directory / "after"
    after.mkdir()
    failures = Failures(after, seed, count)
    disk = Disk()
    said = 0
    for number, operation in enumerate(operations):
        disk.do(operation)
        if operation.kind == "write" and operation.data == b"%d\n" % (said + 1):
            said += 1
        elif operation.kind in ("open", "close"):
            continue
        elif operation.kind == "write" and said and disk.is_database(operation.descriptor):
            failures.checkpointed += 1
        for how in ways or ((NONE, SOME, ALL)[number % 3],):
            failures.check(disk, how, said, sync)
    assert said == count
    return failures


def main(words: list[str]) -> int:
    opened = 0
    with tempfile.TemporaryDirectory(prefix="midge-power-") as root:
        library = build(Path(root))
        for seed in range(int(words[0])):
            directory = Path(root, str(seed))
            directory.mkdir()
            sync = ("full", "normal")[seed % 2]
            failures = lose(library, directory, seed, 30, sync, (NONE, SOME, SOME, ALL))
            opened += failures.opened
            print(f"seed {seed}, sync {sync}: {opened:,} losses of power, all well", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
