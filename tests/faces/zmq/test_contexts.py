"""The life of contexts and sockets: ends in mid-call, forks, shadows, signals."""

from __future__ import annotations

import copy
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import midge.zmq
from tests.faces.zmq.conftest import Bench

MODULES = ["midge.zmq", pytest.param("zmq", marks=pytest.mark.peer("pyzmq"))]


class InThread:
    """A call in a thread; its result or exception can be waited for."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.error: BaseException | None = None
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], Any]) -> None:
        try:
            self.result = call()
        except BaseException as error:
            self.error = error

    def join(self) -> Any:
        self._thread.join(10)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.result


def python(code: str, *arguments: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


# -- the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["recv", "recv_multipart", "send", "poll"])
def test_a_call_that_waits_ends_with_its_context(bench: Bench, what: str) -> None:
    zmq = bench.zmq
    made = bench.socket("DEALER", rcvtimeo=-1, sndtimeo=-1)
    calls = {
        "recv": made.recv,
        "recv_multipart": made.recv_multipart,
        "send": lambda: made.send(b"x"),
        "poll": lambda: made.poll(),
    }
    began = threading.Event()

    def wait() -> Any:
        began.set()
        try:
            return calls[what]()
        finally:
            made.close()

    waiting = InThread(wait)
    assert began.wait(10)
    time.sleep(0.02)  # most often the call waits by now; it must end either way
    bench.context.term()
    with pytest.raises(zmq.ContextTerminated) as told:
        waiting.join()
    assert told.value.errno == zmq.ETERM


def test_a_call_after_the_end_is_told(bench: Bench) -> None:
    zmq = bench.zmq
    made = bench.socket("DEALER")
    ending = InThread(bench.context.term)
    with pytest.raises(zmq.ContextTerminated):
        made.poll(10_000)
    with pytest.raises(zmq.ContextTerminated):
        made.recv()
    made.close()
    ending.join()
    assert bench.context.closed


def test_term_waits_for_what_is_to_be_sent(bench: Bench) -> None:
    zmq = bench.zmq
    with zmq.Context() as receiving:
        pull = receiving.socket(zmq.PULL)
        pull.rcvtimeo = 10_000
        port = pull.bind_to_random_port("tcp://127.0.0.1")
        sending = zmq.Context()
        push = sending.socket(zmq.PUSH)
        push.connect(f"tcp://127.0.0.1:{port}")
        for _ in range(100):
            push.send(b"x" * 10_000)
        push.close()  # LINGER is -1
        ending = InThread(sending.term)
        for _ in range(100):
            assert pull.recv() == b"x" * 10_000
        ending.join()
        pull.close()


def test_linger_0_drops_what_is_to_be_sent(bench: Bench) -> None:
    lonely = bench.socket("PUSH")
    lonely.connect("tcp://127.0.0.1:1")
    lonely.send(b"x")
    lonely.close(0)
    InThread(bench.context.term).join()


def test_destroy_closes_the_sockets(bench: Bench) -> None:
    made = [bench.socket("PUSH") for _ in range(3)]
    for one in made:
        one.connect("tcp://127.0.0.1:1")
        one.send(b"x")
    bench.context.destroy(linger=0)
    assert bench.context.closed
    assert all(one.closed for one in made)
    bench.context.destroy()  # and again: nothing


def test_what_is_closed_says_so(bench: Bench) -> None:
    zmq = bench.zmq
    made = bench.socket("DEALER")
    made.close()
    made.close()
    assert made.closed
    for call in (
        lambda: made.send(b"x"),
        lambda: made.recv(zmq.DONTWAIT),
        lambda: made.bind("inproc://x"),
        lambda: made.get(zmq.LINGER),
    ):
        with pytest.raises(zmq.ZMQError) as refused:
            call()
        assert refused.value.errno == zmq.ENOTSOCK
    with pytest.raises(zmq.ZMQError):
        made.poll(0)
    bench.context.term()
    with pytest.raises(zmq.ZMQError):
        bench.context.socket(zmq.PUSH)


def test_sockets_and_contexts_are_closed_by_with(bench: Bench) -> None:
    zmq = bench.zmq
    with zmq.Context() as context:
        with context.socket(zmq.PUSH) as made:
            assert not made.closed
        assert made.closed
    assert context.closed


def test_a_socket_is_closed_from_another_thread_when_nobody_uses_it(bench: Bench) -> None:
    pull, push = bench.pair("PULL", "PUSH", "tcp")
    push.send(b"x")
    assert InThread(pull.recv).join() == b"x"
    InThread(pull.close).join()
    InThread(push.close).join()


def test_closing_a_socket_under_a_call_of_another_thread_ends_the_call(ours: Bench) -> None:
    """libzmq aborts the process here."""
    zmq = ours.zmq
    made = ours.socket("PULL")
    made.bind("tcp://127.0.0.1:*")
    began = threading.Event()

    def wait() -> Any:
        began.set()
        return made.recv()

    waiting = InThread(wait)
    assert began.wait(10)
    time.sleep(0.02)
    made.close()
    with pytest.raises(zmq.ZMQError) as told:
        waiting.join()
    assert told.value.errno == zmq.ENOTSOCK


@pytest.mark.parametrize("what", ["socket", "context"])
def test_what_is_forgotten_is_warned_about_and_closed(bench: Bench, what: str) -> None:
    zmq = bench.zmq
    context = zmq.Context()
    forgotten = context.socket(zmq.PUSH) if what == "socket" else zmq.Context()
    kept = [forgotten]
    del forgotten
    with pytest.warns(ResourceWarning, match="Unclosed"):
        kept.clear()
    gc.collect()
    context.term()


# -- instance and shadows ---------------------------------------------------------------------


@pytest.mark.parametrize("module", MODULES)
def test_there_is_one_instance_until_it_is_ended(module: str) -> None:
    done = python(
        """
        import importlib, sys
        zmq = importlib.import_module(sys.argv[1])
        first = zmq.Context.instance()
        assert zmq.Context.instance() is first
        first.term()
        second = zmq.Context.instance()
        assert second is not first and not second.closed
        second.term()
        """,
        module,
    )
    assert done.returncode == 0, done.stderr


def test_a_shadow_is_the_same_socket_and_leaves_it_open(bench: Bench) -> None:
    zmq = bench.zmq
    pull, push = bench.pair("PULL", "PUSH")
    for shadow in (zmq.Socket.shadow(push.underlying), zmq.Socket(push), copy.copy(push)):
        assert shadow.underlying == push.underlying
        shadow.send(b"from the shadow")
        assert pull.recv() == b"from the shadow"
        del shadow
        gc.collect()
    assert not push.closed
    context = zmq.Context.shadow(bench.context.underlying)
    with context.socket(zmq.PUSH) as made:
        made.connect(pull.last_endpoint.decode().rstrip("\x00"))
        made.send(b"x")
        assert pull.recv() == b"x"
    del context
    assert not bench.context.closed


def test_what_is_shown_tells_the_type_and_whether_it_is_closed(bench: Bench) -> None:
    made = bench.socket("PUSH")
    assert "PUSH" in repr(made)
    assert "closed" not in repr(made)
    made.close()
    assert "closed" in repr(made)
    assert "closed" not in repr(bench.context)


# -- processes and signals --------------------------------------------------------------------


def test_a_forked_child_is_refused_and_makes_its_own(ours: Bench) -> None:
    done = python(
        """
        import os, sys
        import midge.zmq as zmq
        context = zmq.Context.instance()
        pull = context.socket(zmq.PULL)
        port = pull.bind_to_random_port("tcp://127.0.0.1")
        pull.rcvtimeo = 10_000
        push = context.socket(zmq.PUSH)
        push.connect(f"tcp://127.0.0.1:{port}")
        push.send(b"before")
        assert pull.recv() == b"before"
        child = os.fork()
        if child == 0:
            try:
                for call in (lambda: push.send(b"x"), pull.recv, lambda: push.poll(0),
                             lambda: context.socket(zmq.PUSH)):
                    try:
                        call()
                    except zmq.ZMQError as error:
                        assert error.errno == zmq.ENOTSOCK, error
                    else:
                        os._exit(3)
                push.close()  # which is not the parent's end
                own = zmq.Context.instance()
                assert own is not context
                with own.socket(zmq.PUSH) as mine:
                    mine.connect(f"tcp://127.0.0.1:{port}")
                    mine.send(b"from the child")
                own.term()
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(4)
            os._exit(0)
        assert pull.recv() == b"from the child"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        push.send(b"after")
        assert pull.recv() == b"after"
        pull.close()
        push.close()
        context.term()
        """
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("what", ["recv", "send", "poll", "term"])
def test_ctrl_c_ends_what_waits(module: str, what: str) -> None:
    program = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import importlib, os, sys
                zmq = importlib.import_module(sys.argv[1])
                context = zmq.Context()
                made = context.socket(zmq.DEALER)
                wait = {"recv": made.recv, "send": lambda: made.send(b"x"), "poll": made.poll,
                        "term": context.term}[sys.argv[2]]
                print("ready", flush=True)
                try:
                    wait()
                except KeyboardInterrupt:
                    print("interrupted", flush=True)
                    os._exit(7)
            """),
            module,
            what,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    try:
        assert program.stdout.readline() == "ready\n"
        time.sleep(0.05)  # in the call by now, most often
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 7
    finally:
        program.kill()
        program.wait()
        program.stdout.close()


