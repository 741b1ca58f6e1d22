"""What a type checker says of a program that uses midge.zmq, as strictly as it can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[3]
BEGIN = """\
from collections.abc import Awaitable
from typing import Any, assert_type

import midge.zmq as zmq
import midge.zmq.asyncio
"""

PROGRAMS = {
    "contexts that nothing is said of make blocking sockets": """\
        context = zmq.Context()
        assert_type(context, zmq.SyncContext)
        assert_type(zmq.Context.instance(), zmq.SyncContext)
        assert_type(zmq.Context(shadow=context), zmq.SyncContext)
        assert_type(zmq.Context(zmq.asyncio.Context()), zmq.SyncContext)
        with zmq.Context() as inner:
            assert_type(inner.socket(zmq.PULL), zmq.Socket[bytes])

        def given(context: zmq.Context, socket: zmq.Socket) -> None:
            assert_type(context.socket(zmq.PULL), zmq.Socket[bytes])
            assert_type(socket.recv(), bytes)
    """,
    "a socket class of one's own": """\
        class Mine(zmq.Socket[bytes]):
            pass

        class Makes(zmq.Context[Mine]):
            _socket_class = Mine

        assert_type(Makes().socket(zmq.PULL), Mine)
    """,
    "blocking sockets": """\
        socket = zmq.Context().socket(zmq.PAIR)
        assert_type(socket.recv(), bytes)
        assert_type(socket.recv(copy=False), zmq.Frame)
        assert_type(socket.recv_multipart(), list[bytes])
        assert_type(socket.recv_multipart(copy=False), list[zmq.Frame])
        assert_type(socket.recv_string(), str)
        assert_type(socket.send_string("text"), zmq.MessageTracker | None)
        assert_type(socket.get_monitor_socket(), zmq.Socket[bytes])
        assert_type(socket.recv_many(), list[bytes | list[bytes]])
        for message in socket:
            assert_type(message, bytes | list[bytes])
        assert_type(zmq.Poller().poll(), list[tuple[Any, int]])
        with socket.bind("tcp://127.0.0.1:*") as bound:
            assert_type(bound, zmq.Socket[bytes])
    """,
    "monitors": """\
        from midge.zmq.utils.monitor import recv_monitor_message

        async def main(socket: zmq.asyncio.Socket) -> None:
            event = await recv_monitor_message(socket)
            assert_type(event["endpoint"], bytes)

        assert_type(recv_monitor_message(zmq.Context().socket(zmq.PAIR))["value"], int)
    """,
    "asyncio's": """\
        async def main() -> None:
            socket = zmq.asyncio.Context().socket(zmq.PAIR)
            assert_type(socket, zmq.asyncio.Socket)
            assert_type(await socket.recv(), bytes)
            assert_type(await socket.recv(copy=False), zmq.Frame)
            assert_type(await socket.recv_multipart(), list[bytes])
            assert_type(await socket.recv_multipart(copy=False), list[zmq.Frame])
            assert_type(await socket.recv_string(), str)
            assert_type(await socket.recv_into(bytearray(8)), int)
            assert_type(await socket.send(b"text"), zmq.MessageTracker | None)
            assert_type(await socket.send_multipart([b"text"]), zmq.MessageTracker | None)
            assert_type(await socket.poll(), int)
            assert_type(await socket.send_many([b"1", b"2"]), int)
            assert_type(await socket.recv_many(), list[bytes | list[bytes]])
            async for message in socket:
                assert_type(message, bytes | list[bytes])
            await socket.wait_subscribed(b"text", timeout=1)
            assert_type(await zmq.asyncio.Poller().poll(), list[tuple[Any, int]])
            assert_type(socket.get_monitor_socket(), zmq.asyncio.Socket)
            received: Awaitable[bytes] = socket.recv()
            await received
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_type_checker_knows_what_comes_back(tmp_path: Path, name: str) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed")
    program = tmp_path / "program.py"
    program.write_text(BEGIN + dedent(PROGRAMS[name]))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(program)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
