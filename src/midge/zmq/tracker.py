"""MessageTracker: whether a message that was sent without a copy is done with."""

from __future__ import annotations

import time
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from midge.zmq.error import NotDone

if TYPE_CHECKING:
    from midge.zmq.frame import Frame


class Tracked(bytes):
    """The bytes of a message that somebody watches: when nobody holds them any more, it is done."""

    event: Event

    def __del__(self) -> None:
        event: Event | None = getattr(self, "event", None)
        if event is not None:
            event.set()


class MessageTracker:
    """Watches messages until the kernel has them, or the peer's socket in this process.

    Attributes:
        events: what is set when a message is done with.
        peers: other trackers that are watched as well.
    """

    events: set[Event]
    peers: set[MessageTracker]

    def __init__(self, *towatch: MessageTracker | Event | Frame) -> None:
        """Raises TypeError for what cannot be watched, ValueError for a frame without tracker."""
        self.events = set()
        self.peers = set()
        for one in towatch:
            if isinstance(one, Event):
                self.events.add(one)
            elif isinstance(one, MessageTracker):
                self.peers.add(one)
            else:
                self.peers.add(_tracker_of(one))

    @property
    def done(self) -> bool:
        """Whether all messages are done with."""
        return all(event.is_set() for event in self.events) and all(
            peer.done for peer in self.peers
        )

    def wait(self, timeout: float = -1) -> None:
        """Wait until they are, ``timeout`` seconds at most; -1: for ever.

        Raises:
            NotDone: they were not in time.
        """
        forever = timeout is False or timeout < 0
        deadline = None if forever else time.monotonic() + timeout
        for event in self._all_events():
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not event.wait(left_s):
                raise NotDone

    def _all_events(self) -> list[Event]:
        found = list(self.events)
        for peer in self.peers:
            found += peer._all_events()
        return found


def _tracker_of(frame: Any) -> MessageTracker:
    from midge.zmq.frame import Frame  # which makes trackers

    if not isinstance(frame, Frame):
        raise TypeError(f"Require Events or Message Frames, not {type(frame)}")
    if frame.tracker is None:
        raise ValueError("Not a tracked message")
    return frame.tracker


_FINISHED_TRACKER: Final = MessageTracker()

__all__ = ["_FINISHED_TRACKER", "MessageTracker"]