def test_a_call_goes_on_after_a_signal_that_raises_nothing(bench: Bench) -> None:
    pull, push = bench.pair("PULL", "PUSH", "tcp")
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))

    def disturb() -> None:
        for _ in range(3):
            time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.01)
        push.send(b"x")

    try:
        disturbing = InThread(disturb)
        assert pull.recv() == b"x"
        disturbing.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen


def test_the_end_of_a_program_waits_no_longer_than_the_linger_of_its_sockets() -> None:
    done = python(
        """
        import atexit, time
        atexit.register(lambda: print(time.monotonic() - began < 1.5))  # before midge's: runs last
        import midge.zmq as zmq
        made = zmq.Context.instance().socket(zmq.PUSH)
        made.linger = 0
        made.connect("tcp://127.0.0.1:1")
        made.send(b"x")
        began = time.monotonic()
        """
    )
    assert done.stdout.split() == ["True"]


def test_what_a_loop_left_unsent_is_sent_at_the_end_of_the_program() -> None:
    """The loop ends before the peer has answered, and nobody closes anything."""
    with midge.zmq.Context() as context, context.socket(midge.zmq.PULL) as pull:
        pull.bind("tcp://127.0.0.1:*")
        done = python(
            f"""
            import asyncio
            import midge.zmq as zmq, midge.zmq.asyncio
            made = midge.zmq.asyncio.Context().socket(zmq.PUSH)
            made.connect("{pull.last_endpoint.decode()}")
            async def main():
                for number in range(300):
                    await made.send(b"%d" % number)
            asyncio.run(main())
            """
        )
        assert done.returncode == 0, done.stderr
        pull.rcvtimeo = 10_000
        assert [pull.recv() for _ in range(300)] == [b"%d" % number for number in range(300)]


