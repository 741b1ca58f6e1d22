"""inproc: two sockets of one context, with a mailbox for each instead of a connection.

A message is handed over as the object that it is. The two ends may live on different threads or
loops; what crosses between them is appended to a deque, and the other side is woken when it has not
been woken yet. No lock of one socket is ever waited for by the other.

The marks of both sides add up. How many messages are on their way is counted where they lie, in the
other side's mailbox and pipe: counting them twice would need a message back for each. A sender
that finds no room asks the receiver's pipe to report when it has some again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from midge.patterns.pipe import CANCEL, JOIN, LEAVE, SUBSCRIBE, Command, Encoded
from midge.zmtp.metadata import find_property

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine
    from midge.patterns.pipe import Pipe

#: The last thing in a mailbox: the other side has gone.
_GONE: Final = object()


class InprocListener:
    """A name that an engine has bound."""

    __slots__ = ("closed", "endpoint", "engine", "name", "wanted")

    def __init__(self, engine: SocketEngine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.wanted = self.endpoint = f"inproc://{name}"
        self.closed = False

    def accept_on(self) -> None:
        """There is no backlog here."""

    def close(self) -> None:
        """Give the name back; peers stay."""
        if not self.closed:
            self.closed = True
            self.engine.context.unbind_inproc(self.name, self)


class InprocWire:
    """One end.

    Attributes:
        engine, pipe: whose end it is.
        peer: the other end; none while nobody has bound the name.
        mailbox: what the other end has sent and this one has not taken yet.
        identity, receive_mark, send_mark: what the other end wants to know, copied when this one
            was made, so that no thread looks into the options of another.
    """

    __slots__ = (
        "_blocked",
        "_scheduled",
        "address",
        "closed",
        "connector",
        "endpoint",
        "engine",
        "finishing",
        "identity",
        "mailbox",
        "peer",
        "pipe",
        "properties",
        "ready",
        "receive_mark",
        "send_mark",
    )

    def __init__(self, engine: SocketEngine, endpoint: str) -> None:
        options = engine.options
        self.engine = engine
        self.endpoint = endpoint
        self.address = ""
        self.connector = None
        self.peer: InprocWire | None = None
        self.pipe: Pipe | None = None
        self.ready = False
        self.closed = False
        self.finishing = False
        self.mailbox: deque[Any] = deque()
        self.identity: bytes = options.routing_id
        self.properties: dict[str, bytes] = dict(options.metadata)
        self.send_mark: int = options.send_mark
        self.receive_mark: int = options.receive_mark
        self._scheduled = False
        self._blocked = False

    # -- being joined --------------------------------------------------------------------------

    def join(self, peer: InprocWire) -> None:
        """Be one end of a pair; the other end's thread does the same for its own."""
        self.peer = peer

    def post(self, callback: Callable[[], None]) -> None:
        """Have something done by this end's own reactor; from any thread."""
        self.engine.reactor.call_soon_threadsafe(callback)

    def met(self) -> None:
        """The other end is there: tell the pattern who it is, and let waiting messages go."""
        peer = self.peer
        if peer is None or not self.introduce():
            return
        self.write()
        self.drain()
        # It may have filled its mark while this end had no pipe that could have been asked to tell.
        peer.post(peer.unblock)

    def introduce(self) -> bool:
        """Tell the pattern who the other end is; ``False``: there is none, or it knows."""
        if self.closed or self.peer is None or self.ready:
            return False
        self.ready = True
        self.engine.inproc.ready(self, self.peer)
        return True

    # -- in ------------------------------------------------------------------------------------

    def arrived(self) -> None:
        """Something was put into the mailbox; from any thread."""
        if not self._scheduled:
            self._scheduled = True
            self.engine.reactor.call_soon_threadsafe(self.drain)

    def drain(self) -> None:
        """Take what is in the mailbox."""
        self._scheduled = False  # first: what comes from here on schedules anew
        if self.take():
            self.engine.turn()

    def take(self) -> bool:
        """Move the mailbox into the pipe; returns whether there was anything."""
        mailbox = self.mailbox
        pipe = self.pipe
        if not mailbox or not self.ready or self.closed or pipe is None:
            return False
        items = [mailbox.popleft() for _ in range(len(mailbox))]
        gone = items[-1] is _GONE
        if gone:
            items.pop()
        pattern = self.engine.pattern
        if items:
            if any(type(item) is Command for item in items):
                self._take_mixed(items)
            else:
                pipe.received += len(items)
                pattern.deliver(pipe, items)
        if gone:
            self.close()
            self.engine.inproc.gone(self)
        return True

    def _take_mixed(self, items: list[Any]) -> None:
        pattern = self.engine.pattern
        pipe = self.pipe
        assert pipe is not None
        tell: dict[int, Callable[[Pipe, bytes], None]] = {
            SUBSCRIBE: pattern.subscribed,
            CANCEL: pattern.cancelled,
            JOIN: pattern.joined,
            LEAVE: pattern.left,
        }
        for item in items:
            if type(item) is Command:
                tell[item.kind](pipe, item.data)
            else:
                pipe.received += 1
                pattern.deliver(pipe, [item])

    def resume(self) -> None:
        """Our pipe has room again: the other end, which ran out of it, may go on."""
        peer = self.peer
        if peer is not None:
            peer.post(peer.unblock)

    # -- out -----------------------------------------------------------------------------------

    def write(self) -> None:
        """Hand over what waits in the pipe."""
        pipe = self.pipe
        peer = self.peer
        if pipe is None or peer is None or not self.ready or self.closed:
            return
        outgoing = pipe.outgoing
        if outgoing:
            batch = list(outgoing)
            outgoing.clear()
            for index, item in enumerate(batch):
                if type(item) is Encoded:
                    batch[index] = item.item
            pipe.sent += len(batch)
            peer.mailbox.extend(batch)
            peer.arrived()
        self._count()

    def _count(self) -> None:
        """See how many messages the other end has not read yet, and whether there is room."""
        pipe = self.pipe
        peer = self.peer
        assert pipe is not None
        assert peer is not None
        pipe.in_flight = _unread(peer)
        if not pipe.send_mark:
            return
        if pipe.room():
            self._blocked = False
            if not pipe.active:
                self.engine.pattern.drained(pipe)
            return
        other = peer.pipe
        if self._blocked or other is None:
            return
        self._blocked = True
        other.paused = True
        # The other thread may have read everything just before it was asked to tell.
        pipe.in_flight = _unread(peer)
        if pipe.room():
            self._blocked = False
            self.engine.pattern.drained(pipe)

    def unblock(self) -> None:
        """The other end says that it has read some."""
        self._blocked = False
        if self.pipe is not None and self.peer is not None and not self.closed:
            self.write()
            self.engine.turn()

    @property
    def idle(self) -> bool:
        """Nothing waits to be handed over."""
        return self.pipe is None or not self.pipe.outgoing

    # -- the end -------------------------------------------------------------------------------

    def finish(self) -> None:
        """Close once everything is handed over, which is at once where there is a peer."""
        self.finishing = True
        if self.peer is None and not self.idle:
            return
        self.write()
        self.close()
        self.engine.wire_finished(self)

    def close(self) -> None:
        """Leave the other end; what it has not read yet, it still can."""
        if self.closed:
            return
        self.closed = True
        self.ready = False
        peer = self.peer
        if peer is None:
            self.engine.context.forget_inproc(self.endpoint.removeprefix("inproc://"), self)
        else:
            peer.mailbox.append(_GONE)
            peer.arrived()


def _unread(wire: InprocWire) -> int:
    pipe = wire.pipe
    return len(wire.mailbox) + (0 if pipe is None else len(pipe.incoming))


def peer_metadata(type_name: str, wire: InprocWire) -> dict[str, bytes]:
    """What the other end would have said in its READY."""
    found = dict(wire.properties)
    found["Socket-Type"] = type_name.encode("ascii")
    if wire.identity and find_property(found, "Identity") is None:
        found["Identity"] = wire.identity
    return found
