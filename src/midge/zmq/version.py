"""The versions whose interface this is: programs ask for them before they use a feature."""

from __future__ import annotations

from typing import Final

#: The libzmq whose behaviour, options and drafts are here.
_ZMQ: Final = (4, 3, 5)
#: The pyzmq whose names are here.
_PYZMQ: Final = (27, 1, 0)

VERSION_MAJOR, VERSION_MINOR, VERSION_PATCH = _PYZMQ
VERSION_EXTRA = ""
version_info: tuple[int, int, int] | tuple[int, int, int, float] = _PYZMQ
__version__ = ".".join(map(str, _PYZMQ))
__revision__ = ""


def zmq_version_info() -> tuple[int, int, int]:
    """The version of libzmq that this stands in for."""
    return _ZMQ


def zmq_version() -> str:
    """The same as text."""
    return ".".join(map(str, _ZMQ))


def pyzmq_version() -> str:
    """The version of pyzmq that this stands in for."""
    return __version__


def pyzmq_version_info() -> tuple[int, int, int] | tuple[int, int, int, float]:
    """The same as numbers."""
    return version_info


__all__ = [
    "__revision__",
    "__version__",
    "pyzmq_version",
    "pyzmq_version_info",
    "zmq_version",
    "zmq_version_info",
]
