"""monitored_queue: a proxy that says to its third socket which way a message went."""

from __future__ import annotations

from typing import Any

from midge.zmq.constants import PollEvent, SocketType
from midge.zmq.poll import Poller


def _relay(source: Any, target: Any, copies: Any, prefix: bytes, swap: bool) -> None:
    parts = source.recv_multipart()
    if swap:
        # From ROUTER to ROUTER the first two parts are who it is from and who it is for.
        parts[:2] = [parts[1], parts[0]]
    target.send_multipart(parts)
    copies.send_multipart([prefix, *parts])


def monitored_queue(
    in_socket: Any,
    out_socket: Any,
    mon_socket: Any,
    in_prefix: bytes = b"in",
    out_prefix: bytes = b"out",
) -> None:
    """Move messages both ways until the context ends.

    Each is also sent to ``mon_socket``, with a prefix that says where it came in.

    Raises:
        TypeError: a prefix is not bytes.
        ContextTerminated: the context has ended.
    """
    for prefix in (in_prefix, out_prefix):
        if not isinstance(prefix, bytes):
            raise TypeError(f"a prefix is bytes, not {prefix!r}")
    swap = in_socket.type == out_socket.type == SocketType.ROUTER
    poller = Poller()
    poller.register(in_socket, PollEvent.POLLIN)
    poller.register(out_socket, PollEvent.POLLIN)
    while True:
        ready = dict(poller.poll())
        if in_socket in ready:
            _relay(in_socket, out_socket, mon_socket, in_prefix, swap)
        if out_socket in ready:
            _relay(out_socket, in_socket, mon_socket, out_prefix, swap)


__all__ = ["monitored_queue"]
