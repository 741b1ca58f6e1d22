"""REQ and REP: a request, its reply, and no other order (RFC 28).

Between requester and replier stand parts that lead the reply back: an empty one ends them. REQ puts
it there and takes it away; REP keeps what stands before the body, and puts it before the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from midge.patterns.balance import Balanced
from midge.patterns.errors import EFSM, SocketError
from midge.patterns.options import Options
from midge.patterns.pattern import FULL, MALFORMED, NOT_ASKED, PEER_GONE, Pattern
from midge.patterns.pipe import Pipe

_REPLY_FIRST: Final = "REQ must receive the reply before it sends again"
_REQUEST_FIRST: Final = "REP must receive a request before it sends"


class Req(Balanced):
    """Asks one peer after the other, and waits for each answer.

    With REQ_RELAXED a request may be given up by the next one; with REQ_CORRELATE requests are
    numbered, so that the answer to one that was given up is not taken for another's.
    """

    __slots__ = ("_asked", "_envelope", "_number", "_waits")
    type_name = "REQ"

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        #: Who was asked last; also a peer that has gone, so that nobody else's reply is taken.
        self._asked: Pipe | None = None
        self._envelope: list[bytes] = []
        self._waits = False
        self._number = int.from_bytes(random(4), "big")

    def ready(self, pipe: Pipe) -> None:
        """See :meth:`Pattern.ready`."""
        super().ready(pipe)
        if self.options.probe_router:
            self._put(pipe, b"")

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`."""
        if self._waits and not self.options.req_relaxed:
            raise SocketError(EFSM, _REPLY_FIRST)
        active = self._active
        if not active:
            return False
        self._give_up()
        if self.options.req_correlate:
            self._number = self._number + 1 & 0xFFFFFFFF
            self._envelope = [self._number.to_bytes(4, "big"), b""]
        else:
            self._envelope = [b""]
        asked = active[0]
        super().send(self._envelope + item if type(item) is list else [*self._envelope, item])
        self._asked = asked
        self._waits = True
        return True

    def send_many(self, items: Sequence[Any]) -> int:
        """See :meth:`Pattern.send_many`."""
        return Pattern.send_many(self, items)

    def _give_up(self) -> None:
        """What has come as a reply to an earlier request is not one to this."""
        if self._asked is not None:
            self._forget_incoming(self._asked, NOT_ASKED)

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`: only the reply that is waited for."""
        for item in items:
            if not self._waits or pipe is not self._asked or pipe.incoming:
                self._drop(pipe, NOT_ASKED)
                continue
            body, cause = self._body(item)
            if cause:
                self._drop(pipe, cause)  # the next may be ours
            else:
                super().deliver(pipe, [body])

    def _body(self, item: Any) -> tuple[Any, str]:
        """What a reply says, or why it is none."""
        skip = len(self._envelope)
        if type(item) is not list or len(item) <= skip or len(item[skip - 1]):
            return None, MALFORMED
        if skip > 1 and item[0] != self._envelope[0]:
            return None, NOT_ASKED
        return (item[skip] if len(item) == skip + 1 else item[skip:]), ""

    def receive(self) -> Any:
        """See :meth:`Pattern.receive`."""
        if not self._waits:
            raise SocketError(EFSM, "REQ must send a request before it receives")
        item = super().receive()
        if item is not None:
            self._waits = False
            self._asked = None
        return item

    def receive_many(self, limit: int) -> list[Any]:
        """See :meth:`Pattern.receive_many`: there is never more than one."""
        item = self.receive() if limit > 0 else None
        return [] if item is None else [item]

    def take_back(self, item: Any) -> bool:
        """See :meth:`Pattern.take_back`: the reply is waited for as before."""
        if self._waits:
            self._drop(self.last_pipe, NOT_ASKED)  # by now it is another one's
        else:
            self._waits = True
            self._asked = self.last_pipe
            self._take_back(self._asked, item)
        return True

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`."""
        return bool(self._active) and (not self._waits or self.options.req_relaxed)

    def may_send(self) -> bool:
        """See :meth:`Pattern.may_send`."""
        if self._waits and not self.options.req_relaxed:
            raise SocketError(EFSM, _REPLY_FIRST)
        return bool(self._active)

    def can_receive(self) -> bool:
        """See :meth:`Pattern.can_receive`."""
        return self._waits and bool(self._waiting)


class Rep(Pattern):
    """Receives a request, then sends its reply; from each peer in turn."""

    __slots__ = ("_envelope", "_peer")
    type_name = "REP"

    def __init__(self, options: Options, random: Callable[[int], bytes]) -> None:
        super().__init__(options, random)
        self._envelope: list[Any] | None = None
        self._peer: Pipe | None = None

    def deliver(self, pipe: Pipe, items: Sequence[Any]) -> None:
        """See :meth:`Pattern.deliver`; what has no envelope is no request."""
        requests = [item for item in items if type(item) is list and _envelope_size(item)]
        if len(requests) < len(items):
            self._drop(pipe, MALFORMED, len(items) - len(requests))
        super().deliver(pipe, requests)

    def receive(self) -> Any:
        """See :meth:`Pattern.receive`."""
        if self._envelope is not None:
            raise SocketError(EFSM, "REP must send the reply before it receives again")
        item = super().receive()
        if item is None:
            return None
        size = _envelope_size(item)
        self._envelope = item[:size]
        self._peer = self.last_pipe
        return item[size] if len(item) == size + 1 else item[size:]

    def receive_many(self, limit: int) -> list[Any]:
        """See :meth:`Pattern.receive_many`: a reply must come between two."""
        item = self.receive() if limit > 0 else None
        return [] if item is None else [item]

    def take_back(self, item: Any) -> bool:
        """See :meth:`Pattern.take_back`: it has no reply to send yet."""
        envelope = self._envelope
        if envelope is not None:  # (else it has sent one.)
            self._envelope = None
            whole = envelope + item if type(item) is list else [*envelope, item]
            self._take_back(self._peer, whole)
            self._peer = None
        return True

    def send(self, item: Any) -> bool:
        """See :meth:`Pattern.send`; the reply to a peer that has gone is dropped."""
        envelope = self._envelope
        if envelope is None:
            raise SocketError(EFSM, _REQUEST_FIRST)
        pipe = self._peer
        self._envelope = None
        self._peer = None
        if pipe is None or not pipe.attached:
            self._drop(pipe, PEER_GONE)
        elif not pipe.room():
            self._drop(pipe, FULL)
        else:
            self._put(pipe, envelope + item if type(item) is list else [*envelope, item])
        return True

    def can_send(self) -> bool:
        """See :meth:`Pattern.can_send`."""
        return self._envelope is not None

    def may_send(self) -> bool:
        """See :meth:`Pattern.may_send`."""
        if self._envelope is None:
            raise SocketError(EFSM, _REQUEST_FIRST)
        return True

    def can_receive(self) -> bool:
        """See :meth:`Pattern.can_receive`."""
        return self._envelope is None and bool(self._waiting)


def _envelope_size(item: list[Any]) -> int:
    """How many parts lead back, the empty one included; 0 where there is no body behind them."""
    for index in range(len(item) - 1):
        if not len(item[index]):
            return index + 1
    return 0
