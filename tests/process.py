"""A broker as a process of its own, started on a free port and ended by its pid."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import ClassVar

CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
"""


def free_port() -> int:
    """A port that nothing listens on now, for a program that cannot be asked which it got.

    It is one below those that the system gives away by itself (port 0, outgoing connections), so
    that nobody is given it until the program has it.
    """
    for _ in range(1000):
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port from 10000 to 31999 on 127.0.0.1")


class BrokerProcess:
    """``midge broker -c FILE``.

    ``MIDGE_TEST_BROKER`` names another command to test the tests with, for example
    ``/usr/sbin/mosquitto``.

    Args:
        directory: where configuration and log are written.
        extra: more lines of configuration.

    Attributes:
        port: where it listens.
        process: the process.
    """

    #: Those that have been started and not ended: their logs belong to the failure of a test.
    running: ClassVar[list[BrokerProcess]] = []

    def __init__(self, directory: Path, extra: str = "") -> None:
        self.port = free_port()
        self._log = directory / "broker.log"
        self._file = directory / "broker.conf"
        self._file.write_text(CONFIGURATION.format(port=self.port) + extra)
        other = os.environ.get("MIDGE_TEST_BROKER")
        self._command = (
            shlex.split(other) if other else [sys.executable, "-m", "midge", "broker"]
        ) + ["-c", str(self._file)]
        self.process: subprocess.Popen[bytes] | None = None
        self._told = False

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self.process is not None
        return self.process.pid

    def log(self) -> str:
        """What it has written to standard error."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it and wait until it says that it runs."""
        with self._log.open("ab") as log:
            before = log.tell()  # it may have run before
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        self.running.append(self)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.running.remove(self)
                raise RuntimeError(f"the broker ended at once:\n{self.log()}")
            if re.search(rb"version \S+ running", self._log.read_bytes()[before:]):
                return
            time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"the broker does not come up:\n{self.log()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by its pid; returns its exit status."""
        assert self.process is not None
        self._told = True
        if self in self.running:
            self.running.remove(self)
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise

    def __enter__(self) -> BrokerProcess:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        alone = not self._told and self.process is not None and self.process.poll() is not None
        status = self.stop()
        log = self.log()
        if exc is not None:
            return  # that is the failure to show
        assert not alone, f"the broker ended unasked with status {status}:\n{log}"
        assert status == 0, f"the broker ended with status {status}:\n{log}"
        assert not re.search(r"Traceback|fault in the broker", log), log
