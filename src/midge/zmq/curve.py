"""Keys for CURVE, as Z85 text; made by PyNaCl (``midge[curve]``)."""

from __future__ import annotations

import errno

from midge.zmq.error import ZMQError
from midge.zmtp import z85


def _missing() -> ZMQError:
    return ZMQError(errno.ENOTSUP, "CURVE needs PyNaCl: pip install 'midge[curve]'")


def curve_keypair() -> tuple[bytes, bytes]:
    """A new public key and its secret key.

    Raises:
        ZMQError: ENOTSUP where PyNaCl is not installed.
    """
    try:
        from nacl.bindings import crypto_box_keypair
    except ImportError:
        raise _missing() from None
    public, secret = crypto_box_keypair()
    return z85.encode(public), z85.encode(secret)


def curve_public(secret_key: bytes | str) -> bytes:
    """The public key that belongs to a secret one.

    Raises:
        ZMQError: ENOTSUP where PyNaCl is not installed, EINVAL where this is no key.
    """
    try:
        from nacl.bindings import crypto_scalarmult_base
    except ImportError:
        raise _missing() from None
    text = secret_key.encode() if isinstance(secret_key, str) else secret_key
    if len(text) != 40:
        raise ZMQError(errno.EINVAL, "a secret key is 40 characters of Z85")
    try:
        secret = z85.decode(text)
    except ValueError as error:
        raise ZMQError(errno.EINVAL, str(error)) from None
    return z85.encode(crypto_scalarmult_base(secret))
