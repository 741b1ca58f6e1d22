"""Every fenced example in the documentation is run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from midge.config.mosquitto_conf import parse
from tests.process import BrokerProcess

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
    assert languages == {"python", "sh", ""}


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


def test_shell_examples_do_what_they_say(tmp_path: Path) -> None:
    """`midge sub` in the background, `midge pub` beside it, against a broker on another port."""
    commands = [line for _, text in examples("sh") for line in text.splitlines()]
    known = {"make run", "midge broker -c midge.conf -v"}
    (subscribe,) = [line for line in commands if line.startswith("midge sub")]
    (publish,) = [line for line in commands if line.startswith("midge pub")]
    assert set(commands) == known | {subscribe, publish}
    with BrokerProcess(tmp_path) as broker:
        port = ["-p", str(broker.port)]

        def words(line: str) -> list[str]:
            return [sys.executable, "-m", *shlex.split(line), *port]

        subscriber = subprocess.Popen(
            [*words(subscribe), "-C", "1"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(100):  # until the subscriber is there to get it
            assert subprocess.run(words(publish), timeout=20).returncode == 0
            try:
                subscriber.wait(0.2)
                break
            except subprocess.TimeoutExpired:
                continue
        out, _ = subscriber.communicate(timeout=20)
    assert out == "home/kitchen/temperature 21.5\n"


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for path in DOCUMENTS:
        for target in re.findall(r"`make (\w+)`", path.read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{path.name}: make {target}"
