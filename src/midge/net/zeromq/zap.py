"""Asking the handler at ``inproc://zeromq.zap.01`` whether peers may come in (RFC 27).

Each engine that has to ask connects a DEALER of its own, which lives in the same reactor; any
number of questions are under way at once, told apart by their ids. The handler is whatever the
program has bound there: a REP, a ROUTER. Where it does not answer in time, or leaves, the peer is
to come again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from midge.limits import ZMQ_ZAP_TIMEOUT_S, ZMQ_ZAP_WAITING_MAX
from midge.net.zeromq.reactor import Handle
from midge.patterns import monitor
from midge.zmtp.errors import ZmtpError
from midge.zmtp.events import ZapRequest
from midge.zmtp.zap import INTERNAL, TEMPORARY, decode_reply, encode_request

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine
    from midge.net.zeromq.wire import Wire

ENDPOINT: Final = "inproc://zeromq.zap.01"


class ZapClient:
    """The questions of one engine."""

    __slots__ = ("_count", "_dealer", "_engine", "_waiting")

    def __init__(self, engine: SocketEngine, dealer: SocketEngine) -> None:
        """``dealer`` is a fresh DEALER in the reactor of ``engine``."""
        self._engine = engine
        self._dealer = dealer
        self._count = 0
        self._waiting: dict[bytes, tuple[Wire, Handle]] = {}
        dealer.on_change = self._read
        dealer.connect(ENDPOINT)

    @property
    def usable(self) -> bool:
        """The handler has not gone away since it was connected to."""
        return bool(self._dealer.pattern.peers())

    def ask(self, wire: Wire, request: ZapRequest) -> None:
        """Ask; the wire hears the answer by :meth:`Wire.zap_answer`, whatever happens."""
        if len(self._waiting) >= ZMQ_ZAP_WAITING_MAX:
            wire.zap_answer(TEMPORARY, "", {})
            return
        self._count += 1
        request_id = b"%d" % self._count
        reactor = self._engine.reactor
        limit = reactor.call_at(
            reactor.time() + ZMQ_ZAP_TIMEOUT_S, lambda: self._too_late(request_id)
        )
        self._waiting[request_id] = (wire, limit)
        self._dealer.pattern.send([b"", *encode_request(request, request_id)])
        self._dealer.flush()

    def _read(self) -> None:
        while True:
            item: Any = self._dealer.receive()
            if item is None:
                break
            if type(item) is list and len(item) > 3:
                self._answered(item)
        if self._waiting and not self.usable:
            self._send_back()
            self._engine.turn()

    def _send_back(self) -> None:
        """The handler has left without an answer: have the peers come again, and ask the next."""
        waiting, self._waiting = self._waiting, {}
        for wire, limit in waiting.values():
            limit.cancel()
            wire.zap_answer(TEMPORARY, "", {})

    def _answered(self, frames: list[bytes]) -> None:
        request_id = frames[2]
        found = self._waiting.pop(request_id, None)
        if found is None:
            return  # too late, or nobody asked
        wire, limit = found
        limit.cancel()
        try:
            reply = decode_reply(frames[1:], request_id)
        except ZmtpError as error:
            self._engine.report(monitor.HANDSHAKE_FAILED_PROTOCOL, error.code, wire.endpoint)
            wire.zap_answer(INTERNAL, "", {})
        else:
            wire.zap_answer(reply.status, reply.user_id, reply.metadata)
        self._engine.turn()

    def _too_late(self, request_id: bytes) -> None:
        found = self._waiting.pop(request_id, None)
        if found is not None:
            found[0].zap_answer(TEMPORARY, "", {})
            self._engine.turn()

    def close(self) -> None:
        """Ask no more."""
        self._dealer.on_change = None
        self._send_back()
        self._dealer.close(0, _nothing)


def _nothing() -> None:
    return None
