"""Futures that were done before anybody had them: what most receives give.

asyncio's own future costs more than all the rest of a receive, and most of that is for a wait that
does not happen here. A :class:`Ready` can do what a program does with a future that is done: be
awaited, given to ``wait_for``, ``gather`` or ``wait``, be asked for its result, have callbacks.

It belongs to whichever loop runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any


class Ready:
    """A future with a result; made with no arguments, which is quickest, and then given its value.

    Attributes:
        value: the result.
    """

    __slots__ = ("__weakref__", "value")

    value: Any

    #: What asyncio knows a future by.
    _asyncio_future_blocking = False

    @property
    def __class__(self) -> type:
        """A program that asks whether it has a future may hear yes."""
        return asyncio.Future

    @__class__.setter
    def __class__(self, new: type) -> None:
        raise TypeError("the class of a future that is done stays as it is")

    def __await__(self) -> Generator[Any, None, Any]:
        return self.value
        yield  # type: ignore[unreachable]  # makes it a generator, which is what an await wants

    __iter__ = __await__

    def result(self) -> Any:
        """The result."""
        return self.value

    def exception(self) -> None:
        """There is none."""

    def done(self) -> bool:
        """It always was."""
        return True

    def cancelled(self) -> bool:
        """It was not."""
        return False

    def cancel(self, msg: Any = None) -> bool:
        """Too late."""
        return False

    def set_result(self, result: Any) -> None:
        """Raises InvalidStateError: it has one."""
        raise asyncio.InvalidStateError("the result is already set")

    def set_exception(self, exception: Any) -> None:
        """Raises InvalidStateError: it has a result."""
        raise asyncio.InvalidStateError("the result is already set")

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The running loop.

        Raises:
            RuntimeError: none runs.
        """
        return asyncio.get_running_loop()

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        """Have it called in the next turn of the loop."""
        self.get_loop().call_soon(callback, self, context=context)

    def remove_done_callback(self, callback: Callable[[Any], object]) -> int:
        """None waits here: those that were added are on their way."""
        return 0

    def __repr__(self) -> str:
        return f"<Ready result={self.value!r}>"
