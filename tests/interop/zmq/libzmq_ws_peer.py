"""One socket of the system's libzmq, which may know WebSockets where pyzmq's own does not.

``TYPE ENDPOINT MESSAGE...``: a PUSH or PUB sends the messages; a PULL or SUB receives as many as
there are, of which those of a SUB are prefixes first; a REQ sends each and receives its answer.
Without arguments it says whether there are WebSockets. What is received is printed.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys

TYPES = {"REQ": 3, "PULL": 7, "PUSH": 8, "SUB": 2}
SUBSCRIBE, ROUTING_ID, LINGER, RCVTIMEO, SNDTIMEO = 6, 5, 17, 27, 28


def load() -> ctypes.CDLL | None:
    """The library; none where there is none, or one without WebSockets."""
    name = ctypes.util.find_library("zmq")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    pointer, text, whole = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    library.zmq_has.argtypes = [text]
    library.zmq_ctx_new.restype = pointer
    library.zmq_ctx_term.argtypes = [pointer]
    library.zmq_socket.argtypes, library.zmq_socket.restype = [pointer, whole], pointer
    library.zmq_connect.argtypes = [pointer, text]
    library.zmq_close.argtypes = [pointer]
    library.zmq_send.argtypes = [pointer, text, ctypes.c_size_t, whole]
    library.zmq_recv.argtypes = [pointer, text, ctypes.c_size_t, whole]
    library.zmq_setsockopt.argtypes = [pointer, whole, text, ctypes.c_size_t]
    return library if library.zmq_has(b"WS") else None  # in capitals, unlike all others


def main(kind: str, endpoint: str, *messages: str) -> None:
    library = load()
    assert library is not None
    context = library.zmq_ctx_new()
    socket = library.zmq_socket(context, TYPES[kind])
    ten_seconds = (10_000).to_bytes(4, sys.byteorder)
    for option in (LINGER, RCVTIMEO, SNDTIMEO):
        library.zmq_setsockopt(socket, option, ten_seconds, 4)
    assert library.zmq_connect(socket, endpoint.encode()) == 0
    buffer = ctypes.create_string_buffer(1_000_000)
    for message in messages:
        if kind == "SUB":
            library.zmq_setsockopt(socket, SUBSCRIBE, message.encode(), len(message))
        elif kind != "PULL":
            assert library.zmq_send(socket, message.encode(), len(message.encode()), 0) >= 0
        if kind == "REQ":
            size = library.zmq_recv(socket, buffer, len(buffer), 0)
            print(buffer.raw[:size].decode() if size >= 0 else "nothing", flush=True)
    if kind in ("PULL", "SUB"):
        for _ in messages:
            frames, more = [], True
            while more:
                size = library.zmq_recv(socket, buffer, len(buffer), 0)
                frames.append(buffer.raw[:size].decode() if size >= 0 else "nothing")
                more = kind == "SUB" and len(frames) < 2 and size >= 0
            print(*frames, flush=True)
    library.zmq_close(socket)
    library.zmq_ctx_term(context)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(*sys.argv[1:])
    else:
        print("yes" if load() is not None else "no")
