"""``midge zmq pub|sub|push|pull|req|rep``: messages in from lines and files, out as text."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import midge.zmq as zmq
from midge.cli.flags import FlagError
from midge.cli.output import print_error, write_output
from midge.cli.zmq_sockets import join_endpoints, open_socket

if TYPE_CHECKING:
    from midge.cli.zmq import ZmqOptions

#: What mosquitto_sub exits with when the time given with -W is over.
_TIMED_OUT: Final = 27
_RECEIVERS: Final = ("sub", "pull")


def run_move(name: str, options: ZmqOptions) -> int:
    """Run one of the commands; returns the exit status."""
    with zmq.SyncContext() as context:
        try:
            socket = open_socket(context, name.upper(), options)
        except zmq.ZMQError as error:
            print_error(f"Error: {error}")
            return 1
        with socket:
            try:
                return _Mover(name, socket, options).run()
            except zmq.Again:
                return _TIMED_OUT
            except (zmq.ZMQError, OSError) as error:
                print_error(f"Error: {error}")
                socket.linger = 0
                return 1
            except KeyboardInterrupt:
                socket.linger = 0
                return 130
            except FlagError:
                socket.linger = 0
                raise


class _Mover:
    def __init__(self, name: str, socket: Any, options: ZmqOptions) -> None:
        self.name = name
        self.socket = socket
        self.options = options
        self.until = time.monotonic() + options.seconds if options.seconds else None

    def run(self) -> int:
        """Do what the command does, until its input or its count ends."""
        socket = self.socket
        if self.name == "sub":
            for prefix in self.options.prefixes or [""]:
                socket.subscribe(prefix)
        join_endpoints(socket, self.options)
        if self.name in _RECEIVERS:
            return self._receive()
        if self.name == "rep":
            return self._answer()
        status = self._send()
        self._wait_until_sent()
        return status

    def _wait_until_sent(self) -> None:
        """Let the last messages leave, as long as --linger says; Ctrl-C ends this wait, too.

        What a closed socket lingers for, nothing can end.
        """
        linger_ms = self.options.linger
        until = None if linger_ms < 0 else time.monotonic() + linger_ms / 1000
        while any(peer["outgoing"] or peer["in_flight"] for peer in self.socket.stats()["peers"]):
            if until is not None and time.monotonic() >= until:
                break
            self.socket.poll(20, 0)

    def _set_timeouts(self) -> None:
        """Waits end when the time of -W is over."""
        if self.until is not None:
            left_ms = max(0, int((self.until - time.monotonic()) * 1000))
            self.socket.rcvtimeo = left_ms
            self.socket.sndtimeo = left_ms

    def _receive(self) -> int:
        count = 0
        while not self.options.count or count < self.options.count:
            self._set_timeouts()
            self._print(self.socket.recv_multipart())
            count += 1
        return 0

    def _send(self) -> int:
        options = self.options
        if self.name != "req":
            self._wait_for_peers()
        for count, parts in enumerate(self._messages(), 1):
            self._set_timeouts()
            self.socket.send_multipart(parts)
            if self.name == "req":
                self._print(self.socket.recv_multipart())
            if count == options.count:
                break
        return 0

    def _wait_for_peers(self) -> None:
        wanted = 1 if self.options.wait < 0 else self.options.wait
        if not wanted:
            return
        left_s = None if self.until is None else max(0.0, self.until - time.monotonic())
        if self.name == "pub":
            self.socket.wait_subscribed(n=wanted, timeout=left_s)
        else:
            self.socket.wait_peers(wanted, timeout=left_s)

    def _messages(self) -> Iterator[list[bytes]]:
        options = self.options
        if options.file is not None:
            with open(options.file, "rb") as file:
                yield [file.read()]
        given = [message.encode(errors="surrogateescape") for message in options.messages]
        if given and options.multipart:
            yield given
        elif given:
            yield from ([message] for message in given)
        elif options.file is None:
            for line in sys.stdin.buffer:
                text = line.rstrip(b"\n")
                yield text.split(b"\t") if options.multipart else [text]

    def _answer(self) -> int:
        options = self.options
        ways = bool(options.messages) + options.echo + (options.execute is not None)
        if ways != 1:
            raise FlagError("Error: Give one of -m, --echo and --execute.")
        count = 0
        while not options.count or count < options.count:
            self._set_timeouts()
            request = self.socket.recv_multipart()
            self._print(request)
            self.socket.send_multipart(self._reply(request))
            count += 1
        return 0

    def _reply(self, request: list[bytes]) -> list[bytes]:
        options = self.options
        if options.echo:
            return request
        if options.execute is None:
            return [message.encode(errors="surrogateescape") for message in options.messages]
        done = subprocess.run(
            options.execute,
            shell=True,
            input=b"\n".join(request),
            stdout=subprocess.PIPE,
            check=False,
        )
        return [done.stdout]

    def _print(self, parts: list[bytes]) -> None:
        options = self.options
        if options.json:
            shown = json.dumps({"parts": [_json_part(part) for part in parts]}).encode()
        elif options.hex:
            shown = b" ".join(part.hex().encode() for part in parts)
        elif options.base64:
            shown = b" ".join(base64.b64encode(part) for part in parts)
        else:
            shown = b"\t".join(parts)
        write_output(shown + b"\n")


def _json_part(part: bytes) -> object:
    try:
        return part.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(part).decode()}
