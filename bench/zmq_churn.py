"""`python -m bench.zmq_churn`: ten thousand sockets opened and closed, and what is left of them.

Every pair exchanges messages over tcp, ipc or inproc; every hundredth has a peer in another process
that is killed in the middle of a large message. Descriptors and threads must be what they were,
and memory must not grow from the second half to the end. The same for `midge.zmq` is among the
tests, in `tests/faces/zmq/test_churn.py`.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Final

from midge.net.zeromq.blocking import BlockingEngine
from midge.net.zeromq.blocking_context import BlockingContext

TRANSPORTS: Final = ("tcp://127.0.0.1:*", "ipc://*", "inproc://churn")
PAIRS: Final = 5000
#: Growth of resident memory over the second half that is more than the allocator's noise.
GROWTH_MAX: Final = 4 * 1024 * 1024
_VICTIM: Final = """
import sys
from midge.net.zeromq.blocking import BlockingEngine
from midge.net.zeromq.blocking_context import BlockingContext
push = BlockingEngine("PUSH", BlockingContext())
push.call(push.engine.connect, sys.argv[1])
push.send(b"begun")
while True:
    push.send(b"x" * 50_000_000)
"""


def resident_bytes() -> int:
    """Memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def descriptors() -> int:
    """Open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def converse(context: BlockingContext, transport: str) -> None:
    """One pair of sockets, from the first to the last."""
    pull, push = BlockingEngine("PULL", context), BlockingEngine("PUSH", context)
    push.call(push.engine.connect, pull.call(pull.engine.bind, transport))
    for size in (1, 1000, 100_000):
        push.send(b"x" * size, 10_000)
        item = pull.receive(10_000)
        assert item is not None, "a message did not come"
        assert len(item) == size
    push.close(-1)
    pull.close(0)


def survive_a_kill(context: BlockingContext) -> None:
    """A peer ends in the middle of a message."""
    pull = BlockingEngine("PULL", context)
    endpoint = pull.call(pull.engine.bind, "tcp://127.0.0.1:*")
    victim = subprocess.Popen([sys.executable, "-c", _VICTIM, endpoint])
    assert pull.receive(20_000) == b"begun"
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    while pull.engine.pattern.peers():
        pull.receive(10)
    pull.close(0)


def main() -> int:
    """Run it; 1 when something was left behind."""
    context = BlockingContext()
    for transport in TRANSPORTS * 10:
        converse(context, transport)
    survive_a_kill(context)
    before = descriptors(), threading.active_count()
    half = 0
    begun = time.monotonic()
    for number in range(PAIRS):
        converse(context, TRANSPORTS[number % len(TRANSPORTS)])
        if number % 100 == 99:
            survive_a_kill(context)
        if number == PAIRS // 2:
            gc.collect()
            half = resident_bytes()
    context.wait_empty(10)
    gc.collect()
    grown = resident_bytes() - half
    after = descriptors(), threading.active_count()
    seconds = time.monotonic() - begun
    print(f"{2 * PAIRS} sockets in {seconds:.0f} s; descriptors and threads {before} -> {after}; ")
    print(f"memory grew by {grown / 1024:.0f} KiB over the second half")
    context.stop()
    return 0 if after == before and grown <= GROWTH_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
