"""Signals: what each of them asks for, with Mosquitto's meaning.

========  ==========================================================
TERM INT  stop, telling clients why
HUP       read the configuration again and open the log anew
USR1      write to the disk what should be there
USR2      print the tree of subscriptions on standard output
RTMIN     open the log anew: whoever rotates logs sends it
========  ==========================================================
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


class StoppedEarly(BaseException):
    """SIGTERM or SIGINT came before there was an event loop to handle it."""


class Actions(Protocol):
    """What can be asked for. All are called in the event loop."""

    def stop(self) -> None:
        """End."""
        ...

    def reload(self) -> None:
        """Read the configuration again."""
        ...

    def save(self) -> None:
        """Write what should be on the disk."""
        ...

    def show_tree(self) -> None:
        """Print the tree of subscriptions."""
        ...

    def rotate_log(self) -> None:
        """Open the log anew."""
        ...


def handle_early() -> None:
    """Until there is a loop: end on TERM and INT, and let no other signal end us."""

    def stop(number: int, frame: object) -> None:
        raise StoppedEarly

    for number in _STOPPING:
        signal.signal(number, stop)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN):
        signal.signal(number, signal.SIG_IGN)  # their default is to end us


def ignore_in(loop: asyncio.AbstractEventLoop) -> None:
    """The end has come, and whoever asks for it again cannot make it come otherwise."""
    for number in (*_STOPPING, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def handle_in(loop: asyncio.AbstractEventLoop, actions: Actions) -> None:
    """From here on, do what signals ask for."""
    for number in _STOPPING:
        loop.add_signal_handler(number, actions.stop)
    loop.add_signal_handler(signal.SIGHUP, actions.reload)
    loop.add_signal_handler(signal.SIGUSR1, actions.save)
    loop.add_signal_handler(signal.SIGUSR2, actions.show_tree)
    loop.add_signal_handler(signal.SIGRTMIN, actions.rotate_log)
