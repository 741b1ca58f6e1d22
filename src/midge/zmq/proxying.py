"""proxy: what comes at one socket goes out at the other; a broker in one call.

Messages are moved in batches, whole as they are. A side that has no room holds up the other side's
messages, not its own.
"""

from __future__ import annotations

import errno
from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from midge.net.zeromq.waiting import wait_any
from midge.patterns.errors import SocketError
from midge.zmq.error import ZMQError, raise_as_zmq

if TYPE_CHECKING:
    from midge.net.zeromq.blocking import BlockingEngine
    from midge.zmq.socket import Socket

_IN: Final = 1
_OUT: Final = 2
#: Messages that are moved before the other side has its turn.
_BATCH: Final = 500
_STATISTICS: Final = Struct("=Q")

#: Types that only send.
_SENDERS: Final = frozenset({"PUSH", "PUB", "SCATTER", "RADIO"})

RUNNING: Final = "running"
PAUSED: Final = "paused"
TERMINATED: Final = "terminated"


class Side:
    """One socket of a proxy, with what was taken from it and not yet sent on.

    Attributes:
        receives: messages can come in here.
        messages_in, bytes_in, messages_out, bytes_out: counted, as libzmq's STATISTICS has them.
    """

    def __init__(self, socket: BlockingEngine) -> None:
        self.socket = socket
        self.receives = socket.engine.type_name not in _SENDERS
        self.held: deque[Any] = deque()
        self.messages_in = 0
        self.bytes_in = 0
        self.messages_out = 0
        self.bytes_out = 0


class Proxy:
    """Moves messages between two sockets.

    Attributes:
        front, back: the two sides; the same one where there is only one socket.
        state: ``RUNNING``, ``PAUSED`` or ``TERMINATED``.
    """

    def __init__(
        self, front: BlockingEngine, back: BlockingEngine, capture: BlockingEngine | None = None
    ) -> None:
        self.front = Side(front)
        self.back = self.front if back is front else Side(back)
        self.capture = capture
        self.state = RUNNING

    def step(self, control: BlockingEngine | None = None, timeout_ms: int = -1) -> bool:
        """Wait for something and do it; true when ``control`` has a message.

        Raises:
            SocketError: ETERM when the context ends.
        """
        items: list[tuple[BlockingEngine | int, int]] = []
        sides = [self.front] if self.front is self.back else [self.front, self.back]
        if self.state == RUNNING:
            for side in sides:
                other = self.back if side is self.front else self.front
                # What is held for a side waits for its room, what is not held for being there.
                wants = side.receives and not side.held
                mask = (_IN if wants else 0) | (_OUT if other.held else 0)
                items.append((side.socket, mask))
        if control is not None:
            items.append((control, _IN))
        ready = dict(wait_any(items, timeout_ms))
        if self.state == RUNNING:
            for side in sides:
                other = self.back if side is self.front else self.front
                self._move(side, other)
        return control is not None and len(items) - 1 in ready

    def _move(self, source: Side, target: Side) -> None:
        held = source.held
        if not held and source.receives:
            held.extend(self._take(source))
        while held:
            item = held[0]
            if not target.socket.send(item, 0):
                return
            held.popleft()
            target.messages_out += 1
            target.bytes_out += _size(item)
            if self.capture is not None:
                self.capture.send(item, -1)
        target.socket.flush()
        if self.capture is not None:
            self.capture.flush()

    def _take(self, source: Side) -> list[Any]:
        items = source.socket.receive_many(_BATCH, 0)
        source.messages_in += len(items)
        source.bytes_in += sum(map(_size, items))
        return items

    def statistics(self) -> list[bytes]:
        """Messages and bytes in and out of the front, then of the back."""
        return [
            _STATISTICS.pack(number)
            for side in (self.front, self.back)
            for number in (side.messages_in, side.bytes_in, side.messages_out, side.bytes_out)
        ]

    def obey(self, command: bytes) -> list[bytes] | None:
        """Do what PAUSE, RESUME, TERMINATE or STATISTICS says; the last has an answer.

        Raises:
            SocketError: EINVAL for another command.
        """
        if command == b"PAUSE":
            self.state = PAUSED
        elif command == b"RESUME":
            self.state = RUNNING
        elif command in (b"TERMINATE", b"KILL"):
            self.state = TERMINATED
        elif command == b"STATISTICS":
            return self.statistics()
        else:
            raise SocketError(errno.EINVAL, f"a proxy knows no command {command!r}")
        return None


def _size(item: Any) -> int:
    return sum(map(len, item)) if type(item) is list else len(item)


def proxy(frontend: Socket[Any], backend: Socket[Any], capture: Socket[Any] | None = None) -> None:
    """Move messages between two sockets until their context ends.

    Args:
        capture: is sent a copy of every message.

    Raises:
        ContextTerminated: it has ended.
    """
    proxy_steerable(frontend, backend, capture, None)


def proxy_steerable(
    frontend: Socket[Any],
    backend: Socket[Any],
    capture: Socket[Any] | None = None,
    control: Socket[Any] | None = None,
) -> None:
    """The same, until ``control`` receives TERMINATE; it also takes PAUSE, RESUME, STATISTICS."""
    moving = Proxy(
        _engine(frontend), _engine(backend), None if capture is None else _engine(capture)
    )
    steering = None if control is None else _engine(control)
    try:
        while moving.state != TERMINATED:
            if moving.step(steering) and steering is not None:
                item = steering.receive(0)
                if item is None:
                    continue
                answer = moving.obey(bytes(item[0] if type(item) is list else item))
                if answer is not None:
                    steering.send(answer, -1)
                elif steering.engine.type_name == "REP":
                    steering.send(b"", -1)
    except SocketError as error:
        raise_as_zmq(error)


def _engine(socket: Socket[Any]) -> BlockingEngine:
    core = getattr(socket, "_core", None)
    if core is None:
        raise TypeError(f"a proxy moves messages between sockets, not {socket!r}")
    if socket.closed:
        raise ZMQError(88, "a socket of the proxy is closed")
    blocking: BlockingEngine = core.blocking
    return blocking


def device(device_type: int, frontend: Socket[Any], backend: Socket[Any]) -> None:
    """The old name of :func:`proxy`."""
    proxy(frontend, backend)


__all__ = ["device", "proxy", "proxy_steerable"]
