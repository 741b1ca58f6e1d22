"""The shortest way of a message, where another thread comes in between."""

from __future__ import annotations

from typing import Any

import midge.zmq as midge_zmq


def test_a_message_is_sent_once_though_the_thread_stops_looking_meanwhile() -> None:
    """The thread takes its eyes off a socket while that appends a message for it to send."""
    with midge_zmq.Context() as context, context.socket(midge_zmq.PULL) as pull:
        pull.bind("tcp://127.0.0.1:*")
        with context.socket(midge_zmq.PUSH) as push:
            push.connect(pull.last_endpoint)
            blocking = push._blocking

            class Lane(list[Any]):
                def append(self, item: Any) -> None:
                    super().append(item)
                    blocking.warm = False

            sent = 0
            while not (blocking.credit > 0 and blocking.warm):
                push.send(b"%d" % sent)
                sent += 1
            with blocking._lock:
                blocking.lane = Lane(blocking.lane)
            push.send(b"%d" % sent)
            push.send(b"end")
            assert [pull.recv() for _ in range(sent + 2)][-2:] == [b"%d" % sent, b"end"]
            assert not pull.poll(20)
