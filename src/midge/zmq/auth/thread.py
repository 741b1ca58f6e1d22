"""An authenticator in a thread of its own."""

from __future__ import annotations

import asyncio
from threading import Event, Thread
from typing import Any

import midge.zmq as zmq
from midge.zmq.asyncio import Poller
from midge.zmq.auth.base import Authenticator


class AuthenticationThread(Thread):
    """The thread: an event loop that answers requests until it is told to stop."""

    def __init__(self, authenticator: Authenticator, pipe: Any) -> None:
        super().__init__(daemon=True, name="midge-zmq-auth")
        self.authenticator = authenticator
        self.log = authenticator.log
        self.pipe = pipe
        self.started = Event()

    def run(self) -> None:
        """See :class:`threading.Thread`."""
        try:
            asyncio.run(self._answer())
        finally:
            self.pipe.close()

    async def _answer(self) -> None:
        requests = self.authenticator.zap_socket
        poller = Poller()
        poller.register(self.pipe, zmq.POLLIN)
        poller.register(requests, zmq.POLLIN)
        self.started.set()
        while True:
            try:
                ready = dict(await poller.poll())
            except zmq.ZMQError:
                return  # the context has ended
            if self.pipe in ready and self._obey(self.pipe.recv_multipart()):
                return
            if requests in ready:
                await self.authenticator.handle_zap_message(requests.recv_multipart())

    def _obey(self, message: list[bytes]) -> bool:
        if message[0] == b"TERMINATE":
            return True
        self.log.error("unknown command to the authenticator: %r", message[0])
        self.pipe.send(b"ERROR")
        return False


class ThreadAuthenticator(Authenticator):
    """Answers requests in a thread, whatever the program does."""

    pipe: Any
    pipe_endpoint: str = ""
    thread: Any

    def __init__(self, context: Any = None, encoding: str = "utf-8", log: Any = None) -> None:
        super().__init__(context=context, encoding=encoding, log=log)
        self.pipe = None
        self.pipe_endpoint = f"inproc://{id(self)}.inproc"
        self.thread = None

    def start(self) -> None:
        """See :meth:`Authenticator.start`.

        Raises:
            RuntimeError: the thread did not start.
        """
        super().start()
        self.pipe = self.context.socket(zmq.PAIR, socket_class=zmq.Socket)
        self.pipe.linger = 1
        self.pipe.bind(self.pipe_endpoint)
        theirs = self.context.socket(zmq.PAIR, socket_class=zmq.Socket)
        theirs.linger = 1
        theirs.connect(self.pipe_endpoint)
        self.thread = AuthenticationThread(self, theirs)
        self.thread.start()
        if not self.thread.started.wait(timeout=10):
            raise RuntimeError("Authenticator thread failed to start")

    def stop(self) -> None:
        """See :meth:`Authenticator.stop`."""
        if self.pipe is not None:
            if not self.pipe.closed and not self.context.closed:
                self.pipe.send(b"TERMINATE")
            if self.is_alive():
                self.thread.join()
            self.thread = None
            self.pipe.close()
            self.pipe = None
        super().stop()

    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self.thread is not None and self.thread.is_alive()

    def __del__(self) -> None:
        self.stop()


__all__ = ["ThreadAuthenticator"]
