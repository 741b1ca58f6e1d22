"""Exceptions with pyzmq's names. All of them are a :class:`ZMQBaseError`, and a MidgeError."""

from __future__ import annotations

import errno as system
import os
from typing import NoReturn

from midge.errors import MidgeError
from midge.patterns.errors import ETERM, TEXTS, SocketError


def strerror(errno: int) -> str:
    """What an error number means."""
    return TEXTS.get(errno) or os.strerror(errno)


class DraftFDWarning(RuntimeWarning):
    """Kept for its name: the FD of a thread-safe socket is no trouble here."""

    def __init__(self, msg: str = "") -> None:
        super().__init__(msg or "FD of a thread-safe socket")


class ZMQBaseError(MidgeError):
    """Everything that midge.zmq raises on purpose."""


class ZMQError(ZMQBaseError):
    """A socket or context cannot do what it was asked to.

    Attributes:
        errno: why, as a number; see the names in :mod:`midge.zmq.constants`.
        strerror: why, in words.
    """

    errno: int | None = None
    strerror: str

    def __init__(self, errno: int | str | None = None, msg: str | None = None) -> None:
        if isinstance(errno, int):
            self.errno = int(errno)
            self.strerror = strerror(errno) if msg is None else msg
        else:
            self.strerror = str(errno) if msg is None else msg
        super().__init__(errno, self.strerror)

    def __str__(self) -> str:
        return self.strerror

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self}')"


class ZMQBindError(ZMQBaseError):
    """No port of the range is free: see ``Socket.bind_to_random_port``."""


class NotDone(ZMQBaseError):
    """The message has not left yet: see ``MessageTracker.wait``."""


class ContextTerminated(ZMQError):
    """The context has ended; so has whatever waited in it."""

    def __init__(self, errno: int | str = "", msg: str = "") -> None:
        super().__init__(ETERM)


class Again(ZMQError):
    """It could not be done at once, or in time."""

    def __init__(self, errno: int | str = "", msg: str = "") -> None:
        super().__init__(system.EAGAIN)


class InterruptedSystemCall(ZMQError, InterruptedError):  # type: ignore[misc]
    """Kept for its name: calls go on after a signal here."""

    errno = system.EINTR

    def __init__(self, errno: int | str = "", msg: str = "") -> None:
        super().__init__(system.EINTR)


class ZMQVersionError(NotImplementedError):
    """A feature needs a later version than ``zmq_version`` says."""

    def __init__(self, min_version: str, msg: str = "Feature") -> None:
        from midge.zmq.version import zmq_version

        self.msg = msg
        self.min_version = min_version
        self.version = zmq_version()
        super().__init__(min_version, msg)

    def __str__(self) -> str:
        return f"{self.msg} requires libzmq >= {self.min_version}, have {self.version}"

    def __repr__(self) -> str:
        return f"ZMQVersionError('{self}')"


def _check_version(min_version_info: tuple[int, ...], msg: str = "Feature") -> None:
    """Raise ZMQVersionError where the version is older."""
    from midge.zmq.version import zmq_version_info

    if zmq_version_info() < min_version_info:
        raise ZMQVersionError(".".join(map(str, min_version_info)), msg)


def raise_as_zmq(error: SocketError) -> NoReturn:
    """The same fault as the exception that programs written for pyzmq expect."""
    if error.errno == system.EAGAIN:
        raise Again from None
    if error.errno == ETERM:
        raise ContextTerminated from None
    raise ZMQError(error.errno, str(error)) from None


__all__ = [
    "Again",
    "ContextTerminated",
    "DraftFDWarning",
    "InterruptedSystemCall",
    "NotDone",
    "ZMQBaseError",
    "ZMQBindError",
    "ZMQError",
    "ZMQVersionError",
]
