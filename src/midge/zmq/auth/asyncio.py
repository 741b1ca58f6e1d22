"""An authenticator in the running asyncio loop."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

from midge.zmq.asyncio import Poller
from midge.zmq.auth.base import Authenticator
from midge.zmq.constants import PollEvent
from midge.zmq.error import ZMQError


class AsyncioAuthenticator(Authenticator):
    """Answers requests in a task of the running loop."""

    _task: asyncio.Task[None] | None

    def __init__(
        self, context: Any = None, loop: Any = None, encoding: str = "utf-8", log: Any = None
    ) -> None:
        super().__init__(context, encoding, log)
        if loop is not None:
            warnings.warn(
                f"{type(self).__name__}(loop) is deprecated and ignored",
                DeprecationWarning,
                stacklevel=2,
            )
        self._task = None

    async def _answer(self) -> None:
        poller = Poller()
        poller.register(self.zap_socket, PollEvent.POLLIN)
        while self.zap_socket is not None:
            try:
                await poller.poll()
                message = self.zap_socket.recv_multipart()
            except ZMQError:
                return  # the socket or the context has ended
            await self.handle_zap_message(message)

    def start(self) -> None:
        """See :meth:`Authenticator.start`."""
        super().start()
        self._task = asyncio.ensure_future(self._answer())

    def stop(self) -> None:
        """See :meth:`Authenticator.stop`."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        super().stop()


__all__ = ["AsyncioAuthenticator"]
