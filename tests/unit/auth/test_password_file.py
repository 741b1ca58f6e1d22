"""Password files: how they are read, and an authenticator that hashes elsewhere."""

from __future__ import annotations

import pytest

from midge.auth import password_file
from midge.auth.base import ALLOW, DENY, PASS, PENDING, Identity, Pending
from midge.auth.offload import Busy
from midge.auth.password_file import PasswordFile, parse
from midge.auth.passwords import PBKDF2, SHA512, PasswordHash, make_hash
from midge.errors import ConfigError
from midge.limits import PASSWORD_CACHE_MAX, PASSWORD_CACHE_S, PASSWORD_CACHED_BYTES_MAX
from midge.mqtt.reasons import CONNACK_V3, Reason
from tests.unit.auth.by_hand import ByHand

SALT = b"s" * 64
BOB = make_hash(PBKDF2, b"bobs", SALT, 5)
EVE = make_hash(PBKDF2, b"eves", SALT, 5)
OLD = make_hash(SHA512, b"olds", SALT)
TEXT = (
    f"# users\nbob:{BOB.encoded}\n\nno colon here\neve : {EVE.encoded} \nold:{OLD.encoded}:rest\n"
)


class Desk:
    """An authenticator, its work and its clock."""

    def __init__(self, text: str = TEXT) -> None:
        self.work = ByHand()
        self.file = PasswordFile(
            parse(text, "pw"), "pw", self.work, lambda: self.work.now, b"k" * 32
        )

    def come(self, name: str | None, password: bytes | None) -> tuple[int, str, Identity]:
        client = Identity("c", name, "192.0.2.1")
        decision = self.work.settled(self.file.authenticate(client, password))
        return decision.outcome, decision.text, client


def test_names_and_hashes_are_read_as_mosquitto_reads_them() -> None:
    users = parse(TEXT, "pw")
    assert {name: stored.encoded for name, stored in users.items()} == {
        "bob": BOB.encoded,
        "eve": EVE.encoded,
        "old": OLD.encoded,
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f" :{BOB.encoded}", "Empty username in password file 'pw'."),
        (f"bob:{BOB.encoded}", "Duplicate user 'bob' in password file 'pw'."),
        ("x:", "Invalid line in password file 'pw': x"),
        ("x:plain", "Unable to decode line in password file 'pw': of user 'x', it is not hashed"),
        ("x:$6$?$?", "Unable to decode line in password file 'pw': of user 'x'"),
        (f"{'n' * 65_536}:{BOB.encoded}", "Invalid line in password file 'pw', username too long."),
    ],
)
def test_a_line_that_cannot_be_used_is_an_error_with_its_place(line: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"bob:{BOB.encoded}\n{line}\n", "pw")
    assert str(caught.value).startswith(f"password-file: Error: {said}")
    assert (caught.value.file, caught.value.line) == ("pw", 2)
    assert "plain" not in str(caught.value)


def test_the_right_password_lets_in_and_the_wrong_one_does_not() -> None:
    desk = Desk()
    assert desk.come("bob", b"bobs")[0] == ALLOW
    assert desk.come("old", b"olds")[0] == ALLOW
    outcome, text, _ = desk.come("bob", b"eves")
    assert outcome == DENY
    assert text == "the password of user 'bob' is not the one in pw"


@pytest.mark.parametrize(
    ("name", "password"), [(None, None), (None, b"bobs"), ("bob", None), ("mal", b"bobs")]
)
def test_whom_the_file_does_not_know_it_leaves_to_others(
    name: str | None, password: bytes | None
) -> None:
    assert Desk().come(name, password)[0] == PASS


def test_nothing_is_hashed_before_the_answer_and_never_by_the_one_who_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    hashed: list[PasswordHash] = []

    def note(stored: PasswordHash, password: bytes) -> bool:
        hashed.append(stored)
        return True

    monkeypatch.setattr(password_file, "verify", note)
    decision = desk.file.authenticate(Identity("c", "bob"), b"bobs")
    assert decision.outcome == PENDING
    assert not hashed
    desk.work.do()
    assert len(hashed) == 1


