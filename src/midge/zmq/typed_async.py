"""What the socket of :mod:`midge.zmq.socket_async` gives, for type checkers; nothing imports this.

Its methods are those of a blocking socket, but what they give is awaited. No override can say that
of a method of the class that it derives from, so that check is off here.
"""

# mypy: disable-error-code="override,assignment,empty-body"

from __future__ import annotations

from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, overload

from midge.zmq.constants import PollEvent
from midge.zmq.frame import Frame
from midge.zmq.loop_socket import LoopSocket
from midge.zmq.socket import Socket
from midge.zmq.tracker import MessageTracker

_Sent = Awaitable[MessageTracker | None]


class TypedSocket(LoopSocket, Socket[Future[Any]]):
    """The types of a socket's methods, without the methods."""

    @overload
    def recv(
        self, flags: int = ..., *, copy: Literal[False], track: bool = ...
    ) -> Awaitable[Frame]: ...
    @overload
    def recv(
        self, flags: int = ..., copy: Literal[True] = ..., track: bool = ...
    ) -> Awaitable[bytes]: ...
    @overload
    def recv(
        self, flags: int = ..., copy: bool = ..., track: bool = ...
    ) -> Awaitable[bytes | Frame]: ...
    def recv(self, *arguments: Any, **named: Any) -> Any: ...

    @overload
    def recv_multipart(
        self, flags: int = ..., *, copy: Literal[False], track: bool = ...
    ) -> Awaitable[list[Frame]]: ...
    @overload
    def recv_multipart(
        self, flags: int = ..., copy: Literal[True] = ..., track: bool = ...
    ) -> Awaitable[list[bytes]]: ...
    @overload
    def recv_multipart(
        self, flags: int = ..., copy: bool = ..., track: bool = ...
    ) -> Awaitable[list[bytes] | list[Frame]]: ...
    def recv_multipart(self, *arguments: Any, **named: Any) -> Any: ...

    def send(
        self,
        data: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        routing_id: int | None = None,
        group: str | None = None,
    ) -> _Sent: ...
    def send_multipart(
        self,
        msg_parts: Sequence[Any],
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        **kwargs: Any,
    ) -> _Sent: ...

    def recv_string(self, flags: int = 0, encoding: str = "utf-8") -> Awaitable[str]: ...
    def recv_pyobj(self, flags: int = 0) -> Awaitable[Any]: ...
    def recv_json(self, flags: int = 0, **kwargs: Any) -> Awaitable[Any]: ...
    def recv_serialized(
        self, deserialize: Callable[[list[Any]], Any], flags: int = 0, copy: bool = True
    ) -> Awaitable[Any]: ...
    def send_string(
        self, u: str, flags: int = 0, copy: bool = True, encoding: str = "utf-8", **kwargs: Any
    ) -> _Sent: ...
    def send_pyobj(self, obj: Any, flags: int = 0, protocol: int = 4, **kwargs: Any) -> _Sent: ...
    def send_json(self, obj: Any, flags: int = 0, **kwargs: Any) -> _Sent: ...
    def send_serialized(
        self,
        msg: Any,
        serialize: Callable[[Any], Sequence[Any]],
        flags: int = 0,
        copy: bool = True,
        **kwargs: Any,
    ) -> _Sent: ...

    recv_unicode = recv_string
    send_unicode = send_string

    def poll(
        self, timeout: float | None = None, flags: int = PollEvent.POLLIN
    ) -> Awaitable[int]: ...
