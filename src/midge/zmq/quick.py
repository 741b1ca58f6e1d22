"""The shortest ways of a message: ``send`` with bytes, ``recv`` of bytes, whole messages of bytes.

Everything else is left to :mod:`midge.zmq.transfer`. These methods are run for every message, so
they are compiled where midge is (:mod:`midge.compiled`), and the sockets, which are not, inherit
them. What they look at lies in slots, where it is found quickest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from midge.compiled import mypyc_attr
from midge.net.zeromq.blocking import BlockingEngine

_ONLY_BYTES: Final = {bytes}


@mypyc_attr(allow_interpreted_subclasses=True)
class Quick:
    """What a message of a blocking socket passes.

    Flags may be any number and switches anything that is true or false, as with pyzmq.
    """

    __slots__ = ("_blocking", "_inbox", "_more", "_parts", "_rcvmore", "_single")

    _blocking: BlockingEngine
    # Messages that were received ahead; parts that the program has not fetched, or not sent yet.
    _inbox: list[Any]
    _more: list[Any]
    _parts: list[Any]
    _rcvmore: bool
    # The type's messages have one part, and name a peer or a group.
    _single: bool

    def send(
        self,
        data: Any,
        flags: Any = 0,
        copy: Any = True,
        track: Any = False,
        routing_id: Any = None,
        group: Any = None,
    ) -> Any:
        """Send one part of a message; with SNDMORE, more parts follow.

        Args:
            data: bytes, another buffer, or a Frame.
            flags: DONTWAIT and SNDMORE.
            copy: false: a large buffer is sent as it is, and must not be changed until then.
            track: with ``copy=False``: make a tracker that says when that is.
            routing_id: for SERVER and PEER: to whom.
            group: for RADIO: to which group.

        Returns:
            A tracker with ``copy=False`` and for frames; else nothing.

        Raises:
            TypeError: the data is no buffer.
            Again: there was no room for it, at once or within SNDTIMEO.
            ContextTerminated: the context has ended.
            ZMQError: ENOTSUP, EFSM, EHOSTUNREACH and others, by socket type.
        """
        if (
            type(data) is not bytes
            or flags
            or not copy
            or self._parts
            or self._single
            or routing_id is not None
            or group is not None
        ):
            return self._put_part(data, flags, copy, track, routing_id, group)
        blocking = self._blocking
        credit = blocking.credit
        if credit > 0 and blocking.warm:
            blocking.credit = credit - 1
            blocking.lane.append(data)
            # Again, and behind a call: the thread may have stopped looking at the socket since.
            if blocking.is_warm() or blocking.flush():
                return None
        return self._send_whole(data, 0)

    def recv(self, flags: Any = 0, copy: Any = True, track: Any = False) -> Any:
        """Receive one part of a message; RCVMORE says whether more follow.

        Args:
            flags: DONTWAIT.
            copy: false: give a Frame.
            track: accepted for pyzmq's sake.

        Raises:
            Again: there was nothing, at once or within RCVTIMEO.
            ContextTerminated: the context has ended.
            ZMQError: ENOTSUP, EFSM and others, by socket type.
        """
        inbox = self._inbox
        if inbox and copy and not self._rcvmore:
            try:
                item = inbox.pop()
            except IndexError:  # the context has just ended, in another thread
                return self._take_part(flags, copy)
            if type(item) is bytes:
                return item
            inbox.append(item)
        return self._take_part(flags, copy)

    def _take_ahead(self) -> list[bytes] | None:
        """The next message, if it was received ahead and is bytes, as it mostly is."""
        inbox = self._inbox
        if not inbox or self._rcvmore or self._single:
            return None
        try:
            item = inbox.pop()
        except IndexError:  # the context has just ended, in another thread
            return None
        if type(item) is bytes:
            return [item]
        if type(item) is list and set(map(type, item)) == _ONLY_BYTES:
            return item.copy()  # inproc gives one message to several
        inbox.append(item)
        return None

    def _whole_bytes(self, msg_parts: Sequence[Any]) -> bool:
        """Whether nothing stands in the way of a message of nothing but bytes."""
        return set(map(type, msg_parts)) == _ONLY_BYTES and not (self._single or self._parts)

    # -- the long ways ----------------------------------------------------------------------------

    def _put_part(
        self, data: Any, flags: Any, copy: Any, track: Any, routing_id: Any, group: Any
    ) -> Any:
        raise NotImplementedError

    def _send_whole(self, item: Any, flags: Any) -> None:
        raise NotImplementedError

    def _take_part(self, flags: Any, copy: Any) -> Any:
        raise NotImplementedError
