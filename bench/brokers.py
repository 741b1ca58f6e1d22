"""The brokers that are measured: how they are started, what they have used, how they end."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

#: The same for every broker. TCP_NODELAY, because with Nagle's algorithm windowed traffic measures
#: timers; queues and windows so large that no row has to drop.
CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 100000
max_inflight_messages 100
connection_messages false
log_type error
"""


class Broker:
    """A broker as a process of its own.

    Args:
        name: as it is printed.
        command: how it is started; ``{config}`` and ``{port}`` are filled in.
    """

    def __init__(self, name: str, command: str) -> None:
        self.name = name
        self._command = command
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Broker:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._directory = tempfile.TemporaryDirectory()
        config = Path(self._directory.name) / "broker.conf"
        config.write_text(CONFIGURATION.format(port=self.port))
        os.chmod(self._directory.name, 0o755)  # a broker that gives up root must still read it
        words = [word.format(config=config, port=self.port) for word in shlex.split(self._command)]
        self._process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(f"{self.name} does not start: {words}") from None
                time.sleep(0.02)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
        self._process.wait(15)
        if self._directory is not None:
            self._directory.cleanup()

    def cpu_s(self) -> float:
        """CPU seconds of all its threads, user and system."""
        assert self._process is not None
        total = 0
        for thread in os.listdir(f"/proc/{self._process.pid}/task"):
            text = Path(f"/proc/{self._process.pid}/task/{thread}/schedstat").read_text()
            total += int(text.split()[0])
        return total / 1e9

    def memory_bytes(self) -> int:
        """Its resident memory."""
        assert self._process is not None
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def found() -> list[Broker]:
    """midge, and the mosquitto of this machine if it has one."""
    brokers = [Broker("midge", f"{shlex.quote(sys.executable)} -m midge broker -c {{config}}")]
    mosquitto = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if mosquitto:
        brokers.append(Broker("mosquitto", f"{mosquitto} -c {{config}}"))
    return brokers
