"""Errors of ZeroMQ sockets: a number as libzmq has it, and a text."""

from __future__ import annotations

import errno
from typing import Final

from midge.errors import MidgeError

#: libzmq's own numbers begin here, so that they meet no other.
_OWN: Final = 156384712
#: The operation is not possible in the socket's present state.
EFSM: Final = _OWN + 51
#: The protocol is not compatible with the socket type.
ENOCOMPATPROTO: Final = _OWN + 52
#: The context was terminated.
ETERM: Final = _OWN + 53
#: There is no I/O thread.
EMTHREAD: Final = _OWN + 54

TEXTS: Final = {
    EFSM: "Operation cannot be accomplished in current state",
    ENOCOMPATPROTO: "The protocol is not compatible with the socket type",
    ETERM: "Context was terminated",
    EMTHREAD: "No thread available",
}


class SocketError(MidgeError):
    """A ZeroMQ socket cannot do what it was asked to.

    Attributes:
        errno: the number; libzmq's, or the system's.
    """

    def __init__(self, number: int, text: str = "") -> None:
        super().__init__(text or TEXTS.get(number) or errno.errorcode.get(number, str(number)))
        self.errno = number


def invalid(text: str) -> SocketError:
    """EINVAL, and why."""
    return SocketError(errno.EINVAL, text)


def not_supported(text: str) -> SocketError:
    """ENOTSUP, and why."""
    return SocketError(errno.ENOTSUP, text)
