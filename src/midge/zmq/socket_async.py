"""A socket whose send, receive and poll give futures; no thread is behind them.

What can be done at once is done at once, and gives a future that is done (:mod:`midge.zmq.ready`);
a receive that finds something costs no turn of the loop. What cannot is tried again when the loop
has run the socket (:mod:`midge.zmq.loop_socket`).
"""

from __future__ import annotations

import asyncio
import warnings
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import midge.zmq as _zmq
from midge.patterns.errors import SocketError
from midge.zmq.constants import Errno, Flag, PollEvent
from midge.zmq.error import Again, ZMQError, raise_as_zmq
from midge.zmq.loop_socket import LoopSocket
from midge.zmq.receiving import Receiving

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from midge.zmq.typed_async import TypedSocket as _Face
else:

    class _Face(LoopSocket, _zmq.Socket):
        """The methods of both; a type checker is told what they give."""


_MORE = int(Flag.SNDMORE)
_DONTWAIT = int(Flag.DONTWAIT)
_IN = int(PollEvent.POLLIN)


class Socket(_Face):
    """A socket whose send, receive and poll give futures."""

    _shadow_sock: Any
    _repr_cls = "zmq.asyncio.Socket"

    def __init__(
        self,
        context: Any = None,
        socket_type: int = -1,
        io_loop: Any = None,
        _from_socket: Any = None,
        **kwargs: Any,
    ) -> None:
        """Make a socket, or give a blocking one this face: ``Socket(socket)``."""
        if isinstance(context, _zmq.Socket):
            context, _from_socket = None, context
        if io_loop is not None:
            warnings.warn(
                "io_loop is ignored: the running loop is used", DeprecationWarning, stacklevel=2
            )
        if _from_socket is not None:
            super().__init__(shadow=_from_socket)
        else:
            super().__init__(context, socket_type, **kwargs)
        self._shadow_sock = _from_socket or self
        self._begin()

    @classmethod
    def from_socket(cls, socket: Any, io_loop: Any = None) -> Socket:
        """A blocking socket with this face."""
        return cls(_from_socket=socket, io_loop=io_loop)

    def close(self, linger: int | None = None) -> None:
        """Close it; what waits for it is cancelled."""
        if not self._closed and not self._core.closed:
            self._leave()
        super().close(linger)

    # -- endpoints and options --------------------------------------------------------------------

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return super()._call(function, *arguments)
        finally:
            self._kick()

    def set(self, option: int, optval: Any) -> None:
        """See :meth:`midge.zmq.Socket.set`."""
        super().set(option, optval)
        self._kick()

    setsockopt = set

    # -- receiving --------------------------------------------------------------------------------

    def _receive_part(self, flags: int, copy: bool) -> Future[Any]:
        # Not in ``recv`` itself: what a lambda there refers to would cost every message.
        return self._receive(lambda: self._take_part(_DONTWAIT, copy), flags)

    def _receive_all(self, flags: int, copy: bool) -> Future[Any]:
        return self._receive(lambda: self._take_all(_DONTWAIT, copy), flags)

    def recv_many(  # type: ignore[override]
        self, limit: int = 1000, flags: int = 0
    ) -> Awaitable[list[bytes | list[bytes]]]:
        """Receive what is there, at least one message; a future of the list."""
        return self._receive(lambda: self._take_many(limit, _DONTWAIT), flags, many=True)

    def recv_into(  # type: ignore[override]
        self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0, copy: bool = True
    ) -> Awaitable[int]:
        """Receive one part into a buffer; a future of its size."""
        return self._receive(lambda: self._take_into(buffer, nbytes, _DONTWAIT), flags)

    def _receive(self, take: Callable[[], Any], flags: int, *, many: bool = False) -> Future[Any]:
        loop = self._running()
        if self._nobody_waits(self._receivers):
            try:
                return _made(loop, take())
            except Again:
                pass
            except Exception as error:
                return _failed(loop, error)
        if flags & _DONTWAIT:
            return _failed(loop, Again())
        takes = self._takes
        future = Receiving(takes, loop)
        timeout_ms = self._core.engine.options.receive_timeout_ms
        return self._wait(
            self._receivers,
            lambda _: takes.attempt(future, take, many),
            timeout_ms,
            _give_up,
            future,
        )

    def _deserialize(self, recvd: Any, load: Callable[[Any], Any]) -> Any:
        """A future of what ``load`` makes of what was received; cancelling it is passed on."""
        made = Receiving(self._takes, self._running())

        def arrived(source: Future[Any]) -> None:
            if made.done():
                if isinstance(source, Receiving):
                    source.give_back()
                return
            if source.cancelled():
                made.cancel()
            elif source.exception() is not None:
                made.set_exception(cast(BaseException, source.exception()))
            else:
                taken = source.taken if isinstance(source, Receiving) else None
                try:
                    made.set_result(load(source.result()))
                    made.taken = taken
                except Exception as error:
                    made.set_exception(error)

        if recvd.done():
            arrived(recvd)
        else:
            recvd.add_done_callback(arrived)
            made.add_done_callback(lambda _: recvd.cancel() if made.cancelled() else None)
        return made

    async def __aiter__(self) -> AsyncIterator[bytes | list[bytes]]:
        """Messages for ever: bytes, or a list of several parts each."""
        while True:
            parts = await self.recv_multipart()
            yield parts[0] if len(parts) == 1 else parts

    # -- sending ----------------------------------------------------------------------------------

    def _send_part(
        self,
        data: Any,
        flags: int,
        copy: bool,
        track: bool,
        routing_id: int | None,
        group: str | None,
    ) -> Future[Any]:
        if self._single:
            return self._send_now(
                lambda: self._put_part_of(
                    data, flags | _DONTWAIT, copy, track, routing_id=routing_id, group=group
                ),
                flags,
            )
        loop = self._running()
        # A message is put together now, whatever waits before it: parts are of the message that
        # they were sent with.
        try:
            if flags & _MORE:
                return _made(loop, self._put_part_of(data, flags, copy, track))
            part, tracker = self._part(data, copy, track)
        except Exception as error:
            return _failed(loop, error)
        return self._send_last([part], tracker, flags)

    def _send_last(self, parts: list[Any], tracker: Any, flags: int) -> Future[Any]:
        """Send what parts there are already, and these."""
        before = self._parts
        self._parts = []
        parts = [*before, *parts]
        sent = self._send_later(parts[0] if len(parts) == 1 else parts, tracker, flags)
        if flags & _DONTWAIT and sent.done() and isinstance(sent.exception(), Again):
            self._parts = before
        return sent

    def _begin_message(self, flags: int) -> None:
        """See the base; what may wait does so as a whole, with its last part."""
        if not flags & _DONTWAIT:
            self._call(self._core.engine.pattern.may_send)
        elif not self._nobody_waits(self._senders):
            raise Again
        else:
            super()._begin_message(flags)

    def _send_all_parts(
        self, msg_parts: Sequence[Any], flags: int, copy: bool, track: bool, named: dict[str, Any]
    ) -> Future[Any]:
        if self._single or named or not msg_parts:
            return self._send_now(
                lambda: self._put_all(msg_parts, flags | _DONTWAIT, copy, track, **named),
                flags,
            )
        loop = self._running()
        try:
            if flags & _MORE:
                return _made(loop, self._put_all(msg_parts, flags, copy, track))
            parts, tracker = self._assemble(msg_parts, copy, track)
        except Exception as error:
            return _failed(loop, error)
        return self._send_last(parts, tracker, flags)

    def _refused(self, error: SocketError) -> Future[Any]:
        try:
            raise_as_zmq(error)
        except ZMQError as made:
            return _failed(self._running(), made)

    def _send_now(self, send: Callable[[], Any], flags: int) -> Future[Any]:
        """Send by the blocking face, without waiting; what would wait is tried again."""
        loop = self._running()

        def attempt(future: Future[Any]) -> bool:
            try:
                future.set_result(send())
            except Again:
                return False
            self._kick()
            return True

        future: Future[Any] = loop.create_future()
        try:
            if self._nobody_waits(self._senders) and attempt(future):
                return future
        except Exception as error:
            future.set_exception(error)
            return future
        if flags & _DONTWAIT:
            return _failed(loop, Again())
        return self._wait(
            self._senders, attempt, self._core.engine.options.send_timeout_ms, _give_up
        )

    def _send_later(self, item: Any, result: Any, flags: int) -> Future[Any]:
        def send() -> Any:
            try:
                if self._closed:
                    raise ZMQError(Errno.ENOTSOCK)
                if self._core.blocking.send_ahead(item):
                    return result
            except SocketError as error:
                raise_as_zmq(error)
            raise Again

        return self._send_now(send, flags)

    def send_many(  # type: ignore[override]
        self, messages: Sequence[Any], flags: int = 0
    ) -> Awaitable[int]:
        """Send many messages; a future of how many, which is all but with DONTWAIT."""
        return asyncio.ensure_future(self._send_all(list(messages), flags))

    async def _send_all(self, messages: list[Any], flags: int) -> int:
        done = 0
        while done < len(messages):
            if self._nobody_waits(self._senders):  # who waits was first
                try:
                    done += self._put_many(messages[done:], _DONTWAIT)
                finally:
                    self._kick()
            if done < len(messages):
                if flags & _DONTWAIT:
                    break
                await self.send_multipart(_parts_of(messages[done]))
                done += 1
        return done

    # -- looking on -------------------------------------------------------------------------------

    def poll(  # type: ignore[override]
        self, timeout: float | None = None, flags: int = PollEvent.POLLIN
    ) -> Future[int]:
        """Wait for events; a future of those that are there, 0 for none in time."""
        loop = self._running()
        if self.closed:
            return _failed(loop, ZMQError(Errno.ENOTSUP))

        def attempt(future: Future[Any]) -> bool:
            found = self._events_now() & int(flags)
            if found:
                future.set_result(found)
            return bool(found)

        future: Future[Any] = loop.create_future()
        try:
            if attempt(future):
                return future
        except Exception as error:
            future.set_exception(error)
            return future
        if timeout == 0:
            future.set_result(0)
            return future
        return self._wait(
            self._watchers,
            attempt,
            -1 if timeout is None else timeout,
            lambda one: one.set_result(0),
        )

    def _events_now(self) -> int:
        try:
            found = self._core.blocking.events()
        except SocketError as error:
            raise_as_zmq(error)
        return found | (_IN if self._more else 0)

    def wait_peers(  # type: ignore[override]
        self, n: int = 1, timeout: float | None = None
    ) -> Awaitable[None]:
        """Wait until ``n`` peers are connected; a future.

        Raises:
            Again: they were not, within ``timeout`` seconds.
        """
        pattern = self._core.engine.pattern
        return self._wait_until(
            lambda: sum(1 for pipe in pattern.peers() if pipe.ready) >= n, timeout
        )

    def wait_subscribed(  # type: ignore[override]
        self, prefix: str | bytes | None = None, n: int = 1, timeout: float | None = None
    ) -> Awaitable[None]:
        """Wait until ``n`` peers hear what begins with ``prefix``; a future.

        So that nothing is published before somebody hears it. Who has subscribed to a beginning
        of ``prefix`` counts, also to ``b""``; without a prefix, who has subscribed to anything.

        Raises:
            Again: they have not, within ``timeout`` seconds.
        """
        wanted = prefix.encode() if isinstance(prefix, str) else prefix
        pattern = self._core.engine.pattern
        return self._wait_until(lambda: pattern.subscriber_count(wanted) >= n, timeout)

    def _wait_until(  # type: ignore[override]
        self, reached: Callable[[], bool], timeout_s: float | None
    ) -> Future[None]:
        def attempt(future: Future[Any]) -> bool:
            if self._core.blocking.call(reached):
                future.set_result(None)
                return True
            return False

        timeout_ms = -1 if timeout_s is None else timeout_s * 1000
        return self._wait(self._watchers, attempt, timeout_ms, _give_up)


def _give_up(future: Future[Any]) -> None:
    future.set_exception(Again())


def _made(loop: asyncio.AbstractEventLoop, result: Any) -> Future[Any]:
    future: Future[Any] = loop.create_future()
    future.set_result(result)
    return future


def _failed(loop: asyncio.AbstractEventLoop, error: BaseException) -> Future[Any]:
    future: Future[Any] = loop.create_future()
    future.set_exception(error)
    return future


def _parts_of(message: Any) -> list[Any]:
    return list(message) if isinstance(message, list | tuple) else [message]