@pytest.mark.parametrize("module", MODULES)
def test_a_program_ends_though_it_has_closed_nothing(module: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import importlib, sys; zmq = importlib.import_module(sys.argv[1]);"
            "made = zmq.Context.instance().socket(zmq.PUSH); made.linger = 0;"
            "made.connect('tcp://127.0.0.1:1'); made.send(b'x')",
            module,
        ],
        timeout=20,
        check=False,
    )
    assert done.returncode == 0


IN_A_CALL = """
    import importlib, sys, threading, time
    zmq = importlib.import_module(sys.argv[1])
    context = zmq.Context.instance()
    one = context.socket(zmq.DEALER)
    one.connect(sys.argv[2])
    one.send(b"last words")
    other = context.socket(zmq.PULL)
    other.bind("inproc://nobody")
    third = context.socket(zmq.PUSH)
    third.linger = 50
    third.connect("tcp://127.0.0.1:1")
    third.send(b"x")
    poller = zmq.Poller()
    poller.register(other)

    looker = zmq.Poller()
    looker.register(third)

    def look():
        while True:
            looker.poll(0)
            time.sleep(0.001)

    for call in one.recv, poller.poll, look:
        threading.Thread(target=call, daemon=True).start()
    time.sleep(0.1)
"""


@pytest.mark.parametrize("module", MODULES)
def test_daemon_threads_end_with_the_program_without_a_word(bench: Bench, module: str) -> None:
    dealer = bench.socket("DEALER")
    port = dealer.bind_to_random_port("tcp://127.0.0.1")
    # (pyzmq has a ResourceWarning for each socket.)
    code = IN_A_CALL.replace("import importlib", "import warnings, importlib", 1)
    code = code.replace("zmq = ", "warnings.simplefilter('ignore'); zmq = ", 1)
    done = python(code, module, f"tcp://127.0.0.1:{port}")
    assert (done.returncode, done.stderr) == (0, "")
    assert dealer.recv() == b"last words"


