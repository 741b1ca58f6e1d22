"""Sockets that whoever started us has opened: systemd's socket activation.

``LISTEN_FDS`` descriptors from the third on listen already, if ``LISTEN_PID`` is us. A listener of
the configuration whose address one of them has uses it, and opens none itself: so a unit's
``ListenStream=1883`` goes with ``listener 1883``, connections are taken while the broker restarts,
and a port below 1024 needs no rights.

The descriptors themselves stay open for as long as we run, and listeners get copies: systemd has
theirs as well, so a listener that a reload closes could not bind its address again.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

from midge.net.listener import resolve

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from midge.config.settings import ListenerSettings

#: The first descriptor that is passed (sd_listen_fds(3)).
_FIRST: Final = 3
#: More are not looked at; systemd's own limit of descriptors of a service is lower.
_SOCKETS_MAX: Final = 1024
#: What ``socket_domain`` names.
FAMILIES: Final = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


class GivenSockets:
    """The sockets we were given, and which of them some listener uses.

    Attributes:
        sockets: those that listen for streams.
        useless: what else was given, in words.
    """

    __slots__ = ("_used", "sockets", "useless")

    def __init__(self, sockets: list[socket.socket] | None = None) -> None:
        self.sockets: list[socket.socket] = []
        self.useless: list[str] = []
        self._used: set[socket.socket] = set()
        for given in sockets or []:
            if _listens(given):
                given.set_inheritable(False)
                given.setblocking(False)
                self.sockets.append(given)
            else:
                self.useless.append(f"descriptor {given.fileno()} does not listen for streams")
                given.close()

    def take(self, settings: ListenerSettings) -> list[socket.socket]:
        """Copies of the sockets that have a listener's address; empty when there is none.

        Raises:
            OSError: its host or interface is not known.
        """
        if not self.sockets:
            return []
        places = _places(settings)
        found = [given for given in self.sockets if _place(given) in places]
        self._used.update(found)
        return [given.dup() for given in found]

    def unused(self) -> list[str]:
        """What no listener has taken, and what none can, in words."""
        idle = [given for given in self.sockets if given not in self._used]
        return [f"no listener has the address {_shown(given)}" for given in idle] + self.useless

    def close(self) -> None:
        """Let go of all of them."""
        for given in self.sockets:
            given.close()
        self.sockets = []


def given_sockets(environment: MutableMapping[str, str]) -> GivenSockets:
    """The sockets that the environment speaks of, which is freed of it: no child has them."""
    meant_for = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if meant_for != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return GivenSockets()
    found: list[socket.socket] = []
    useless: list[str] = []
    for descriptor in range(_FIRST, _FIRST + min(int(count[:9]), _SOCKETS_MAX)):
        try:
            found.append(socket.socket(fileno=descriptor))
        except OSError:
            useless.append(f"descriptor {descriptor} is no socket")
    given = GivenSockets(found)
    given.useless += useless
    return given


def _listens(given: socket.socket) -> bool:
    if given.type != socket.SOCK_STREAM:
        return False
    if given.family not in (socket.AF_UNIX, *FAMILIES.values()):
        return False
    return bool(given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _place(given: socket.socket) -> object:
    """Where a socket listens, so that it can be compared."""
    name = given.getsockname()
    if given.family == socket.AF_UNIX:
        return os.path.abspath(name)
    return given.family, name[0].partition("%")[0], name[1]


def _places(settings: ListenerSettings) -> set[object]:
    """Where a listener would listen."""
    if settings.unix_path is not None:
        return {os.path.abspath(settings.unix_path)}
    family = int(FAMILIES.get(settings.socket_domain or "", 0))
    found = resolve(settings.host, settings.port, family, settings.bind_interface)
    return {(place[0], str(place[4][0]).partition("%")[0], settings.port) for place in found}


def _shown(given: socket.socket) -> str:
    name = given.getsockname()
    return str(name) if given.family == socket.AF_UNIX else f"{name[0]} port {name[1]}"
