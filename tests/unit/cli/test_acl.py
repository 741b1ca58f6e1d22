"""``midge acl why``: yes or no, by which line, and what would change it."""

from __future__ import annotations

from pathlib import Path

import pytest

from midge.cli.main import main

RULES = """\
topic read public/#

user bob
topic read house/#
topic deny house/safe
pattern write dev/%c/state
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "acl"
    path.write_text(RULES)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["-u", "bob", "deliver", "house/x"], 0, "yes: {file}:4 'topic read house/#' allows it"),
        (["-u", "bob", "publish", "house/x"], 1, "'topic write house/x' below 'user bob' would"),
        (["-u", "bob", "deliver", "house/safe"], 1, "no: {file}:5 'topic deny house/safe' refuses"),
        (["-u", "bob", "subscribe", "house/+"], 0, "yes: {file}:4"),
        (["-u", "bob", "subscribe", "$share/g/house/+"], 0, "yes: {file}:4"),
        (["-u", "bob", "subscribe", "public/x"], 1, "no message ever comes by it"),
        (["subscribe", "public/x"], 0, "yes: {file}:1"),
        (["-i", "lamp", "publish", "dev/lamp/state"], 0, "yes: {file}:6"),
        (["-i", "lamp", "publish", "dev/door/state"], 1, "before the first 'user' line would"),
        (["publish", "dev//state"], 1, "no line of {file} lets client ''"),
        (["-i", "a/b", "publish", "dev/a/b/state"], 1, "no: "),
        (["-i", "a+", "publish", "dev/a+/state"], 2, "Error: topic 'dev/a+/state' contains"),
    ],
)
def test_it_says_which_line_decides_and_which_would_allow_it(
    file: str, arguments: list[str], status: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["acl", "why", "--acl-file", file, *arguments]) == status
    printed = capfd.readouterr()
    assert said.format(file=file) in printed.out + printed.err


def test_the_file_is_found_through_a_configuration(
    file: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "broker.conf"
    config.write_text(f"listener 1883\nacl_file {file}\nacl_refuse_subscribe true\n")
    command = ["acl", "why", "-c", str(config)]
    assert main([*command, "--user", "bob", "publish", "x"]) == 1
    assert main(["acl", "why", str(config), "publish", "x"]) == 1  # as with midge config check
    assert main([*command, "subscribe", "x"]) == 1
    assert "granted all the same" not in capfd.readouterr().out
    config.write_text("listener 1883\n")
    assert main([*command, "publish", "x"]) == 0
    assert "there is no acl_file" in capfd.readouterr().out


def test_with_settings_for_each_listener_the_listener_must_be_named(
    file: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "broker.conf"
    config.write_text(
        f"per_listener_settings true\nlistener 1883 127.0.0.1\nacl_file {file}\nlistener 1884\n"
    )
    command = ["acl", "why", "-c", str(config), "publish", "x"]
    assert main(command) == 2
    assert "one of: 127.0.0.1:1883, 1884" in capfd.readouterr().err
    assert main([*command, "--listener", "127.0.0.1:1883"]) == 1
    assert main([*command, "--listener", "1884"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["why"], "'why', an action and a topic must be given"),
        (["why", "--acl-file", "f", "read", "x"], "Unknown action 'read'"),
        (["why", "publish", "x"], "Either a config file or an ACL file"),
        (["why", "-c", "f", "--acl-file", "f", "publish", "x"], "Either a config file"),
        (["why", "--nonsense", "publish", "x"], "Unknown option"),
        (["why", "--acl-file", "/no/such", "publish", "x"], 'Unable to open acl_file "/no/such"'),
        (["why", "--acl-file", "{bad}", "publish", "x"], "Invalid line in acl_file"),
        (["why", "-c", "/no/such", "publish", "x"], "Unable to open config file"),
        (["why", "--acl-file", "{bad}", "subscribe", "$share/x"], "no topic filter"),
    ],
)
def test_what_cannot_be_said_is_an_error_with_status_2(
    arguments: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad"
    bad.write_text("nonsense\n")
    assert main(["acl", *(one.format(bad=bad) for one in arguments)]) == 2
    assert said in capfd.readouterr().err