def test_what_asyncio_has_left_unsent_leaves_at_the_end_too(ours: Bench) -> None:
    pull = ours.socket("PULL")
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    done = python(
        """
        import asyncio, sys
        import midge.zmq.asyncio
        import midge.zmq as zmq

        push = zmq.asyncio.Context.instance().socket(zmq.PUSH)

        async def main():
            push.connect(f"tcp://127.0.0.1:{sys.argv[1]}")
            await push.send(b"last words")

        asyncio.run(main())
        """,
        str(port),
    )
    assert done.returncode == 0, done.stderr
    assert pull.recv() == b"last words"


def test_the_files_of_ipc_are_removed_at_the_end_of_a_program() -> None:
    done = python(
        """
        import midge.zmq as zmq
        made = zmq.Context.instance().socket(zmq.REP)
        made.bind("ipc://*")
        print(made.last_endpoint.decode().removeprefix("ipc://"))
        """
    )
    path = done.stdout.strip()
    assert path
    assert not os.path.exists(path)


def test_messages_that_were_sent_before_the_end_of_a_program_arrive(ours: Bench) -> None:
    pull = ours.socket("PULL")
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    done = python(
        """
        import sys
        import midge.zmq as zmq
        push = zmq.Context.instance().socket(zmq.PUSH)
        push.connect(f"tcp://127.0.0.1:{sys.argv[1]}")
        for number in range(1000):
            push.send(b"%d" % number)
        """.replace("-W error", ""),
        str(port),
    )
    assert done.returncode == 0, done.stderr
    assert [pull.recv() for _ in range(1000)] == [b"%d" % number for number in range(1000)]


# -- the garbage collector in an I/O thread -------------------------------------------------------


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("whose", ["its own", "another"])
def test_a_context_that_is_freed_in_an_io_thread_holds_nothing_up(ours: Bench, whose: str) -> None:
    pull = ours.socket("PULL", rcvhwm=5)
    pull.bind("tcp://127.0.0.1:*")
    gc.collect()
    gc.disable()  # until that thread does it
    try:
        context = ours.zmq.Context()
        push = context.socket(ours.zmq.PUSH)
        push.sndhwm = 0
        push.connect(pull.last_endpoint.decode())
        sent = 5000
        for _ in range(sent):
            push.send(bytes(1000))
        core, blocking = context._core, push._core.blocking
        circle: list[Any] = [context, push]
        circle.append(circle)
        freed = weakref.ref(push)
        collected = threading.Event()

        def collect() -> None:
            if threading.current_thread().name == "midge-zmq" and not collected.is_set():
                gc.collect()
                collected.set()

        reactor = (pull._core.blocking if whose == "another" else blocking).reactor
        del context, push, circle
        while not collected.is_set():
            reactor.call_soon_threadsafe(collect)
            collected.wait(0.01)
        for _ in range(sent):
            pull.recv()
        deadline = time.monotonic() + 10
        while not core.closed and time.monotonic() < deadline:
            time.sleep(0.01)
        assert core.closed
        gc.collect()
        assert freed() is None
    finally:
        gc.enable()
