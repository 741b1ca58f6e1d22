"""``midge config``, and where a broker's configuration comes from, as its users see it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import free_port

GOOD = "max_keepalive 60\nlistener 1883 127.0.0.1\nallow_anonymous true\n"
BAD = "listener 1883\nmax_qoss 1\nmax_keepalive ten\nconnection far\naddress a\ntopic #\n"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "midge", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        env=os.environ | environment,
    )


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "good.conf"
    path.write_text(GOOD)
    return str(path)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    path = tmp_path / "bad.conf"
    path.write_text(BAD)
    return str(path)


def test_check_says_that_a_good_configuration_is_good(good: str) -> None:
    done = run("config", "check", good)
    assert (done.returncode, done.stderr) == (0, "Configuration file is OK.\n")


def test_the_file_may_be_given_with_a_flag_as_to_the_broker(good: str) -> None:
    for flag in ("-c", "--config-file"):
        assert run("config", "check", flag, good).returncode == 0
        assert run("config", "show", flag, good, "--set").stdout == (
            run("config", "show", good, "--set").stdout
        )
    assert "needs a file" in run("config", "check", "-c").stderr
    assert "needs a file" in run("config", "show", "-c").stderr


def said_of(bad: str) -> list[str]:
    return [
        "Error: Unknown configuration variable 'max_qoss'. Did you mean 'max_qos'?",
        f"Error found at {bad}:2.",
        "Error: 'max_keepalive' value not a number.",
        f"Error found at {bad}:3.",
        "Error: 'connection' is not supported by this version of midge, and clients could notice "
        "that it is missing. Remove it to start without.",
        f"Error found at {bad}:4.",
    ]


@pytest.mark.parametrize("command", [["config", "check"], ["broker", "--test-config", "-c"]])
def test_all_that_is_wrong_is_said_at_once_with_status_3(command: list[str], bad: str) -> None:
    done = run(*command, bad)
    assert done.returncode == 3
    assert done.stderr.splitlines() == said_of(bad)


def test_a_broker_that_starts_says_only_the_first_as_mosquitto_does(bad: str) -> None:
    done = run("broker", "-c", bad)
    assert done.returncode == 3
    assert done.stderr.splitlines() == said_of(bad)[:2]


def test_check_looks_into_every_file_as_a_broker_does(tmp_path: Path) -> None:
    passwords, rules, keys = tmp_path / "passwords", tmp_path / "rules", tmp_path / "keys"
    passwords.write_text("alice:secret\n")
    rules.write_text("user alice\ntopic reed a/b\n")
    keys.write_text("me:xyz\n")
    for file in (passwords, rules, keys):
        file.chmod(0o600)
    path = tmp_path / "m.conf"
    lines = [
        *(f"password_file {passwords}", f"acl_file {rules}", f"psk_file {keys}"),
        *("jwt_key_file /nowhere/jwt", "authenticators door", "http_auth_acl_url ftp://a/b"),
        *("listener 8883", "certfile /nowhere/crt", "keyfile /nowhere/key"),
        *("listener 8884", "psk_hint hint"),
    ]
    path.write_text("\n".join(lines))
    done = run("config", "check", str(path))
    assert done.returncode == 3
    for said in (
        f"Unable to decode line in password file '{passwords}'",
        f"Error found at {passwords}:1.",
        'Error: Invalid topic access type "reed"',
        f"Error found at {rules}:2.",
        'Unable to open jwt_key_file "/nowhere/jwt"',
        f"Error found at {path}:4.",
        "No entry point 'door'",
        "Invalid 'http_auth_acl_url' value (ftp://a/b)",
        'Unable to load server certificate "/nowhere/crt". Check certfile.',
        f"Error found at {path}:8.",
        'psk for identity "me" contains non-hexadecimal characters',
    ):
        assert said in done.stderr
    assert "OK" not in done.stderr


def test_check_finds_two_listeners_in_one_place(tmp_path: Path) -> None:
    path = tmp_path / "m.conf"
    twice = "listener 1883 127.0.0.1\n" * 2
    path.write_text(f"allow_anonymous true\nlistener 1883\nsocket_domain ipv6\n{twice}")
    done = run("config", "check", str(path))
    assert done.returncode == 3
    assert "Error: There is a listener 127.0.0.1:1883 already." in done.stderr
    assert f"Error found at {path}:5." in done.stderr
    assert done.stderr.count("Error:") == 1
    assert "OK" not in done.stderr


def test_check_warns_of_files_that_others_can_read_and_of_doors(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic read #\n")
    rules.chmod(0o644)
    path = tmp_path / "m.conf"
    path.write_text(f"acl_file {rules}\nlistener 1883\nlistener 1884 127.0.0.1\n")
    done = run("broker", "--test-config", "-c", str(path))
    assert done.returncode == 0
    assert f"File {rules} has world readable permissions" in done.stderr
    assert "Listener 1883 lets nobody in" in done.stderr
    assert done.stderr.endswith("Configuration file is OK.\n")


def test_check_says_what_has_no_effect(tmp_path: Path) -> None:
    path = tmp_path / "m.conf"
    path.write_text("listener 1883 localhost\nallow_anonymous true\nlog_facility 5\n")
    done = run("config", "check", str(path))
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        f"Warning: The 'log_facility' option has no effect ({path}:3): the log does not go to "
        "syslog, see 'log_dest'.",
        "Configuration file is OK.",
    ]


def test_show_has_values_and_origins(good: str) -> None:
    done = run("config", "show", good, "--set", MIDGE_SYS_INTERVAL="30", MIDGE_MAX_KEEPALIVE="90")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        *("allow_anonymous", "max_keepalive", "sys_interval", "", "Listener 127.0.0.1:1883:"),
        "listener",
    ]
    assert lines[1].endswith(" 90              environment variable MIDGE_MAX_KEEPALIVE")
    assert lines[5].endswith(f" 1883 127.0.0.1  {good}:2")


def test_show_as_json_is_for_programs(good: str) -> None:
    done = run("config", "show", good, "--json")
    data = json.loads(done.stdout)
    assert data["general"]["max_keepalive"] == {"value": "60", "from": f"{good}:1"}
    assert data["general"]["pid_file"] == {"value": None, "from": "default"}
    (listener,) = data["listeners"]
    assert listener["name"] == "127.0.0.1:1883"
    assert listener["options"]["max_qos"] == {"value": "2", "from": "default"}


def test_show_as_a_file_is_a_configuration_that_is_the_same(good: str, tmp_path: Path) -> None:
    first = run("config", "show", good, "--conf")
    again = tmp_path / "again.conf"
    again.write_text(first.stdout)
    assert "max_keepalive 60\n" in first.stdout
    assert run("config", "check", str(again)).returncode == 0
    assert run("config", "show", str(again), "--conf").stdout == first.stdout


def test_show_without_a_file_has_the_defaults_and_the_ports_of_the_command_line() -> None:
    done = run("config", "show", "-p", "5000")
    assert "Listener 127.0.0.1:5000:" in done.stdout.splitlines()
    assert "command line" in done.stdout


def test_docs_prints_the_reference_page() -> None:
    done = run("config", "docs")
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert done.stdout == page.read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "no command given"),
        (["chek"], 2, "unknown command 'chek'"),
        (["check"], 2, "'check' needs a file"),
        (["show", "--yaml"], 2, "'show' takes no '--yaml'"),
        (["show", "-p", "0"], 2, "invalid port '0'"),
        (["check", "/nowhere/m.conf"], 3, "Unable to open config file '/nowhere/m.conf'"),
        (["check", "/"], 3, "Config file '/' is a directory."),
        (["show", "/nowhere/m.conf"], 3, "Unable to open config file '/nowhere/m.conf'"),
    ],
)
def test_a_command_line_or_file_that_cannot_be_used(
    arguments: list[str], status: int, words: str
) -> None:
    done = run("config", *arguments)
    assert done.returncode == status
    assert words in done.stderr
    assert done.stdout == ""


def test_a_mistyped_variable_keeps_a_broker_from_starting() -> None:
    done = run("broker", MIDGE_ALLOW_ANONYMUS="false")
    assert done.returncode == 3
    assert done.stderr == (
        "Error: Unknown environment variable 'MIDGE_ALLOW_ANONYMUS'. Did you mean "
        "'MIDGE_ALLOW_ANONYMOUS'?\n"
    )


def test_text_that_is_not_utf_8_is_shown_as_escapes(tmp_path: Path) -> None:
    path = tmp_path / "m.conf"
    path.write_bytes(b"m\xfcller 1\n")
    done = run("config", "check", str(path))
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "Error: Unknown configuration variable 'm\\xfcller'."


@pytest.mark.parametrize("source", ["environment", "toml"])
def test_a_broker_starts_with_what_the_environment_or_a_toml_file_says(
    source: str, tmp_path: Path
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "midge", "broker"]
    environment = dict(os.environ)
    if source == "toml":
        path = tmp_path / "broker.toml"
        path.write_text(
            f'allow_anonymous = true\n[[listener]]\nport = {port}\naddress = "127.0.0.1"\n'
        )
        command += ["-c", str(path)]
    else:
        environment |= {"MIDGE_LISTENER": f"{port} 127.0.0.1", "MIDGE_ALLOW_ANONYMOUS": "true"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    lines = []
    try:
        for line in process.stderr:
            lines.append(line)
            if "running\n" in line and " version " in line:
                break
        assert any(f"Opening ipv4 listen socket on port {port}." in line for line in lines)
        assert not any("local only mode" in line for line in lines)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(15) == 0
        process.stderr.close()
