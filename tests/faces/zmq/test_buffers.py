"""Large buffers that are no bytes go out as they are, as one part or as the first of several."""

from __future__ import annotations

import pytest

import midge.zmq as zmq

LARGE = b"ab" * 50_000
PAIRS = [
    ("PUB", "SUB"),
    ("XPUB", "XSUB"),
    ("PUSH", "PULL"),
    ("DEALER", "ROUTER"),
    ("PAIR", "PAIR"),
    ("REQ", "REP"),
]


@pytest.mark.parametrize("transport", ["tcp", "inproc"])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("buffer", [memoryview, bytearray])
@pytest.mark.parametrize(("sending", "receiving"), PAIRS)
def test_a_large_buffer_arrives(
    sending: str, receiving: str, buffer: type, parts: int, transport: str
) -> None:
    with zmq.Context() as context:
        sender = context.socket(getattr(zmq, sending))
        receiver = context.socket(getattr(zmq, receiving))
        sender.linger = receiver.linger = 0
        sender.sndtimeo = receiver.rcvtimeo = 5000
        sender.bind("inproc://buffers" if transport == "inproc" else "tcp://127.0.0.1:*")
        if receiving == "SUB":
            receiver.subscribe(b"ab")
            receiver.subscribe(b"x")  # of another length, so that heads are looked at
        receiver.connect(sender.last_endpoint)
        if receiving == "XSUB":
            receiver.send(b"\1ab")
        if sending in ("PUB", "XPUB"):
            sender.wait_subscribed(b"ab", timeout=5)
        sender.send_multipart([buffer(LARGE), b"more"][:parts], copy=False)
        got = receiver.recv_multipart()[-parts:]
        assert got == [LARGE, b"more"][:parts]
        sender.close()
        receiver.close()
