"""``pub`` and ``sub`` as processes: ours, and Mosquitto's, with the same arguments."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import midge
from tests.peers import program

#: The source that the tests themselves use, also where it is not installed.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(midge.__file__).parents[1])}
TIMEOUT_S = 10


def command(whose: str, verb: str) -> list[str]:
    """How to start a verb of ``midge`` or of ``mosquitto``."""
    if whose == "midge":
        return [sys.executable, "-m", "midge", verb]
    return [program(f"mosquitto_{verb}") or f"mosquitto_{verb}"]


class Outcome:
    """What a finished command left behind.

    Attributes:
        status: its exit status.
        output: standard output.
        error: standard error.
    """

    def __init__(self, status: int, output: bytes, error: bytes) -> None:
        self.status = status
        self.output = output
        self.error = error

    def __repr__(self) -> str:
        return f"Outcome({self.status}, {self.output!r}, {self.error!r})"

    def comparable(self) -> tuple[int, bytes, bytes]:
        """The same without what differs by its nature: random ids, the name of the program.

        Mosquitto 2.0 ends some sentences with a full stop that 2.1 has dropped, and separates
        its last line from the error with one empty line or two.
        """
        output = re.sub(rb"Client (auto-|mosq-|midge-)\S+", b"Client ID", self.output)
        error = self.error.replace(b"mosquitto_", b"midge ")
        error = re.sub(rb"\.\n", b"\n", re.sub(rb"\n\n+", b"\n", error))
        return self.status, output, error.strip()


def run(whose: str, verb: str, *arguments: object, stdin: bytes = b"") -> Outcome:
    """Run a command to its end."""
    done = subprocess.run(
        [*command(whose, verb), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=ENVIRONMENT,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


class Running:
    """A command that goes on while the test does something else.

    Attributes:
        process: the process.
        output: what it has written to standard output so far.
    """

    def __init__(self, whose: str, verb: str, *arguments: object) -> None:
        # Written to a pipe, the C library keeps Mosquitto's lines back; ours come at once.
        prefix = ["stdbuf", "-oL"] if whose == "mosquitto" else []
        self.process = subprocess.Popen(
            [*prefix, *command(whose, verb), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        self.output = b""

    def until(self, expected: bytes) -> None:
        """Wait until ``expected`` stands in its output."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + TIMEOUT_S
        while expected not in self.output:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, left))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, f"{expected!r} never came, but {self.output!r}"
            self.output += data

    def subscribed(self) -> Running:
        """Wait until a ``sub -d`` is subscribed."""
        self.until(b"Subscribed (mid: ")
        return self

    def write(self, data: bytes) -> None:
        """Give it something to read."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def finish(self, number: int | None = None) -> Outcome:
        """End it with a signal, or wait for its end; standard input ends in any case."""
        if number is not None:
            os.kill(self.process.pid, number)
        rest, error = self.process.communicate(timeout=TIMEOUT_S)
        return Outcome(self.process.returncode, self.output + rest, error)

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
