"""Certificates: the keys of CURVE in files, in the form that CZMQ and pyzmq read and write."""

from __future__ import annotations

import datetime
import os
from typing import Final

from midge.zmq.curve import curve_keypair

_PUBLIC_HEAD: Final = """\
#   {now}: a public certificate for CURVE.
#   Give it to those who shall know this party, by a way that you trust.

"""
_SECRET_HEAD: Final = """\
#   {now}: a SECRET certificate for CURVE.
#   Whoever has this file can pose as this party. Give it to nobody.

"""

Path = str | os.PathLike[str]


def _write(
    path: str,
    head: str,
    public: bytes,
    secret: bytes | None,
    metadata: dict[str, str] | None,
) -> None:
    lines = [head.format(now=datetime.datetime.now().isoformat(" ", "seconds")), "metadata\n"]
    lines += [f"    {name} = {value}\n" for name, value in (metadata or {}).items()]
    lines += ["curve\n", f'    public-key = "{public.decode()}"\n']
    if secret is not None:
        lines.append(f'    secret-key = "{secret.decode()}"\n')
    mode = 0o600 if secret is not None else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write("".join(lines))


def create_certificates(
    key_dir: Path, name: str, metadata: dict[str, str] | None = None
) -> tuple[str, str]:
    """Make a pair of keys; returns the paths of the public and the secret certificate.

    The secret one, ``NAME.key_secret``, is readable for its owner alone.

    Raises:
        ZMQError: ENOTSUP where PyNaCl is not installed.
        OSError: a file cannot be written.
    """
    public, secret = curve_keypair()
    base = os.path.join(key_dir, name)
    _write(f"{base}.key", _PUBLIC_HEAD, public, None, metadata)
    _write(f"{base}.key_secret", _SECRET_HEAD, public, secret, metadata)
    return f"{base}.key", f"{base}.key_secret"


def load_certificate(filename: Path) -> tuple[bytes, bytes | None]:
    """The public and the secret key of a certificate; ``None`` where it has no secret one.

    Raises:
        OSError: there is no such file.
        ValueError: there is no public key in it.
    """
    if not os.path.exists(filename):
        raise OSError(f"Invalid certificate file: {filename}")
    keys: dict[bytes, bytes] = {}
    with open(filename, "rb") as file:
        for line in file:
            name, equals, value = line.strip().partition(b"=")
            if equals and not name.startswith(b"#"):
                keys.setdefault(name.strip(), value.strip(b" \t'\""))
    public = keys.get(b"public-key")
    if not public:
        raise ValueError(f"No public key found in {filename}")
    return public, keys.get(b"secret-key")


def load_certificates(directory: Path = ".") -> dict[bytes, bool]:
    """The public keys of all ``*.key`` files of a directory, as the keys of a dictionary.

    Raises:
        OSError: there is no such directory.
        ValueError: a file has no public key.
    """
    if not os.path.isdir(directory):
        raise OSError(f"Invalid certificate directory: {directory}")
    return {
        load_certificate(os.path.join(directory, name))[0]: True
        for name in sorted(os.listdir(directory))
        if name.endswith(".key")
    }


__all__ = ["create_certificates", "load_certificate", "load_certificates"]
