"""``midge zmq proxy``: the small server that stands between two sides."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Final

import midge.zmq as zmq
from midge.cli.flags import FlagError
from midge.cli.output import print_error, print_line
from midge.cli.zmq_sockets import open_socket
from midge.patterns.errors import SocketError
from midge.zmq.proxying import Proxy

if TYPE_CHECKING:
    from midge.cli.zmq import ZmqOptions

#: Front and back of each kind.
_KINDS: Final = {
    "queue": ("ROUTER", "DEALER"),
    "forwarder": ("XSUB", "XPUB"),
    "streamer": ("PULL", "PUSH"),
}
#: How often a signal is looked for while nothing comes.
_LOOK_MS: Final = 200


def run_proxy(given: list[str], options: ZmqOptions) -> int:
    """Run a proxy until SIGINT or SIGTERM; returns the exit status.

    Raises:
        FlagError: the kind or an endpoint is missing.
    """
    if len(given) != 3 or given[0] not in _KINDS:
        raise FlagError("Error: Give the kind (queue, forwarder, streamer) and two endpoints.")
    types = _KINDS[given[0]]
    with zmq.SyncContext() as context:
        opened: list[Any] = []
        try:
            for type_name, endpoint in zip(types, given[1:], strict=True):
                socket = open_socket(context, type_name, options)
                opened.append(socket)
                socket.bind(endpoint)
            capture = None
            if options.capture is not None:
                capture = open_socket(context, "PUB", options)
                opened.append(capture)
                capture.bind(options.capture)
            for socket in opened:
                print_line(f"bound {socket.last_endpoint.decode()}")
            _serve(opened)
        except (zmq.ZMQError, SocketError) as error:
            print_error(f"Error: {error}")
            return 1
        finally:
            for socket in opened:
                socket.close(linger=0 if options.linger < 0 else options.linger)
    return 0


def _serve(opened: list[Any]) -> None:
    engines = [socket._core.blocking for socket in opened]
    moving = Proxy(engines[0], engines[1], engines[2] if len(engines) > 2 else None)
    received: list[int] = []
    for wanted in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(wanted, lambda number, frame: received.append(number))
    while True:
        moving.step(timeout_ms=_LOOK_MS)
        while received:
            number = received.pop(0)
            _say(moving)
            if number != signal.SIGUSR1:
                return


def _say(moving: Proxy) -> None:
    for name, side in (("front", moving.front), ("back", moving.back)):
        print_line(
            f"{name}: {side.messages_in} messages ({side.bytes_in} bytes) in, "
            f"{side.messages_out} ({side.bytes_out}) out"
        )
