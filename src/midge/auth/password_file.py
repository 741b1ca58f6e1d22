"""A password file of Mosquitto's form, and the authenticator that decides by it.

A line is ``user:hash``. Lines that begin with ``#`` and lines without a colon are passed over, as
Mosquitto does; a user who stands there twice or a hash that cannot be read is an error.

Whether a password is right is found out elsewhere (``offload``): hashing is slow on purpose. A
name that is not in the file is hashed all the same, against a hash of the kind that most of the
file has, so that the time of an answer does not tell which names there are. What was right is
remembered for a short time, so that clients that come back after a cut do so at once; the key of
that memory is a keyed digest, never the password.
"""

from __future__ import annotations

import hmac
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

from midge.auth.base import ALLOWED, PASS, Decision, Identity, deny
from midge.auth.offload import Offload, decide_elsewhere
from midge.auth.passwords import (
    ITERATIONS_DEFAULT,
    PBKDF2,
    MissingArgon2,
    PasswordHash,
    read_hash,
    verify,
)
from midge.errors import ConfigError
from midge.limits import (
    PASSWORD_CACHE_MAX,
    PASSWORD_CACHE_S,
    PASSWORD_CACHED_BYTES_MAX,
    STRING_BYTES_MAX,
)
from midge.mqtt.reasons import Reason
from midge.topics.names import shown

if TYPE_CHECKING:
    from collections.abc import Callable

_BLANKS: Final = " \t\n\v\f\r"


def parse(text: str, file: str) -> dict[str, PasswordHash]:
    """Read a password file.

    Args:
        text: its content; bytes that are not UTF-8 as surrogates.
        file: its path, for messages.

    Returns:
        The hash of each user.

    Raises:
        ConfigError: a line cannot be used; with file and line.
    """
    users: dict[str, PasswordHash] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#") or ":" not in line:
            continue
        fields = [field for field in line.split(":") if field]
        if not fields:
            continue
        name = fields[0].strip(_BLANKS)
        if len(name.encode(errors="surrogateescape")) > STRING_BYTES_MAX:
            what = f"Invalid line in password file '{file}', username too long."
        elif not name:
            what = f"Empty username in password file '{file}'."
        elif name in users:
            what = f"Duplicate user '{name}' in password file '{file}'."
        elif len(fields) == 1:
            what = f"Invalid line in password file '{file}': {name}"
        else:
            users[name] = _hash_of(fields[1].strip(_BLANKS), name, file, number)
            continue
        raise _fault(what, file, number)
    return users


def _hash_of(text: str, name: str, file: str, number: int) -> PasswordHash:
    try:
        return read_hash(text)
    except ValueError as error:
        what = f"Unable to decode line in password file '{file}': of user '{name}', {error}."
    except MissingArgon2 as error:
        what = f"Unable to decode line in password file '{file}': {error}."
    raise _fault(what, file, number)


def _fault(text: str, file: str, line: int) -> ConfigError:
    error = ConfigError(f"password-file: Error: {text}", file, line)
    error.add_note(f"Error found at {file}:{line}.")
    return error


class PasswordFile:
    """The :class:`~midge.auth.base.Authenticator` of a password file.

    Args:
        users: what :func:`parse` made of it.
        file: its path, for messages.
        offload: where passwords are hashed.
        now: the broker's clock.
        key: random bytes, new for each start, for the memory of what was right.
    """

    __slots__ = ("_cache", "_decoy", "_file", "_key", "_now", "_offload", "_users")

    def __init__(
        self,
        users: dict[str, PasswordHash],
        file: str,
        offload: Offload,
        now: Callable[[], float],
        key: bytes,
    ) -> None:
        self._users = users
        self._file = file
        self._offload = offload
        self._now = now
        self._key = key
        self._decoy = _decoy(users)
        self._cache: dict[bytes, float] = {}  # key of what was right, until when; oldest first

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        """See :meth:`midge.auth.base.Authenticator.authenticate`."""
        name = client.username
        if name is None:
            return Decision(PASS, "it gave no user name")
        if password is None:
            return Decision(PASS, f"{self._file}: it gave no password")
        stored = self._users.get(name)
        asked = self._decoy if stored is None else stored
        key = self._remembered_as(name, password, asked)
        if key is not None and self._cache.get(key, -1.0) > self._now():
            client.proof = asked
            return ALLOWED

        def judge(result: object, now: float) -> Decision:
            if isinstance(result, Exception):
                return deny(
                    f"{self._file}: checking the password of user {shown(name)} failed: "
                    f"{type(result).__name__}: {result}",
                    int(Reason.SERVER_UNAVAILABLE),
                )
            if stored is None:
                return Decision(PASS, f"user {shown(name)} is not in {self._file}")
            if result is not True:
                return deny(f"the password of user {shown(name)} is not the one in {self._file}")
            client.proof = stored
            if key is not None:
                self._remember(key, now)
            return ALLOWED

        return decide_elsewhere(
            self._offload, client.address, partial(verify, asked, password), judge
        )

    def still_valid(self, client: Identity) -> bool | None:
        """Whether a client that was let in by another edition of this file would be let in by it.

        ``None`` when it was let in by something else. Its password is not kept, so who has got a
        new hash must come again, even if it is of the same password.
        """
        if not isinstance(client.proof, PasswordHash) or client.username is None:
            return None
        stored = self._users.get(client.username)
        if stored is None or stored.encoded != client.proof.encoded:
            return False
        client.proof = stored
        return True

    def _remembered_as(self, name: str, password: bytes, stored: PasswordHash) -> bytes | None:
        if len(password) > PASSWORD_CACHED_BYTES_MAX:
            return None
        text = b"\0".join((name.encode(), stored.encoded.encode(), password))
        return hmac.digest(self._key, text, "sha256")

    def _remember(self, key: bytes, now: float) -> None:
        cache = self._cache
        cache.pop(key, None)
        while cache:
            oldest = next(iter(cache))
            if cache[oldest] > now and len(cache) < PASSWORD_CACHE_MAX:
                break
            del cache[oldest]
        cache[key] = now + PASSWORD_CACHE_S


def _decoy(users: dict[str, PasswordHash]) -> PasswordHash:
    """What names that are not there are checked against: as slow as most hashes of the file."""
    if not users:
        return PasswordHash(PBKDF2, "", b"\0" * 64, b"\0" * 64, ITERATIONS_DEFAULT)
    counts = Counter(stored.cost() for stored in users.values())
    dominant = counts.most_common(1)[0][0]
    return next(stored for stored in users.values() if stored.cost() == dominant)