@pytest.mark.parametrize("name", ["bob", "nobody"])
def test_a_name_that_is_not_there_is_hashed_as_one_that_is(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[tuple[str, int, str]] = []
    real = password_file.verify

    def note(stored: PasswordHash, password: bytes) -> bool:
        hashed.append(stored.cost())
        return real(stored, password)

    monkeypatch.setattr(password_file, "verify", note)
    desk = Desk()
    assert desk.come(name, b"wrong")[0] != ALLOW
    assert hashed == [(PBKDF2, 5, "sha512")]  # the dominant kind of the file
    assert desk.work.count == 1


def test_not_even_the_decoys_password_lets_an_unknown_name_in() -> None:
    desk = Desk()
    for password in (b"bobs", b"eves", b"olds"):
        assert desk.come("nobody", password)[0] == PASS
    assert Desk("").come("nobody", b"")[0] == PASS


def test_what_was_right_is_remembered_for_a_while_and_by_password() -> None:
    desk = Desk()
    assert desk.come("bob", b"bobs")[0] == ALLOW
    assert desk.work.count == 1
    assert desk.come("bob", b"bobs")[0] == ALLOW
    assert desk.work.count == 1
    assert desk.come("bob", b"eves")[0] == DENY
    assert desk.come("eve", b"bobs")[0] == DENY
    assert desk.work.count == 3
    desk.work.now = PASSWORD_CACHE_S
    assert desk.come("bob", b"bobs")[0] == ALLOW
    assert desk.work.count == 4


def test_a_wrong_password_is_never_remembered() -> None:
    desk = Desk()
    for count in range(1, 4):
        assert desk.come("bob", b"wrong")[0] == DENY
        assert desk.work.count == count


def test_the_memory_has_an_end_and_holds_no_password() -> None:
    desk = Desk()
    desk.come("bob", b"bobs")
    cache = desk.file._cache
    assert all(len(key) == 32 and b"bobs" not in key for key in cache)
    for number in range(PASSWORD_CACHE_MAX):
        desk.file._remember(number.to_bytes(32, "big"), 1.0)
    assert len(cache) == PASSWORD_CACHE_MAX
    assert desk.come("bob", b"bobs")[0] == ALLOW
    assert desk.work.count == 2  # it was the oldest, and had to go
    desk.file._remember(b"new", PASSWORD_CACHE_S + 2)
    assert list(cache) == [b"new"]


def test_a_very_long_password_is_not_remembered_because_that_costs_time_too() -> None:
    password = b"x" * (PASSWORD_CACHED_BYTES_MAX + 1)
    desk = Desk(f"bob:{make_hash(SHA512, password, SALT).encoded}")
    assert desk.come("bob", password)[0] == ALLOW
    assert desk.come("bob", password)[0] == ALLOW
    assert desk.work.count == 2


def test_where_there_is_no_room_the_answer_is_that_the_server_is_busy() -> None:
    desk = Desk()
    desk.work.full = True
    decision = desk.file.authenticate(Identity("c", "bob"), b"bobs")
    assert (decision.outcome, decision.reason) == (DENY, Reason.SERVER_BUSY)
    assert CONNACK_V3[decision.reason] == 3
    desk.work.full = False
    waiting = desk.file.authenticate(Identity("c", "bob"), b"bobs")
    desk.work.do(Busy())
    assert isinstance(waiting, Pending)
    assert waiting.settled is not None
    assert waiting.settled.reason == Reason.SERVER_BUSY


def test_a_fault_while_hashing_refuses_the_client() -> None:
    desk = Desk()
    waiting = desk.file.authenticate(Identity("c", "bob"), b"bobs")
    desk.work.do(MemoryError("no memory"))
    assert isinstance(waiting, Pending)
    assert waiting.settled is not None
    assert waiting.settled.outcome == DENY
    assert "MemoryError: no memory" in waiting.settled.text


def test_a_client_that_goes_takes_its_work_with_it() -> None:
    desk = Desk()
    waiting = desk.file.authenticate(Identity("c", "bob"), b"bobs")
    assert isinstance(waiting, Pending)
    waiting.cancel()
    assert desk.work.jobs[0].cancelled


def test_after_a_reload_those_stay_whose_line_is_the_same() -> None:
    desk = Desk()
    _, _, bob = desk.come("bob", b"bobs")
    _, _, eve = desk.come("eve", b"eves")
    _, _, old = desk.come("old", b"olds")
    again = make_hash(PBKDF2, b"eves", b"t" * 64, 5)
    after = Desk(f"bob:{BOB.encoded}\neve:{again.encoded}\n")
    assert after.file.still_valid(bob) is True
    assert after.file.still_valid(eve) is False
    assert after.file.still_valid(old) is False
    assert after.file.still_valid(Identity("c", "bob")) is None  # let in by something else
