"""Accepted peers that are not ready yet: how many there may be, and who makes room for the next.

Whoever connects and says nothing must not keep others out. So at the bound it is the oldest that
goes, for it has had more time than anybody else. But each has a moment first: in a storm of honest
peers, which are more than can be let in at once, the backlog of the kernel is the better queue, and
to throw out those who wait for the ZAP handler's decision would only have them come again.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from midge.limits import ZMQ_HANDSHAKE_SURE_S, ZMQ_HANDSHAKES_MAX
from midge.zmtp import events as ev

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine
    from midge.net.zeromq.stream_wire import StreamWire


class Handshakes:
    """Those of one socket.

    Attributes:
        cut_short: how many had to make room for others.
    """

    __slots__ = ("_engine", "_since", "cut_short")

    def __init__(self, engine: SocketEngine) -> None:
        self._engine = engine
        self._since: dict[StreamWire, float] = {}  # the oldest first
        self.cut_short = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._since)

    def full_until(self) -> float:
        """When one more may begin; 0: now."""
        if len(self._since) < ZMQ_HANDSHAKES_MAX:
            return 0.0
        sure_until = next(iter(self._since.values())) + ZMQ_HANDSHAKE_SURE_S
        return sure_until if self._engine.reactor.time() < sure_until else 0.0

    def begin(self, wire: StreamWire) -> None:
        """A peer was accepted, in the place of the oldest if need be."""
        if len(self._since) >= ZMQ_HANDSHAKES_MAX:
            self._cut_short(next(iter(self._since)))
        self._since[wire] = self._engine.reactor.time()

    def _cut_short(self, wire: StreamWire) -> None:
        self.cut_short += 1
        wire.close()
        text = f"{ZMQ_HANDSHAKES_MAX} peers are in their handshake, this one for the longest time"
        self._engine.wire_failed(wire, ev.HandshakeFailed(ev.NO_DETAIL, errno.ETIMEDOUT, text))

    def over(self, wire: StreamWire) -> None:
        """It is ready, or gone."""
        if self._since.pop(wire, None) is not None and len(self._since) == ZMQ_HANDSHAKES_MAX - 1:
            self._engine.endpoints.accept_on()
