"""The old name of :class:`AsyncioAuthenticator`, from when tornado had a loop of its own."""

from __future__ import annotations

import warnings
from typing import Any

from midge.zmq.auth.asyncio import AsyncioAuthenticator

warnings.warn(
    "auth.ioloop.IOLoopAuthenticator is deprecated. Use auth.asyncio.AsyncioAuthenticator",
    DeprecationWarning,
    stacklevel=2,
)


class IOLoopAuthenticator(AsyncioAuthenticator):
    """See :class:`AsyncioAuthenticator`."""

    def __init__(
        self, context: Any = None, encoding: str = "utf-8", log: Any = None, io_loop: Any = None
    ) -> None:
        loop = None if io_loop is None else io_loop.asyncio_loop
        super().__init__(context=context, encoding=encoding, log=log, loop=loop)


__all__ = ["IOLoopAuthenticator"]
