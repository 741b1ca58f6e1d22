"""The ends of inproc that one socket has, and how two of them meet.

Whoever connects looks the name up in the context. Where it is bound, it makes the other end, too,
which then belongs to the socket that has bound it; where it is not, its own end waits in the
context, and the one that binds the name makes the other. Each end is told on its own thread that
they have met.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from midge.net.zeromq.inproc import InprocListener, InprocWire, peer_metadata
from midge.patterns.errors import SocketError
from midge.zmtp.sockets import fits

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine


class InprocEnds:
    """See the module.

    Attributes:
        all: those that have a pipe: the others have not met a peer yet.
    """

    __slots__ = ("_engine", "_unmet", "all")

    def __init__(self, engine: SocketEngine) -> None:
        self._engine = engine
        self.all: set[InprocWire] = set()
        # Ends that others have made here, until they have met. Whoever takes one out closes it, or
        # has it meet; it is a dict because to take out of one is one step, whatever the thread.
        self._unmet: dict[InprocWire, None] = {}

    # -- meeting -------------------------------------------------------------------------------

    def bind(self, endpoint: str, name: str) -> InprocListener:
        """Take a name, and meet those who wait for it.

        Raises:
            SocketError: EADDRINUSE: another socket has it.
        """
        engine = self._engine
        listener = InprocListener(engine, name)
        waiting = engine.context.bind_inproc(name, listener)
        if waiting is None:
            raise SocketError(errno.EADDRINUSE, f"{endpoint} is bound by another socket")
        for wire in waiting:
            self.pair_up(wire)
            wire.post(wire.met)  # it lives elsewhere
        return listener

    def connect(self, endpoint: str, name: str) -> None:
        """Meet who has bound a name, or wait for somebody to do so."""
        engine = self._engine
        wire = InprocWire(engine, endpoint)
        wire.pipe = engine.new_pipe(endpoint, True)
        wire.pipe.owner = wire
        if not engine.options.immediate:
            engine.pattern.attach(wire.pipe)  # which may say no
        self.all.add(wire)
        listener = engine.context.find_inproc(name, wire)
        if listener is not None:
            listener.engine.inproc.pair_up(wire)
            wire.met()
            if listener.closed:
                listener.engine.inproc.give_up()  # it may have closed before there was that end

    def pair_up(self, wire: InprocWire) -> None:
        """Give an end that connects another end here; from the thread of that one."""
        other = InprocWire(self._engine, wire.endpoint)
        other.join(wire)
        wire.join(other)
        self._unmet[other] = None
        other.post(lambda: self._meet(other))

    def _meet(self, wire: InprocWire) -> None:
        if _taken(self._unmet, wire):
            wire.met()

    def give_up(self) -> None:
        """Close those that have not met: this socket is closing. From any thread."""
        for wire in list(self._unmet):
            if _taken(self._unmet, wire):
                wire.close()

    def ready(self, wire: InprocWire, peer: InprocWire) -> None:
        """Both ends are there."""
        engine = self._engine
        pipe = wire.pipe
        if not fits(engine.type_name, peer.engine.type_name):
            if pipe is not None:
                engine.pattern.detach(pipe)
            wire.close()
            self.all.discard(wire)
            return
        fresh = pipe is None or engine.options.immediate
        if pipe is None:
            pipe = wire.pipe = engine.new_pipe(wire.endpoint, False)
            self.all.add(wire)
        pipe.send_mark = _sum_of_marks(wire.send_mark, peer.receive_mark)
        pipe.receive_mark = _sum_of_marks(wire.receive_mark, peer.send_mark)
        pipe.socket_type = peer.engine.type_name
        pipe.identity = peer.identity
        pipe.metadata = peer_metadata(peer.engine.type_name, peer)
        engine.introduce(pipe, wire, fresh)

    # -- parting -------------------------------------------------------------------------------

    def disconnect(self, endpoint: str) -> bool:
        """Take one connect back; ``False``: there is none of that name."""
        for end in self.all:
            if end.endpoint == endpoint and end.pipe is not None and end.pipe.connecting:
                self._hand_over(end)
                self._engine.pattern.detach(end.pipe)
                return True
        return False

    def gone(self, wire: InprocWire) -> None:
        """The other end has closed, and everything that it sent is delivered."""
        self.all.discard(wire)
        if wire.pipe is not None:
            wire.pipe.ready = False
            wire.pipe.owner = None
            self._engine.pattern.detach(wire.pipe)

    def close_idle(self) -> None:
        """Close those that have nothing left for a peer to come."""
        self.give_up()
        for end in list(self.all):
            if end.idle or end.peer is not None:
                self._hand_over(end)

    def close(self) -> None:
        """Close all; what they have not handed over is dropped."""
        self.give_up()
        for end in self.all:
            end.close()
        self.all.clear()

    def _hand_over(self, end: InprocWire) -> None:
        self.all.discard(end)
        end.introduce()  # somebody may have bound the name just now
        end.write()
        end.close()


def _taken(ends: dict[InprocWire, None], wire: InprocWire) -> bool:
    """Take an end out; ``False``: another thread has done so."""
    try:
        del ends[wire]
    except KeyError:
        return False
    return True


def _sum_of_marks(one: int, other: int) -> int:
    """0 stands for no mark, and no mark and any mark make no mark."""
    return one + other if one and other else 0
