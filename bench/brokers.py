"""The brokers that are measured: where they are, how they are started, how they end.

Every broker gets the same configuration, in Mosquitto's form; one that cannot read it is given its
settings in the command. It runs as a process of its own, fresh for each sample, and is ended by the
id of that process.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from bench import processes

ROOT: Final = Path(__file__).resolve().parent.parent

#: The same for every broker. No Nagle delay, because with it windowed traffic measures a timer;
#: limits so wide that no row has to drop or to wait for one; and no log on the way of a connection.
CONFIGURATION: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 1000000
max_inflight_messages 1000
persistence false
connection_messages false
log_type error
"""

#: How long a broker may take to listen, and to end.
START_S: Final = 15.0
STOP_S: Final = 10.0


class Broker:
    """A broker as a process of its own, while the ``with`` block lasts.

    Args:
        name: as it is printed.
        command: how it is started; ``{port}`` and ``{config}`` are filled in.
        version: as it is printed.
        extra: more lines of configuration; ``{directory}`` is one of its own.

    Attributes:
        port: the TCP port on 127.0.0.1.
    """

    def __init__(self, name: str, command: str, version: str = "", extra: str = "") -> None:
        self.name = name
        self.command = command
        self.version = version
        self.extra = extra
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Broker:
        with socket.socket() as probe:  # Mosquitto cannot be asked for "any free port"
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._directory = tempfile.TemporaryDirectory(prefix="bench-")
        os.chmod(self._directory.name, 0o755)  # a broker that gives up root must still read it
        config = Path(self._directory.name, "broker.conf")
        config.write_text(
            CONFIGURATION.format(port=self.port) + self.extra.format(directory=self._directory.name)
        )
        words = [word.format(port=self.port, config=config) for word in shlex.split(self.command)]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )
        try:
            self._wait_until_it_listens(self._process)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._directory is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._directory.cleanup()

    def cpu_s(self) -> float:
        """CPU seconds it has used."""
        assert self._process is not None
        return processes.cpu_s(self._process.pid)

    def memory_bytes(self) -> int:
        """Its resident memory."""
        assert self._process is not None
        return processes.memory_bytes(self._process.pid)

    def said(self) -> str:
        """The end of what it has printed, for a message about its failure."""
        try:
            return self._log.read_text(errors="replace")[-500:].strip()
        except OSError:
            return ""

    @property
    def _log(self) -> Path:
        assert self._directory is not None
        return Path(self._directory.name, "log")

    def _wait_until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} does not listen: {self.said()}") from None
                time.sleep(0.02)


def environment() -> dict[str, str]:
    """The environment of a broker: midge is found in this checkout, installed or not."""
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep + path if path else ''}"}


def first_line(words: list[str]) -> str:
    """The first line that a command prints, empty when it prints none or does not run."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=START_S, env=environment(), check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter(done.stdout.splitlines()), "")


def midge() -> Broker:
    """The broker of this checkout."""
    python = sys.executable
    return Broker(
        "midge",
        f"{shlex.quote(python)} -m midge broker -c {{config}}",
        first_line([python, "-m", "midge", "--version"]),
    )


def mosquitto() -> Broker | None:
    """The Mosquitto of this machine; Debian keeps it where an ordinary user does not look."""
    path = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        return None
    return Broker("mosquitto", f"{shlex.quote(path)} -c {{config}}", first_line([path, "-h"]))
