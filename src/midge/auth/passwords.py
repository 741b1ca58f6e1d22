"""Hashed passwords in the three forms that Mosquitto has had, and one that a plugin of it has.

* ``$7$ROUNDS$SALT$HASH``: PBKDF2 with HMAC-SHA-512, what Mosquitto 2 makes;
* ``$6$SALT$HASH``: one round of SHA-512 over password and salt, what Mosquitto 1.6 made. Such a
  hash is found by trying billions of passwords a second: ``midge passwd`` only makes it when asked;
* ``$argon2id$...``: what Mosquitto recommends; needs ``argon2-cffi``, the extra ``midge[argon2]``;
* ``PBKDF2$sha512$ROUNDS$SALT$HASH``: what the program ``pw`` of mosquitto-go-auth makes, also with
  ``sha256``. It is read only.

A password is bytes and is compared whole: with a NUL in it, it is not cut there as in C. Comparing
takes the same time wherever the difference is.

Hashing is slow on purpose, so nothing here may be called in the thread of a broker: see
``password_file``. Salts come from the caller, who has the randomness.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

SHA512: Final = "sha512"
PBKDF2: Final = "sha512-pbkdf2"
ARGON2ID: Final = "argon2id"
#: The kinds of hashes, by the names that ``mosquitto_passwd -H`` has for them.
KINDS: Final = (ARGON2ID, PBKDF2, SHA512)

#: Bytes of the salt in a new hash. Mosquitto 2.0 reads no other length, 2.1 reads these and its own
#: 64; so a file can be taken back to either.
SALT_BYTES: Final = 12
#: Rounds of PBKDF2 in a new hash, as in Mosquitto 2.1.
ITERATIONS_DEFAULT: Final = 1000
_SALTS: Final = (SALT_BYTES, 64)
_DIGEST_BYTES: Final = 64
#: What ``pw`` may be told to make: any salt, and a digest of 16 bytes up to that of its function.
_PLUGIN_SALT_BYTES_MAX: Final = 64
_PLUGIN_DIGEST_BYTES_LEAST: Final = 16
_PLUGIN_FUNCTIONS: Final = ("sha256", "sha512")
#: Argon2id as Mosquitto 2.1 makes it: one pass over 46 MiB in one lane.
_ARGON2_PASSES: Final = 1
_ARGON2_KIB: Final = 47_104
_ARGON2_LANES: Final = 1
_ARGON2_DIGEST_BYTES: Final = 64


class PasswordHash:
    """A hashed password.

    Attributes:
        kind: ``SHA512``, ``PBKDF2`` or ``ARGON2ID``.
        encoded: the whole text, as it stands in a file.
        salt, digest: of the first two kinds.
        iterations: rounds of PBKDF2.
        function: the hash function of PBKDF2.
    """

    __slots__ = ("digest", "encoded", "function", "iterations", "kind", "salt")

    def __init__(
        self,
        kind: str,
        encoded: str,
        salt: bytes = b"",
        digest: bytes = b"",
        iterations: int = 0,
        function: str = "sha512",
    ) -> None:
        self.function = function
        self.kind = kind
        self.encoded = encoded
        self.salt = salt
        self.digest = digest
        self.iterations = iterations

    def cost(self) -> tuple[str, int, str]:
        """What checking a password against it costs: equal for hashes that take equally long."""
        return self.kind, self.iterations, self.function


def read_hash(text: str) -> PasswordHash:
    """Read a hash as it stands in a password file.

    Raises:
        ValueError: it is none that is known; the text says what is wrong, without showing it.
        MissingArgon2: it is one of Argon2, and the library for that is not installed.
    """
    if text.startswith("$argon2id$"):
        _check_argon2(text)
        return PasswordHash(ARGON2ID, text)
    parts = text.split("$")
    if parts[:2] == ["", "6"] and len(parts) == 4:
        salt, digest = _salt_and_digest(parts[2], parts[3])
        return PasswordHash(SHA512, text, salt, digest)
    if parts[:2] == ["", "7"] and len(parts) == 5:
        rounds = _rounds(parts[2])
        salt, digest = _salt_and_digest(parts[3], parts[4])
        return PasswordHash(PBKDF2, text, salt, digest, rounds)
    if parts[0] == "PBKDF2" and len(parts) == 5:
        return _read_plugins_hash(text, parts)
    if not text.startswith("$"):
        raise ValueError("it is not hashed; 'midge passwd -U FILE' hashes all passwords of a file")
    raise ValueError("it is no hash that is known: $6$, $7$ or $argon2id$")


def _rounds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or not 0 < int(text) < 2**31:
        raise ValueError("the number of rounds is not one")
    return int(text)


def _read_plugins_hash(text: str, parts: list[str]) -> PasswordHash:
    function = parts[1]
    if function not in _PLUGIN_FUNCTIONS:
        raise ValueError("its hash function is not sha256 or sha512")
    salt, digest = _decoded(parts[3], parts[4])
    longest = hashlib.new(function).digest_size
    if len(salt) > _PLUGIN_SALT_BYTES_MAX or not (
        _PLUGIN_DIGEST_BYTES_LEAST <= len(digest) <= longest
    ):
        raise ValueError("salt or hash has another length than any that is made")
    return PasswordHash(PBKDF2, text, salt, digest, _rounds(parts[2]), function)


def _salt_and_digest(salt_text: str, digest_text: str) -> tuple[bytes, bytes]:
    salt, digest = _decoded(salt_text, digest_text)
    if len(salt) not in _SALTS or len(digest) != _DIGEST_BYTES:
        raise ValueError("salt or hash has another length than any that is made")
    return salt, digest


def _decoded(salt_text: str, digest_text: str) -> tuple[bytes, bytes]:
    try:
        salt = base64.b64decode(salt_text, validate=True)
        digest = base64.b64decode(digest_text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("salt or hash is not base64") from None
    return salt, digest


def make_hash(
    kind: str, password: bytes, salt: bytes, iterations: int = ITERATIONS_DEFAULT
) -> PasswordHash:
    """Hash a password. Slow: not for the thread of a broker.

    Args:
        kind: one of ``KINDS``.
        salt: ``SALT_BYTES`` random bytes.
        iterations: for ``PBKDF2``.

    Raises:
        ValueError: the kind is ``PBKDF2``, and the password ends with NUL, which it cannot tell.
        MissingArgon2: the kind is ``ARGON2ID``, and its library is not installed.
    """
    if not _is_whole(kind, password):
        raise ValueError("a password that ends with NUL cannot be hashed with PBKDF2")
    if kind == ARGON2ID:
        return PasswordHash(ARGON2ID, _argon2_encode(password, salt))
    digest = _digest(kind, password, salt, iterations)
    salt_text = base64.b64encode(salt).decode()
    digest_text = base64.b64encode(digest).decode()
    if kind == SHA512:
        return PasswordHash(kind, f"$6${salt_text}${digest_text}", salt, digest)
    encoded = f"$7${iterations}${salt_text}${digest_text}"
    return PasswordHash(kind, encoded, salt, digest, iterations)


def verify(stored: PasswordHash, password: bytes) -> bool:
    """Whether a password is the one that was hashed. Slow: not for the thread of a broker."""
    if stored.kind == ARGON2ID:
        return _argon2_verify(stored.encoded, password)
    if stored.kind == PBKDF2:
        length = len(stored.digest)
        function, rounds = stored.function, stored.iterations
        digest = hashlib.pbkdf2_hmac(function, password, stored.salt, rounds, length)
    else:
        digest = _digest(stored.kind, password, stored.salt, stored.iterations)
    return hmac.compare_digest(digest, stored.digest) and _is_whole(stored.kind, password)


def _is_whole(kind: str, password: bytes) -> bool:
    """Whether the hash tells this password from others.

    PBKDF2 uses it as the key of an HMAC, and such a key is filled up with NULs (RFC 2104 section
    2): with PBKDF2, a password and the same with NULs behind it have the same hash.
    """
    return kind != PBKDF2 or not password.endswith(b"\0")


def _digest(kind: str, password: bytes, salt: bytes, iterations: int) -> bytes:
    if kind == SHA512:
        return hashlib.sha512(password + salt).digest()
    return hashlib.pbkdf2_hmac("sha512", password, salt, iterations)


# -- Argon2 -----------------------------------------------------------------------------------


class MissingArgon2(Exception):
    """A hash of Argon2 is there, but the library for it is not."""

    def __init__(self) -> None:
        super().__init__("Argon2 needs the library argon2-cffi: pip install 'midge[argon2]'")


def _check_argon2(text: str) -> None:
    try:
        import argon2
    except ImportError:
        raise MissingArgon2 from None
    try:
        argon2.extract_parameters(text)
    except (argon2.exceptions.InvalidHashError, ValueError):
        raise ValueError("it is not a hash of Argon2, although it begins like one") from None


def _argon2_encode(password: bytes, salt: bytes) -> str:
    try:
        from argon2 import low_level
    except ImportError:
        raise MissingArgon2 from None
    return low_level.hash_secret(
        password,
        salt,
        _ARGON2_PASSES,
        _ARGON2_KIB,
        _ARGON2_LANES,
        _ARGON2_DIGEST_BYTES,
        low_level.Type.ID,
    ).decode()


def _argon2_verify(encoded: str, password: bytes) -> bool:
    from argon2 import exceptions, low_level

    try:
        return low_level.verify_secret(encoded.encode(), password, low_level.Type.ID)
    except exceptions.VerifyMismatchError:
        return False
