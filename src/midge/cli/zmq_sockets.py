"""Sockets for the commands of ``midge zmq``, as their flags want them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import midge.zmq as zmq
from midge.cli.flags import FlagError
from midge.cli.output import print_error
from midge.zmq.auth.certs import load_certificate

if TYPE_CHECKING:
    from midge.cli.zmq import ZmqOptions


def open_socket(context: Any, type_name: str, options: ZmqOptions) -> Any:
    """A socket with what all commands have in common set.

    Raises:
        FlagError: the flags do not go together, or a certificate cannot be used.
        ZMQError: a value is none that the option takes.
    """
    socket = context.socket(zmq.SocketType[type_name])
    if options.hwm >= 0:
        socket.set_hwm(options.hwm)
    socket.linger = options.linger
    if options.routing_id is not None:
        socket.routing_id = options.routing_id.encode()
    if options.plain_user is not None:
        socket.plain_username = options.plain_user.encode()
        socket.plain_password = (options.plain_password or "").encode()
    _set_curve(socket, options)
    return socket


def _set_curve(socket: Any, options: ZmqOptions) -> None:
    if options.curve_serve or options.curve_server is not None:
        if options.curve_key is None and options.curve_serve:
            raise FlagError("Error: --curve-serve needs --curve-key.")
        public, secret = zmq.curve_keypair()
        if options.curve_key is not None:
            public, own = _certificate(options.curve_key)
            if own is None:
                raise FlagError(f"Error: {options.curve_key} has no secret key.")
            secret = own
        socket.curve_publickey = public
        socket.curve_secretkey = secret
    elif options.curve_key is not None:
        raise FlagError("Error: --curve-key needs --curve-server or --curve-serve.")
    if options.curve_serve:
        socket.curve_server = True
    elif options.curve_server is not None:
        socket.curve_serverkey = _certificate(options.curve_server)[0]


def _certificate(path: str) -> tuple[bytes, bytes | None]:
    try:
        return load_certificate(path)
    except (OSError, ValueError) as error:
        raise FlagError(f"Error: {error}") from None


def join_endpoints(socket: Any, options: ZmqOptions) -> None:
    """Bind and connect the socket.

    Raises:
        FlagError: there is no endpoint.
        ZMQError: one cannot be used.
    """
    if not options.binds and not options.connects:
        raise FlagError("Error: Give an endpoint with -b or -c.")
    for endpoint in options.binds:
        socket.bind(endpoint)
        bound = socket.last_endpoint.decode()
        if bound != endpoint:  # standard output is for messages
            print_error(f"bound {bound}")
    for endpoint in options.connects:
        socket.connect(endpoint)
