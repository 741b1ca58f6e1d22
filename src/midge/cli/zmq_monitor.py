"""``midge zmq monitor``: connect to an endpoint and say what happens, and why."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import midge.zmq as zmq
from midge.cli.flags import FlagError
from midge.cli.output import print_error, write_output
from midge.cli.zmq_sockets import open_socket
from midge.zmq.constants import Event
from midge.zmq.error import strerror
from midge.zmq.utils.monitor import parse_monitor_message

if TYPE_CHECKING:
    from midge.cli.zmq import ZmqOptions

#: What events with an errno, with a code, and with a time have for a value.
_ERRNO: Final = {
    Event.CONNECT_DELAYED,
    Event.BIND_FAILED,
    Event.ACCEPT_FAILED,
    Event.HANDSHAKE_FAILED_NO_DETAIL,
}


def run_monitor(given: list[str], options: ZmqOptions) -> int:
    """Say what happens until -C, -W or Ctrl-C; returns the exit status.

    0 when a handshake succeeded, 1 when none did.

    Raises:
        FlagError: there is no endpoint, or no such type.
    """
    if not given:
        raise FlagError("Error: Give the endpoint to connect to.")
    type_name = given[1].upper() if len(given) > 1 else "DEALER"
    if type_name not in zmq.SocketType.__members__:
        raise FlagError(f"Error: There is no socket type '{given[1]}'.")
    with zmq.SyncContext() as context, open_socket(context, type_name, options) as socket:
        socket.linger = 0
        events = socket.get_monitor_socket()
        try:
            socket.connect(given[0])
            return _watch(socket, events, options)
        except zmq.ZMQError as error:
            print_error(f"Error: {error}")
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            socket.disable_monitor()
            events.close(linger=0)


def _watch(socket: Any, events: Any, options: ZmqOptions) -> int:
    until = time.monotonic() + options.seconds if options.seconds else None
    status = 1
    count = 0
    while not options.count or count < options.count:
        left_ms = None if until is None else max(0, int((until - time.monotonic()) * 1000))
        if not events.poll(left_ms):
            return status
        told = parse_monitor_message(events.recv_multipart())
        count += 1
        event = Event(told["event"])
        if event == Event.HANDSHAKE_SUCCEEDED:
            status = 0
        _say(socket, event, told["value"], told["endpoint"].decode(), options.json)
    return status


def _say(socket: Any, event: Event, value: int, endpoint: str, as_json: bool) -> None:
    about = _about(socket, event, value)
    if as_json:
        shown = {"event": event.name, "value": value, "endpoint": endpoint, **about}
        write_output(json.dumps(shown).encode() + b"\n")
        return
    words = " ".join(f"{name}={text}" for name, text in about.items())
    name = (event.name or str(value)).lower().replace("_", " ")
    write_output(f"{name} {endpoint} {words}".rstrip().encode() + b"\n")


def _about(socket: Any, event: Event, value: int) -> dict[str, str]:
    """What an event's value means; with a handshake, who the peer is."""
    if event in _ERRNO:
        return {"why": strerror(value)}
    if event == Event.CONNECT_RETRIED:
        reasons = [one["why"] for one in socket.stats()["connecting"] if one["why"]]
        why = {"why": reasons[0]} if reasons else {}
        return {"in": f"{value} ms", **why}
    if event == Event.HANDSHAKE_FAILED_AUTH:
        return {"why": f"refused with status {value}"}
    if event == Event.HANDSHAKE_FAILED_PROTOCOL:
        return {"why": f"protocol error {value:#x}"}
    if event == Event.HANDSHAKE_SUCCEEDED:
        for peer in socket.stats()["peers"]:
            if peer["ready"]:
                found = {"type": peer["socket_type"], "address": peer["address"]}
                if peer["identity"]:
                    found["identity"] = peer["identity"]
                return found
    return {}
