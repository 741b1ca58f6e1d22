"""Hashed passwords: Mosquitto's three forms, whole and in equal time."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from midge.auth import passwords
from midge.auth.password_file import parse
from midge.auth.passwords import (
    ARGON2ID,
    KINDS,
    PBKDF2,
    SALT_BYTES,
    SHA512,
    MissingArgon2,
    make_hash,
    read_hash,
    verify,
)
from tests import peers

SALT = bytes(range(SALT_BYTES))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "password", [b"", b"secret", "pässwörd".encode(), b"with\0nul", b"x" * 999]
)
def test_a_hash_is_read_back_and_fits_its_password_only(kind: str, password: bytes) -> None:
    stored = read_hash(make_hash(kind, password, SALT, 3).encoded)
    assert stored.kind == kind
    assert verify(stored, password)
    assert not verify(stored, password + b"x")
    assert not verify(stored, password + b"\0")


@pytest.mark.parametrize("length", [12, 64])
@pytest.mark.parametrize("kind", [SHA512, PBKDF2])
def test_salts_of_mosquitto_2_0_and_2_1_are_read(kind: str, length: int) -> None:
    stored = read_hash(make_hash(kind, b"secret", b"s" * length, 3).encoded)
    assert verify(stored, b"secret")
    with pytest.raises(ValueError, match="another length"):
        read_hash(make_hash(kind, b"secret", b"s" * 13, 3).encoded)


@pytest.mark.parametrize("function", ["sha256", "sha512"])
@pytest.mark.parametrize(("salt", "length"), [(16, 32), (1, 16), (64, 20)])
def test_hashes_of_mosquitto_go_auth_are_read(function: str, salt: int, length: int) -> None:
    digest = hashlib.pbkdf2_hmac(function, b"secret", b"s" * salt, 7, length)
    salt_text, digest_text = (base64.b64encode(one).decode() for one in (b"s" * salt, digest))
    stored = read_hash(f"PBKDF2${function}$7${salt_text}${digest_text}")
    assert verify(stored, b"secret")
    assert not verify(stored, b"Secret")
    assert not verify(stored, b"secret\0")


def test_what_only_looks_like_a_hash_of_mosquitto_go_auth_is_refused() -> None:
    digest = hashlib.pbkdf2_hmac("sha512", b"x", b"salt", 3)
    good = base64.b64encode(digest).decode()
    for text, wrong in (
        (f"PBKDF2$md5$3$c2FsdA==${good}", "hash function"),
        (f"PBKDF2$sha256$3$c2FsdA==${good}", "another length"),
        (f"PBKDF2$sha512$x$c2FsdA==${good}", "rounds"),
        ("PBKDF2$sha512$3$c2FsdA==$c2FsdA==", "another length"),
        ("PBKDF2$sha512$3$c2FsdA==$c2FsdA", "base64"),
        (f"PBKDF2$sha512$3${'c2FsdA==' * 2}${good}", "base64"),
    ):
        with pytest.raises(ValueError, match=wrong):
            read_hash(text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_password_is_compared_whole_and_not_up_to_a_nul(kind: str) -> None:
    stored = make_hash(kind, b"secret", SALT, 3)
    assert not verify(stored, b"secret\0and more")
    longer = make_hash(kind, b"secret\0and more", SALT, 3)
    assert not verify(longer, b"secret")
    assert not verify(longer, b"secret\0and less")


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([SHA512, PBKDF2]), st.binary(max_size=9), st.binary(max_size=9))
@example(PBKDF2, b"secret", b"secret\0")
def test_another_password_never_fits(kind: str, one: bytes, other: bytes) -> None:
    if kind == PBKDF2 and one.endswith(b"\0"):
        with pytest.raises(ValueError, match="ends with NUL"):
            make_hash(kind, one, SALT, 2)
    else:
        assert verify(make_hash(kind, one, SALT, 2), other) is (one == other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secret", "midge passwd -U FILE"),
        ("", "midge passwd -U FILE"),
        ("$5$abc$def", "no hash that is known"),
        ("$6$abc", "no hash that is known"),
        ("$7$1000$abc", "no hash that is known"),
        ("$6$*$*", "not base64"),
        ("$6$AAAA$AAAA", "another length"),
        ("$7$0$AAAA$AAAA", "rounds"),
        ("$7$-1$AAAA$AAAA", "rounds"),
        ("$7$1e3$AAAA$AAAA", "rounds"),
        ("$7$99999999999$AAAA$AAAA", "rounds"),
        ("$7$00000000001" + "9" * 4000 + "$AAAA$AAAA", "rounds"),
        ("$argon2id$v=19$m=1$nonsense", "not a hash of Argon2"),
    ],
)
def test_what_is_no_hash_is_refused_without_showing_it(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        read_hash(text)
    assert not text or text not in str(caught.value)


def test_without_its_library_an_argon2_hash_is_an_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded = make_hash(ARGON2ID, b"secret", SALT).encoded
    monkeypatch.setitem(sys.modules, "argon2", None)
    with pytest.raises(MissingArgon2, match=r"midge\[argon2\]"):
        read_hash(encoded)
    with pytest.raises(MissingArgon2, match=r"midge\[argon2\]"):
        make_hash(ARGON2ID, b"secret", SALT)


def test_new_hashes_have_the_parameters_of_mosquitto() -> None:
    assert make_hash(PBKDF2, b"x", SALT).encoded.startswith("$7$1000$")
    assert make_hash(SHA512, b"x", SALT).encoded.startswith("$6$")
    assert make_hash(ARGON2ID, b"x", SALT).encoded.startswith("$argon2id$v=19$m=47104,t=1,p=1$")


def test_the_comparison_takes_the_same_time_wherever_the_difference_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(passwords.hmac, "compare_digest", compare)
    for kind in (SHA512, PBKDF2):
        assert not verify(make_hash(kind, b"x", SALT, 2), b"x")
    assert len(compared) == 2
    assert all(len(one) == len(other) == 64 for one, other in compared)


@pytest.mark.peer("mosquitto_passwd")
@pytest.mark.parametrize("flags", [[], ["-H", "sha512"], ["-H", "sha512-pbkdf2"]])
def test_files_that_mosquitto_passwd_makes_are_read(flags: list[str], tmp_path: Path) -> None:
    program = peers.program("mosquitto_passwd")
    assert program is not None
    file = tmp_path / "passwords"
    for number, name in enumerate(("bob", "alice with a space")):
        command = [program, *flags, *([] if number else ["-c"]), "-b", str(file), name, f"p:{name}"]
        subprocess.run(command, check=True, capture_output=True, timeout=20)
    users = parse(file.read_text(), str(file))
    assert list(users) == ["bob", "alice with a space"]
    for name, stored in users.items():
        assert stored.kind == (SHA512 if "sha512" in flags else PBKDF2)
        assert verify(stored, f"p:{name}".encode())
        assert not verify(stored, b"p")
