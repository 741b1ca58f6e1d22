"""The programs of a page of the documentation: indented blocks with a name in their first line."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.process import free_port

NAME = re.compile(r"    # (\w+\.\w+)")


def programs(page: Path, ports: dict[str, int]) -> dict[str, str]:
    """The blocks by the names in their first lines, with free ports for those written."""
    found: dict[str, str] = {}
    name = ""
    for line in page.read_text().splitlines():
        begins = NAME.fullmatch(line)
        if begins:
            name = begins[1]
            found[name] = ""
        elif line and not line.startswith("    "):
            name = ""
        elif name:
            port = re.compile(r"\b(5555|5556|1883)\b")
            found[name] += port.sub(lambda found: str(ports[found[1]]), line[4:]) + "\n"
    return found


class Place:
    """A directory with the programs in it, and those of them that run.

    Args:
        page: whose programs they are.

    Attributes:
        ports: the ones that are used, by the one that is written.
    """

    def __init__(self, directory: Path, page: Path) -> None:
        self.directory = directory
        self.ports = {port: free_port() for port in ("5555", "5556", "1883")}
        self.programs = programs(page, self.ports)
        self.running: list[subprocess.Popen[bytes]] = []
        for name, text in self.programs.items():
            (directory / name).write_text(text)

    def start(self, name: str, *words: str) -> Path:
        """Run one of them in the background; returns where it prints to.

        Args:
            name: one that ends like no Python program was compiled from one.
        """
        paper = self.directory / f"{name}{len(self.running)}.out"
        with paper.open("wb") as out:
            python = [sys.executable] if name.endswith(".py") else []
            command = [*python, str(self.directory / name), *words]
            self.running.append(subprocess.Popen(command, stdout=out))
        return paper

    def run(self, name: str) -> str:
        """Run one to its end; returns what it has printed."""
        command = [sys.executable, str(self.directory / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def close(self) -> None:
        """End those that run."""
        for process in self.running:
            process.kill()
            process.wait(10)

    def broker(self, name: str) -> subprocess.Popen[bytes]:
        """midge with one of the configurations, once it serves."""
        command = [sys.executable, "-m", "midge", "broker", "-c", str(self.directory / name)]
        with (self.directory / "broker.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.running.append(process)
        log = self.directory / "broker.log"
        until(lambda: re.search(r"version \S+ running", log.read_text()) is not None)
        return process


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)
