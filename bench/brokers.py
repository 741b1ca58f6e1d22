"""The brokers that are measured: where they are, how they are started, how they end.

Every broker gets the same configuration, in Mosquitto's form; one that cannot read it gets the
like in its own (``peers.py``), or settings in its command. It runs as a process of its own, fresh
for each sample, and is ended by the id of that process.
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
from tests.process import free_port

ROOT: Final = Path(__file__).resolve().parent.parent
#: Where ``make compiled`` puts a midge.
COMPILED: Final = ROOT / "build" / "compiled"

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


class NotListening(RuntimeError):
    """A broker ended, or did not listen in time; the text is the end of what it printed."""


class Broker:
    """A broker as a process of its own, while the ``with`` block lasts.

    Args:
        name: as it is printed.
        command: how it is started; ``{port}`` and ``{config}`` are filled in.
        version: as it is printed.
        extra: more lines of configuration; ``{directory}`` is one of its own.
        configuration: its configuration; ``{port}`` and ``{directory}`` are filled in.

    Attributes:
        port: the TCP port on 127.0.0.1.
        ours: whether it is a midge.
    """

    def __init__(
        self,
        name: str,
        command: str,
        version: str = "",
        extra: str = "",
        configuration: str = CONFIGURATION,
        ours: bool = False,
    ) -> None:
        self.name = name
        self.command = command
        self.version = version
        self.extra = extra
        self.configuration = configuration
        self.ours = ours or name.startswith("midge")
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Broker:
        self.port = free_port()  # Mosquitto cannot be asked for "any free port"
        self._directory = tempfile.TemporaryDirectory(prefix="bench-")
        os.chmod(self._directory.name, 0o755)  # a broker that gives up root must still read it
        if "{directory}/key.pem" in self.extra:
            make_certificate(Path(self._directory.name))
        config = Path(self._directory.name, "broker.conf")
        config.write_text(self._filled_in(self.configuration + self.extra))
        words = [
            word.replace("{port}", str(self.port)).replace("{config}", str(config))
            for word in shlex.split(self.command)
        ]
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

    def reads_mosquitto(self) -> bool:
        """Whether lines of configuration in Mosquitto's form mean something to it."""
        return self.configuration is CONFIGURATION and "{config}" in self.command

    def with_lines(self, lines: str) -> Broker:
        """The same broker with more lines of configuration."""
        return Broker(
            self.name,
            self.command,
            self.version,
            self.extra + lines,
            self.configuration,
            self.ours,
        )

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

    def directory(self) -> Path:
        """A directory of its own, as long as it runs."""
        assert self._directory is not None
        return Path(self._directory.name)

    def _filled_in(self, text: str) -> str:
        # Not str.format: other brokers' forms are full of braces.
        directory = str(self.directory())
        return text.replace("{port}", str(self.port)).replace("{directory}", directory)

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
                    raise NotListening(f"{self.name} does not listen: {self.said()}") from None
                time.sleep(0.02)


def make_certificate(directory: Path) -> None:
    """A key and a certificate for 127.0.0.1, of the kind that most servers have now.

    Raises:
        RuntimeError: the program ``openssl`` is not there, or refuses.
    """
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    )
    try:
        subprocess.run(
            ["openssl", *words.split(), "-keyout", str(key), "-out", str(certificate)],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"no certificate: {error}") from error
    key.chmod(0o644)  # for a broker that gives up root; it serves nobody but this run


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


def compiled(directory: Path, name: str = "compiled") -> Broker:
    """A midge that ``make compiled`` has put into a directory."""
    words = ["env", f"PYTHONPATH={directory.resolve()}", sys.executable, "-P", "-m", "midge"]
    version = first_line([*words, "--version"])
    built = max((f.stat().st_mtime for f in directory.rglob("*.so")), default=0.0)
    if any(f.stat().st_mtime > built for f in (ROOT / "src").rglob("*.py")):
        version += ", built before the last change to the source"
    return Broker(name, f"{shlex.join(words)} broker -c {{config}}", version, ours=True)


def mosquitto() -> Broker | None:
    """The Mosquitto of this machine; Debian keeps it where an ordinary user does not look."""
    path = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        return None
    return Broker("mosquitto", f"{shlex.quote(path)} -c {{config}}", first_line([path, "-h"]))
