"""``midge passwd``: the same files as mosquitto_passwd, and never half of one."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from midge.auth.password_file import parse
from midge.auth.passwords import ARGON2ID, PBKDF2, SHA512, verify
from midge.cli import passwd
from midge.cli.main import main
from tests import peers


def users(file: Path) -> dict[str, str]:
    return {name: stored.encoded for name, stored in parse(file.read_text(), str(file)).items()}


def fits(file: Path, name: str, password: str) -> bool:
    return verify(parse(file.read_text(), str(file))[name], password.encode())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "passwords"


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ([], PBKDF2),
        (["-H", "sha512"], SHA512),
        (["-H", "argon2id"], ARGON2ID),
        (["-I", "7"], PBKDF2),
    ],
)
def test_a_user_is_added_to_a_new_file_that_only_its_owner_reads(
    file: Path, flags: list[str], kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["passwd", *flags, "-c", "-b", str(file), "bob", "secret"]) == 0
    assert capfd.readouterr().out == "Adding password for user bob\n"
    assert fits(file, "bob", "secret")
    assert not fits(file, "bob", "secret2")
    stored = parse(file.read_text(), "")["bob"]
    assert stored.kind == kind
    assert stored.iterations == (7 if "-I" in flags else 1000 if kind == PBKDF2 else 0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_users_are_added_changed_and_deleted_and_the_rest_stays_as_it_is(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("bob", "eve", "tom"):
        assert (
            main(["passwd", *(["-c"] if name == "bob" else []), "-b", str(file), name, name]) == 0
        )
    file.write_text("# my users\n\n" + file.read_text())
    before = users(file)
    capfd.readouterr()
    assert main(["passwd", "-b", str(file), "eve", "new"]) == 0
    assert capfd.readouterr().out == "Updating password for user eve\n"
    assert fits(file, "eve", "new")
    assert main(["passwd", "-D", str(file), "tom"]) == 0
    after = users(file)
    assert list(after) == ["bob", "eve"]
    assert after["bob"] == before["bob"]
    assert file.read_text().startswith("# my users\n\nbob:")
    assert main(["passwd", "-D", str(file), "tom"]) == 1
    assert capfd.readouterr().err == "Warning: User tom not found in password file.\n"


def test_plain_passwords_of_a_file_are_hashed_and_hashed_ones_stay(file: Path) -> None:
    assert main(["passwd", "-c", "-b", str(file), "old", "hashed"]) == 0
    hashed = users(file)["old"]
    file.write_text(f"bob:plain\n{file.read_text()}# comment\n eve : with blanks \n")
    assert main(["passwd", "-U", str(file)]) == 0
    assert fits(file, "bob", "plain")
    assert fits(file, "eve", "with blanks")
    assert users(file)["old"] == hashed
    assert "plain" not in file.read_text()


def test_standard_output_takes_a_line_instead_of_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["passwd", "-c", "-b", "-", "bob", "secret"]) == 0
    assert verify(parse(capfd.readouterr().out, "-")["bob"], b"secret")


@pytest.mark.parametrize(
    ("typed", "status", "said"),
    [
        (b"secret\nsecret\n", 0, ""),
        (b"secret\r\nsecret\r\n", 0, ""),
        (b"secret\nsecre\n", 1, "Error: Passwords do not match.\n"),
        (b"\n\n", 1, "Error: Empty password.\n"),
        (b"secret\n", 1, "Error: Empty password.\n"),
    ],
)
def test_the_password_is_read_twice(
    file: Path,
    typed: bytes,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
    assert main(["passwd", "-c", str(file), "bob"]) == status
    printed = capfd.readouterr()
    assert printed.err == said
    assert printed.out.startswith("Password: \n")
    assert file.exists() is (status == 0)
    assert status or fits(file, "bob", "secret")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-c", "-D", "f", "u"], "-c and -D cannot be used together"),
        (["-c", "-U", "f"], "-c and -U cannot be used together"),
        (["-D", "-U", "f"], "-D and -U cannot be used together"),
        (["-b", "-D", "f", "u"], "-b and -D cannot be used together"),
        (["-H", "md5", "f", "u"], "Unknown hash type 'md5'"),
        (["-I", "0", "f", "u"], "Number of iterations must be > 0."),
        (["-x", "f", "u"], "Unknown option '-x'"),
        (["f"], "FILE and USER must be given"),
        (["-b", "f", "u"], "FILE, USER, PASSWORD must be given"),
        (["-c", "-b", "f", "a:b", "p"], "must not contain the ':' character"),
        (["-c", "-b", "f", "a\nb", "p"], "must not contain control characters"),
        (["-c", "-b", "f", "", "p"], "must not be empty"),
        (["-c", "-b", "f", "#a", "p"], "must not begin with '#'"),
        (["-c", "-b", "f", "u" * 65_536, "p"], "less than 65536"),
        (["-c", "-b", "f", "u", "p" * 65_536], "less than 65536"),
        (["-b", "f", "u", "p"], "Unable to open password file f. No such file or directory."),
        (["-c", "-b", "no/such/f", "u", "p"], "Unable to open file no/such/f for writing."),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["passwd", *arguments]) == 1
    printed = capfd.readouterr()
    assert said in printed.err
    assert printed.err.startswith("Error: ")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_understood_is_left_alone(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file.write_text("bob:x\neve:\n")
    assert main(["passwd", "-b", str(file), "bob", "new"]) == 1
    assert "Corrupt password file at line 2." in capfd.readouterr().err
    assert file.read_text() == "bob:x\neve:\n"


def test_a_failure_while_writing_leaves_the_old_file_and_nothing_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["passwd", "-c", "-b", str(file), "bob", "secret"]) == 0
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(passwd.os, "fsync", full)
    assert main(["passwd", "-b", str(file), "eve", "secret"]) == 1
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.iterdir()] == ["passwords"]


def test_a_link_to_the_file_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    file.write_text("")
    assert main(["passwd", "-b", str(link), "bob", "secret"]) == 0
    assert link.is_symlink()
    assert fits(file, "bob", "secret")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_the_file_to_its_owner(file: Path) -> None:
    file.write_text("")
    os.chown(file, 65_534, 65_534)
    assert main(["passwd", "-b", str(file), "bob", "secret"]) == 0
    assert file.stat().st_uid == 65_534


@pytest.mark.peer("mosquitto_passwd")
def test_mosquitto_passwd_goes_on_with_a_file_of_ours(file: Path) -> None:
    program = peers.program("mosquitto_passwd")
    assert program is not None
    assert main(["passwd", "-c", "-b", str(file), "bob", "ours"]) == 0
    subprocess.run(
        [program, "-b", str(file), "eve", "theirs"], check=True, capture_output=True, timeout=20
    )
    assert fits(file, "bob", "ours")
    assert fits(file, "eve", "theirs")
