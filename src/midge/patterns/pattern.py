"""What all socket types have in common, and how the engine and the program talk to them.

Nothing here calls out. What the engine must do is noted in lists, which it empties at the end of a
turn: ``dirty`` (pipes with something to send), ``resumed`` (pipes that have room for incoming
messages again), ``refused`` (pipes to close). So a pattern needs no sockets, no locks and no clock,
and two of them can be tied together in a test.

Nothing is dropped silently: :data:`CAUSES` names why messages are lost, and both the socket and the
pipe count them.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from midge.patterns.errors import SocketError, invalid, not_supported
from midge.patterns.options import Options
from midge.patterns.pipe import Command, Pipe

#: Why messages are lost.
FULL: Final = "full"
NO_PEER: Final = "no-peer"
UNROUTABLE: Final = "unroutable"
PEER_GONE: Final = "peer-gone"
CONNECTION_BROKE: Final = "connection-broke"
NOT_ASKED: Final = "not-asked"
MALFORMED: Final = "malformed"
UNWANTED: Final = "unwanted"
TOO_MANY: Final = "too-many"
REPLACED: Final = "replaced"
TOO_LARGE: Final = "too-large"
UNSENT: Final = "unsent"
CAUSES: Final = {
    FULL: "the peer is at its high-water mark, and this type does not wait",
    NO_PEER: "nobody is there to have it, and this type does not wait",
    UNROUTABLE: "no peer has the routing id that it is for",
    PEER_GONE: "it waited for a peer that has gone",
    CONNECTION_BROKE: "it was being written when the connection broke; some of it may be there",
    NOT_ASKED: "a reply that nobody waits for (any more)",
    MALFORMED: "its parts are not what this type takes",
    UNWANTED: "no subscription of ours matches it, or this type takes nothing from this peer",
    TOO_MANY: "a subscription beyond what one peer may have; counted, not a message",
    REPLACED: "a later one took its place (CONFLATE)",
    TOO_LARGE: "it does not fit into a datagram, or is larger than MAXMSGSIZE allows in one",
    UNSENT: "the system refused to send the datagram",
}


class Pattern:
    """The logic of one socket type.

    Attributes:
        type_name: ``"PUSH"``.
        options: the socket's.
        dirty, resumed, refused: see the module.
        dropped: messages lost, by cause.
        last_pipe: where the message came from that was received last.
    """

    __slots__ = (
        "_pipes",
        "_waiting",
        "dirty",
        "dropped",
        "last_pipe",
        "options",
        "refused",
        "resumed",
    )

    type_name = ""
    #: Several threads may use it at once; messages have one part.
    thread_safe = False
    #: CONFLATE means something; HELLO_MSG, DISCONNECT_MSG and HICCUP_MSG do.
    conflates = False
    greets = False
    tells_of_disconnects = False
    tells_of_hiccups = False

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        self.options = options
        self.dirty: list[Pipe] = []
        self.resumed: list[Pipe] = []
        self.refused: list[Pipe] = []
        self.dropped: dict[str, int] = {}
        self.last_pipe: Pipe | None = None
        self._pipes: dict[Pipe, None] = {}
        #: Pipes with something to receive, in the order of their turn.
        self._waiting: deque[Pipe] = deque()

    # -- told by the engine ---------------------------------------------------------------------

    def attach(self, pipe: Pipe) -> None:
        """A pipe is there: of a connect at once, of a bind after the handshake."""
        pipe.attached = True
        pipe.conflate = self.conflates and self.options.conflate
        self._pipes[pipe] = None

    def ready(self, pipe: Pipe) -> None:
        """The handshake of an attached pipe is done; again after each reconnect."""
        if self.greets and self.options.hello_message:
            self._put(pipe, self.options.hello_message)

    def lost(self, pipe: Pipe) -> None:
        """The connection of a connecting pipe broke; it will be tried again."""
        if self.tells_of_hiccups and self.options.hiccup_message:
            self.deliver(pipe, [self.options.hiccup_message])

    def detach(self, pipe: Pipe) -> None:
        """A pipe is gone for good. What was received from it can still be had."""
        if pipe.attached:
            pipe.attached = False
            self._pipes.pop(pipe, None)
            if self.tells_of_disconnects and not pipe.connecting:
                self._tell_gone(pipe)
        pipe.active = False
        lost = sum(1 for item in pipe.outgoing if type(item) is not Command)
        pipe.outgoing.clear()
        if lost:
            self._drop(pipe, PEER_GONE, lost)

    def lost_in_flight(self, pipe: Pipe, count: int) -> None:
        """The connection broke while so many messages were on their way to the kernel."""
        self._drop(pipe, CONNECTION_BROKE, count)

    def _tell_gone(self, pipe: Pipe) -> None:
        """Let the program know that a peer which had connected to us has gone."""
        if self.options.disconnect_message:
            self.deliver(pipe, [self.options.disconnect_message])

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """Messages came."""
        if not items:
            return
        if not pipe.incoming:
            self._waiting.append(pipe)
        if pipe.conflate:
            lost = len(items) - 1 + len(pipe.incoming)
            pipe.incoming.clear()
            pipe.incoming.append(items[-1])
            if lost:
                self._drop(pipe, REPLACED, lost)
            return
        pipe.incoming.extend(items)

    def subscribed(self, pipe: Pipe, prefix: bytes) -> None:
        """The peer wants messages that begin with ``prefix``."""

    def cancelled(self, pipe: Pipe, prefix: bytes) -> None:
        """It takes that back."""

    def joined(self, pipe: Pipe, group: bytes) -> None:
        """The peer wants the messages of ``group``."""

    def left(self, pipe: Pipe, group: bytes) -> None:
        """It takes that back."""

    def drained(self, pipe: Pipe) -> None:
        """The wire has taken messages: there may be room again."""

    def sources(self) -> int:
        """How many peers what can be received came from; some of them may have left since."""
        return len(self._waiting)

    # -- asked by the program -------------------------------------------------------------------

    def send(self, item: Any) -> bool:
        """Send a message.

        Returns:
            True when it was accepted, or dropped as this type must (and counted); false when the
            socket must wait.

        Raises:
            SocketError: this type cannot send (ENOTSUP), not now (EFSM), not to this peer
                (EHOSTUNREACH), or not such a message (EINVAL).
        """
        raise not_supported(f"{self.type_name} sockets do not send")

    def receive(self) -> Any:
        """The next message; ``None`` when there is none. From each peer with messages in turn.

        Raises:
            SocketError: this type cannot receive (ENOTSUP), or not now (EFSM).
        """
        waiting = self._waiting
        if not waiting:
            return None
        pipe = waiting[0]
        incoming = pipe.incoming
        item = incoming.popleft()
        self.last_pipe = pipe
        if not incoming:
            waiting.popleft()
        elif len(waiting) > 1:
            waiting.rotate(-1)
        if pipe.paused:
            self._relieve(pipe)
        return item

    def send_many(self, items: Sequence[Any]) -> int:
        """Send messages until one must wait; returns how many were accepted."""
        send = self.send
        for count, item in enumerate(items):
            if not send(item):
                return count
        return len(items)

    def receive_many(self, limit: int) -> list[Any]:
        """Up to ``limit`` messages that are there."""
        waiting = self._waiting
        if len(waiting) == 1 and type(self).receive is Pattern.receive:
            return self._receive_run(limit)
        found: list[Any] = []
        receive = self.receive
        while len(found) < limit:
            item = receive()
            if item is None:
                break
            found.append(item)
        return found

    def _receive_run(self, limit: int) -> list[Any]:
        """The same from the only peer that has sent anything, in one go."""
        pipe = self._waiting[0]
        incoming = pipe.incoming
        if len(incoming) <= limit:
            found = list(incoming)
            incoming.clear()
            self._waiting.popleft()
        else:
            take = incoming.popleft
            found = [take() for _ in range(limit)]
        self.last_pipe = pipe
        if pipe.paused:
            self._relieve(pipe)
        return found

    def take_back(self, item: Any) -> bool:
        """The program does not want what it has just received, and will ask for it again.

        Returns:
            False where it does not matter to this type what the program has received.
        """
        return False

    def _take_back(self, pipe: Pipe | None, item: Any) -> None:
        if pipe is not None:
            if not pipe.incoming:
                self._waiting.appendleft(pipe)
            pipe.incoming.appendleft(item)

    def can_send(self) -> bool:
        """Whether :meth:`send` would not have to wait."""
        return False

    def may_send(self) -> bool:
        """Whether a message may begin, of which nothing but that is known.

        Raises:
            SocketError: this type cannot send (ENOTSUP), or not now (EFSM).
        """
        raise not_supported(f"{self.type_name} sockets do not send")

    def can_receive(self) -> bool:
        """Whether :meth:`receive` would give something."""
        return bool(self._waiting)

    def subscribe(self, prefix: bytes) -> None:
        """Ask for messages; see SUBSCRIBE.

        Raises:
            SocketError: EINVAL where this type has no subscriptions.
        """
        raise invalid(f"{self.type_name} sockets have no subscriptions")

    def unsubscribe(self, prefix: bytes) -> None:
        """Take one subscription back; see :meth:`subscribe`."""
        raise invalid(f"{self.type_name} sockets have no subscriptions")

    def join(self, group: bytes) -> None:
        """Ask for the messages of a group.

        Raises:
            SocketError: EINVAL where this type has no groups, or is in it already.
        """
        raise invalid(f"{self.type_name} sockets have no groups")

    def leave(self, group: bytes) -> None:
        """Take that back; see :meth:`join`."""
        raise invalid(f"{self.type_name} sockets have no groups")

    def peers(self) -> list[Pipe]:
        """The pipes, ready or not, the oldest first."""
        return list(self._pipes)

    def subscriber_count(self, prefix: bytes | None = None) -> int:
        """How many peers get what begins with ``prefix``, or have subscribed to anything."""
        return 0

    def topics_count(self) -> int:
        """How many different prefixes are subscribed to."""
        return 0

    # -- for the types --------------------------------------------------------------------------

    def _put(self, pipe: Pipe, item: Any) -> None:
        """Put something into the pipe, whatever the marks say."""
        pipe.outgoing.append(item)
        if not pipe.dirty:
            pipe.dirty = True
            self.dirty.append(pipe)

    def _replace(self, pipe: Pipe, item: Any) -> None:
        """Put a message into the pipe in the place of those that wait there (CONFLATE)."""
        if type(item) is list:
            raise invalid("a socket with CONFLATE sends messages of one part")
        lost = len(pipe.outgoing)
        pipe.outgoing.clear()
        self._put(pipe, item)
        if lost:
            self._drop(pipe, REPLACED, lost)

    def _drop(self, pipe: Pipe | None, cause: str, count: int = 1) -> None:
        """Count what is lost; what leaves ``incoming`` must have left it before."""
        self.dropped[cause] = self.dropped.get(cause, 0) + count
        if pipe is not None:
            pipe.dropped[cause] = pipe.dropped.get(cause, 0) + count
            if pipe.paused:
                self._relieve(pipe)

    def count_dropped(self, pipe: Pipe, cause: str) -> None:
        """The engine has dropped one message, on its way in or out."""
        self._drop(pipe, cause)

    def _relieve(self, pipe: Pipe) -> None:
        """Have the engine read on from a paused pipe, if half of its room is free again."""
        if len(pipe.incoming) <= pipe.receive_mark >> 1:
            pipe.paused = False
            self.resumed.append(pipe)

    def _refuse(self, pipe: Pipe) -> None:
        """Have the engine close a pipe that this socket cannot have."""
        self._pipes.pop(pipe, None)
        pipe.attached = False
        self.refused.append(pipe)

    def _forget_incoming(self, pipe: Pipe, cause: str) -> None:
        """What came from a pipe is not for the program any more."""
        lost = len(pipe.incoming)
        if lost:
            pipe.incoming.clear()
            self._waiting.remove(pipe)
            self._drop(pipe, cause, lost)


def unreachable(text: str) -> SocketError:
    """EHOSTUNREACH, and why."""
    return SocketError(errno.EHOSTUNREACH, text)


def create(type_name: str, options: Options, random: Callable[[int], bytes]) -> Pattern:
    """The logic of a socket type.

    Args:
        random: gives as many random bytes as it is asked for: where generated ids begin.

    Raises:
        SocketError: EINVAL for a type that there is not.
    """
    # Imported here: the types build on this module.
    from midge.patterns.types import TYPES

    made = TYPES.get(type_name)
    if made is None:
        raise invalid(f"there is no socket type {type_name}")
    return made(options, random)
