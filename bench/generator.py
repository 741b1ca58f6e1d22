"""Builds the load generator and drives it, line by line.

The generator is a C program, so that the broker is what is measured: Python could not feed one
that takes a million messages a second, let alone compare what it sends.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

SOURCES: Final = Path(__file__).resolve().parent / "load"
FLAGS: Final = ("-O2", "-std=gnu11", "-Wall", "-Wextra")
WITH_TLS: Final = ("-DWITH_TLS", "-lssl", "-lcrypto")

#: Where OpenSSL's headers are on Debian: with them, the generator is another one.
OPENSSL: Final = Path("/usr/include/openssl/ssl.h")

#: And libzmq's, for what can be compared with it.
ZMQ: Final = Path("/usr/include/zmq.h")
WITH_ZMQ: Final = ("-lzmq",)

#: No sample takes longer than this; the generator itself gives up after five silent seconds.
LIMIT_S: Final = 120.0


class WrongError(Exception):
    """A broker lost, doubled, reordered or damaged a message, or broke the protocol."""


class GeneratorError(Exception):
    """The load generator could not be built, or could not do its work."""


def build(directory: Path | None = None) -> Path:
    """Compile the generator, or find what an earlier call compiled from the same source.

    Args:
        directory: where it goes, by default the user's cache.

    Raises:
        GeneratorError: there is no C compiler, or it refuses.
    """
    # Without OpenSSL's headers there is all but TLS.
    return compiled("load", (WITH_TLS, ()), directory, OPENSSL)


def build_zmq_ends(directory: Path | None = None) -> Path | None:
    """The same for one end of PUSH/PULL by libzmq itself; ``None`` without libzmq's headers."""
    return compiled("zmq_ends", (WITH_ZMQ,), directory, ZMQ) if ZMQ.exists() else None


def compiled(
    name: str, more: Sequence[Sequence[str]], directory: Path | None, headers: Path
) -> Path:
    """What the source of that name becomes.

    Args:
        more: words for the compiler; where it refuses, the next of them.
        headers: with them or without, the outcome may be another one.
    """
    digest = hashlib.sha256(repr((FLAGS, more, headers.exists())).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    place = directory or _cache()
    target = place / f"{name}-{digest.hexdigest()[:16]}"
    if target.exists():
        return target
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise GeneratorError("the load generator needs a C compiler: install gcc, or clang as cc")
    place.mkdir(parents=True, exist_ok=True)
    # Under a name of its own first: two runs may build at once, and each must find it whole.
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        made = Path(scratch, name)
        command = [compiler, *FLAGS, "-o", str(made), str(SOURCES / f"{name}.c")]
        for words in more:
            done = _run([*command, *words])
            if not done.returncode:
                break
        else:
            raise GeneratorError(f"the load generator does not compile:\n{done.stderr}")
        os.replace(made, target)
    return target


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "midge-bench"


class Generator:
    """One running load generator, while the ``with`` block lasts.

    Args:
        program: what :func:`build` returned.
        settings: its arguments; ``load/load.c`` lists them.
    """

    def __init__(self, program: Path, settings: dict[str, int]) -> None:
        self._words = [str(program), *(f"{name}={value}" for name, value in settings.items())]
        self._process: subprocess.Popen[str] | None = None
        self._watchdog: threading.Timer | None = None

    def __enter__(self) -> Generator:
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._watchdog = threading.Timer(LIMIT_S, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._watchdog is not None
        self._watchdog.cancel()
        self._process.kill()
        self._process.communicate()

    def connect(self) -> dict[str, float]:
        """Connect and subscribe everybody; returns the figures."""
        return self._figures("connect")

    def fill(self) -> dict[str, float]:
        """Have the idle connections subscribe to their filters; returns the figures."""
        return self._figures("fill")

    def store(self) -> dict[str, float]:
        """Publish a retained message to each topic, until all are stored; returns the figures."""
        return self._figures("store")

    def fetch(self) -> dict[str, float]:
        """Subscribe to what was stored, until all of it has come; returns the figures."""
        return self._figures("fetch")

    def run(self, seconds: float) -> dict[str, float]:
        """Publish for so long and wait for the last message to arrive; returns the figures."""
        return self._figures(f"run {seconds}")

    def finish(self) -> None:
        """Make sure that every connection lives and that nothing came after the last message."""
        self._ask("finish")

    def _figures(self, command: str) -> dict[str, float]:
        pairs = (word.partition("=") for word in self._ask(command).split()[1:])
        return {name: float(value) for name, _, value in pairs}

    def _ask(self, command: str) -> str:
        """Send a command, return the answer.

        Raises:
            WrongError: the broker did something wrong.
            GeneratorError: the generator ended without an answer.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, and has said why
        answer = self._process.stdout.readline().strip()
        if answer.startswith("wrong: "):
            raise WrongError(answer.removeprefix("wrong: "))
        if not answer:
            raise GeneratorError(f"the load generator ended at {command!r}: {self._words}")
        return answer
