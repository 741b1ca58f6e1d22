"""Every fenced example in the documentation is run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from midge.config import sources
from midge.config.mosquitto_conf import parse
from tests.process import BrokerProcess, free_port

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(language: str) -> list[tuple[str, str]]:
    """Where and what: all fenced examples in one language."""
    found = []
    for path in DOCUMENTS:
        for number, match in enumerate(FENCE.finditer(path.read_text()), 1):
            if match.group(1) == language:
                found.append((f"{path.name}, example {number}", match.group(2)))
    return found


def test_there_are_examples_and_all_are_in_a_known_language() -> None:
    languages = {match.group(1) for path in DOCUMENTS for match in FENCE.finditer(path.read_text())}
    assert languages == {"python", "sh", "console", "toml", "ini", ""}


@pytest.mark.parametrize(("where", "code"), examples("python"), ids=lambda text: text[:30])
def test_python_examples_run(where: str, code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=25)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(("where", "text"), examples(""), ids=lambda text: text[:30])
def test_configuration_examples_are_accepted(where: str, text: str) -> None:
    configuration = parse(text, where)
    assert configuration.listeners
    assert not [line for kind, line in configuration.messages if kind in ("warning", "error")]


@pytest.mark.parametrize(("where", "text"), examples("toml"), ids=lambda text: text[:30])
def test_configuration_examples_in_toml_are_accepted(where: str, text: str) -> None:
    configuration = sources.configuration(text, f"{where}.toml")
    assert configuration.listeners
    assert not [line for kind, line in configuration.messages if kind in ("warning", "error")]


def midge(line: str) -> list[str]:
    """The words of a command of the documentation, for this Python."""
    return [sys.executable, "-m", *shlex.split(line)]


def shell_lines() -> list[str]:
    """All commands of the shell examples."""
    return [line for _, text in examples("sh") for line in text.splitlines()]


def test_every_shell_example_is_known_to_a_test_below() -> None:
    verbs = sorted(" ".join(line.split()[:2]) for line in shell_lines())
    assert verbs == ["make run", "midge broker", "midge pub", "midge sub"]


def test_make_run_starts_the_broker_of_the_virtual_environment() -> None:
    """What it would do, not done: it takes the port of a broker that may be here already."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    said = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    command = said.stdout.splitlines()[-1].partition("#")[0].split()
    assert command == ["PUID=$(id", "-u)", ".venv/bin/midge", "broker"]


def test_the_subscriber_of_the_examples_shows_what_the_publisher_says(tmp_path: Path) -> None:
    (subscribe,) = [line for line in shell_lines() if line.startswith("midge sub")]
    (publish,) = [line for line in shell_lines() if line.startswith("midge pub")]
    with BrokerProcess(tmp_path) as broker:
        port = ["-p", str(broker.port)]
        subscriber = subprocess.Popen(
            [*midge(subscribe), *port, "-C", "1"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(100):  # until the subscriber is there to get it
            assert subprocess.run([*midge(publish), *port], timeout=20).returncode == 0
            try:
                subscriber.wait(0.2)
                break
            except subprocess.TimeoutExpired:
                continue
        out, _ = subscriber.communicate(timeout=20)
    assert out == "home/kitchen/temperature 21.5\n"
    assert f"`{out.strip()}`" in (ROOT / "README.md").read_text()


def test_what_is_shown_of_a_terminal_is_what_comes(tmp_path: Path) -> None:
    """Of each document, all commands in their order, against one broker."""
    for path in DOCUMENTS:
        shown = [m.group(2) for m in FENCE.finditer(path.read_text()) if m.group(1) == "console"]
        if not shown:
            continue
        place = tmp_path / path.stem
        place.mkdir()
        kept = f"persistence true\npersistence_location {place}/\n"
        lines = kept if "persistence true\n" in path.read_text() else ""
        with BrokerProcess(place, lines) as broker:
            for step in "".join(shown).removeprefix("$ ").split("\n$ "):
                line, _, output = step.partition("\n")
                port = [] if line.startswith("midge store") else ["-p", str(broker.port)]
                done = subprocess.run(
                    [*midge(line), *port], cwd=place, capture_output=True, text=True, timeout=20
                )
                assert (done.stderr, done.returncode) == ("", 0), line
                assert done.stdout.rstrip("\n") == output.rstrip("\n"), f"{path.name}: {line}"


def test_the_configuration_of_the_examples_serves(tmp_path: Path) -> None:
    """`midge broker -c midge.conf -v`, with another port and on loopback alone."""
    (serve,) = [line for line in shell_lines() if line.startswith("midge broker")]
    (example,) = [text for where, text in examples("") if text.startswith("# midge.conf")]
    port = free_port()
    (tmp_path / "midge.conf").write_text(
        example.replace("listener 1883", f"listener {port} 127.0.0.1")
    )
    checked = subprocess.run(
        [*midge(serve), "--test-config"], cwd=tmp_path, capture_output=True, text=True, timeout=20
    )
    assert checked.returncode == 0, checked.stderr
    with (tmp_path / "log").open("w") as log:
        broker = subprocess.Popen(midge(serve), cwd=tmp_path, stdout=log, stderr=log)
    try:
        publish = midge(f"midge pub -p {port} -t a -m x -q 1")
        for _ in range(100):  # until it listens
            if subprocess.run(publish, capture_output=True, timeout=20).returncode == 0:
                break
            assert broker.poll() is None, (tmp_path / "log").read_text()
        else:
            pytest.fail((tmp_path / "log").read_text())
    finally:
        broker.terminate()
        status = broker.wait(20)
    assert status == 0


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for path in DOCUMENTS:
        for target in re.findall(r"`make (\w+)`", path.read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{path.name}: make {target}"
