"""Events of a socket monitor as dictionaries."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import Any, TypedDict, overload

import midge.zmq
import midge.zmq.asyncio
from midge.patterns.monitor import decode_event
from midge.zmq.constants import Event


class _MonitorMessage(TypedDict):
    event: int
    value: int
    endpoint: bytes


def parse_monitor_message(msg: list[bytes]) -> _MonitorMessage:
    """Event, value and endpoint of a monitor's message.

    Raises:
        RuntimeError: it is none.
    """
    try:
        event, value, endpoint = decode_event(list(msg))
    except ValueError as error:
        raise RuntimeError(f"Invalid event message format: {msg!r}") from error
    number: int = event
    with contextlib.suppress(ValueError):
        number = Event(event)
    return {"event": number, "value": value, "endpoint": endpoint.encode()}


async def _parse_later(awaitable: Awaitable[list[bytes]]) -> _MonitorMessage:
    return parse_monitor_message(await awaitable)


@overload
def recv_monitor_message(
    socket: midge.zmq.asyncio.Socket, flags: int = 0
) -> Awaitable[_MonitorMessage]: ...
@overload
def recv_monitor_message(socket: midge.zmq.Socket[bytes], flags: int = 0) -> _MonitorMessage: ...
def recv_monitor_message(socket: Any, flags: int = 0) -> Any:
    """Receive an event and give it as a dictionary with event, value and endpoint.

    A socket of :mod:`midge.zmq.asyncio` gives an awaitable.

    Raises:
        Again: there was none.
    """
    received = socket.recv_multipart(flags)
    if isinstance(received, Awaitable):
        return _parse_later(received)
    return parse_monitor_message(received)


__all__ = ["parse_monitor_message", "recv_monitor_message"]
