"""What the event loop has to complain about, as lines of the log."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

    from midge.server.logs import Log


class LoopErrors:
    """The loop's exception handler.

    Running out of file descriptors comes thousands of times a second, so it is said at most once in
    ``REPEAT_S``.
    """

    REPEAT_S: Final = 10.0
    _SCARCE: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

    def __init__(self, log: Log) -> None:
        self._log = log
        self._quiet_until = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Say what happened."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in self._SCARCE:
            what = "" if error is None else f": {type(error).__name__}: {error}"
            self._log.error(f"Error: {context.get('message', 'unexpected error')}{what}")
            return
        if loop.time() >= self._quiet_until:
            self._quiet_until = loop.time() + self.REPEAT_S
            self._log.error(
                f"Error: Unable to accept new connection: {error.strerror}. Clients must wait; "
                'increase "ulimit -n", or set global_max_connections below it.'
            )
