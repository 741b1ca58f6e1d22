"""``http_dir``: the files of a directory, for browsers.

A path is one of the directory's files, or of a directory below it; a path that ends in a slash
means its ``index.html``. What leads out of it, through ``..`` or a symbolic link, is not there, and
neither is what is no ordinary file. Everything that touches the disk is done by threads, a piece of
a file at a time and the next one when the client has taken the last: neither a slow disk nor a slow
client holds up the loop. Files are read as they are: there are no ranges, no caching, no
compression, and nothing is listed. A proxy in front does these better.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

from midge.auth.offload import Busy
from midge.limits import (
    HTTP_EXCHANGES_MAX,
    HTTP_FILES_QUEUE_MAX,
    HTTP_FILES_THREADS,
    HTTP_PIECE_BYTES,
    HTTP_STALL_S,
)
from midge.net.http import TEXT
from midge.server.workers import Workers

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from midge.net.http import HttpExchange
    from midge.net.http_request import HttpRequest

#: Media types by the ends of names; the system's own table is not the same everywhere.
_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "gif": "image/gif",
    "htm": "text/html; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/vnd.microsoft.icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "mjs": "text/javascript; charset=utf-8",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
    "txt": TEXT,
    "wasm": "application/wasm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xml": "text/xml; charset=utf-8",
}
_OTHER_KIND: Final = "application/octet-stream"
_METHODS: Final = ("GET", "HEAD")


class Page:
    """A file that was opened.

    Attributes:
        file: its content, from the beginning.
        length: how many bytes of it are sent, whatever happens to it meanwhile.
        kind: its media type.
    """

    __slots__ = ("file", "kind", "length")

    def __init__(self, file: BinaryIO, length: int, kind: str) -> None:
        self.file = file
        self.length = length
        self.kind = kind


def open_page(directory: str, path: str) -> Page | None:
    """Open the file that a path means; ``None`` where there is none.

    Args:
        directory: the one that holds all that may be read.
        path: of the request; begins with a slash.
    """
    root = os.path.realpath(directory)
    name = path + "index.html" if path.endswith("/") else path
    if ".." in name.split("/"):
        return None
    try:
        found = os.path.realpath(os.path.join(root, name.lstrip("/")), strict=True)
        if os.path.commonpath((root, found)) != root:
            return None
        # What was found has no links in it; one that was put there since is not followed. A pipe
        # would keep us waiting.
        descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return None
    end = os.path.basename(found).rpartition(".")[2].lower()
    return Page(open(descriptor, "rb", buffering=0), status.st_size, _KINDS.get(end, _OTHER_KIND))


class _Sending:
    """One file on its way to one client; a piece is read, then written, then the next."""

    __slots__ = ("_exchange", "_left", "_moved", "_page", "_reading", "_workers")

    def __init__(
        self,
        exchange: HttpExchange,
        page: Page,
        workers: Workers,
        moved: Callable[[HttpExchange], None],
    ) -> None:
        self._exchange = exchange
        self._page = page
        self._workers = workers
        self._moved = moved
        self._left = page.length
        self._reading = False

    def begin(self) -> None:
        """Give the head of the answer, and what follows."""
        self._exchange.begin(200, self._page.length, self._page.kind)
        self._go_on()

    def give_up(self) -> None:
        """The client is gone. A file that is being read is closed when that is done."""
        if not self._reading:
            self._page.file.close()

    def _go_on(self) -> None:
        if not self._left or not self._exchange.wants_body():
            self._page.file.close()
            self._exchange.end()
            return
        size = min(HTTP_PIECE_BYTES, self._left)
        job = self._workers.submit(
            self._exchange.address, lambda: self._page.file.read(size), self._read
        )
        self._reading = job is not None
        if job is None:
            self._exchange.abort()  # the head is out: only a cut says that this is not all

    def _read(self, piece: object, now: float) -> None:
        self._reading = False
        if self._exchange.closed or not isinstance(piece, bytes) or not piece:
            # Gone, or the file is shorter by now, or cannot be read.
            self._page.file.close()
            self._exchange.abort()
            return
        self._left -= len(piece)
        self._exchange.write(piece)
        self._moved(self._exchange)
        if self._exchange.is_full():
            self._exchange.more = self._go_on
        else:
            self._go_on()


class Pages:
    """Answers requests with files, and bounds all that is answered here.

    Attributes:
        exchanges: those that are being answered.
        answered, refused: how many there were, and how many found no place.
    """

    __slots__ = ("_loop", "_workers", "answered", "exchanges", "refused")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._workers = Workers(
            loop,
            now,
            wake,
            threads=HTTP_FILES_THREADS,
            queue_max=HTTP_FILES_QUEUE_MAX,
            per_key_max=HTTP_FILES_QUEUE_MAX,
            wait_max_s=HTTP_STALL_S,
            name="midge-files",
        )
        self.exchanges: dict[HttpExchange, asyncio.TimerHandle] = {}
        self.answered = 0
        self.refused = 0

    def admit(self, exchange: HttpExchange, request: HttpRequest) -> bool:
        """Whether a request is to be answered; one that is not has been told so.

        From here on its client has a bounded time for it.
        """
        if len(self.exchanges) >= HTTP_EXCHANGES_MAX:
            self.refused += 1
            exchange.reply(503, b"Too many requests at a time, try again later.\n")
            return False
        self.answered += 1
        self.exchanges[exchange] = self._loop.call_later(HTTP_STALL_S, exchange.abort)
        exchange.ended = lambda: self._forget(exchange)
        if request.method not in _METHODS:
            allowed = ("Allow", ", ".join(_METHODS))
            exchange.reply(405, b"Only GET and HEAD are answered here.\n", TEXT, allowed)
            return False
        return True

    def answer(self, exchange: HttpExchange, request: HttpRequest, directory: str | None) -> None:
        """Answer a request that was admitted with a file of a directory."""
        if directory is None:
            exchange.reply(404, b"Not found.\n")
            return
        job = self._workers.submit(
            exchange.address,
            lambda: open_page(directory, request.path),
            lambda found, _: self._opened(exchange, found),
        )
        if job is None:
            self.refused += 1
            exchange.reply(503, b"Too many requests at a time, try again later.\n")

    def close(self) -> None:
        """Cut off those who have no answer yet, and answer no more."""
        for exchange in list(self.exchanges):
            exchange.abort()
        self._workers.close()

    def _opened(self, exchange: HttpExchange, found: object) -> None:
        if isinstance(found, Page):
            sending = _Sending(exchange, found, self._workers, self._more_time)
            if exchange.closed:
                sending.give_up()
                return
            exchange.ended = lambda: self._end(exchange, sending)
            sending.begin()
        elif isinstance(found, Busy):
            self.refused += 1
            exchange.reply(503, b"Too many requests at a time, try again later.\n")
        elif found is None:
            exchange.reply(404, b"Not found.\n")
        else:
            exchange.reply(500, b"The file cannot be read.\n")

    def _more_time(self, exchange: HttpExchange) -> None:
        """Something of the answer has left."""
        timer = self.exchanges.get(exchange)
        if timer is not None:
            timer.cancel()
            self.exchanges[exchange] = self._loop.call_later(HTTP_STALL_S, exchange.abort)

    def _end(self, exchange: HttpExchange, sending: _Sending) -> None:
        sending.give_up()
        self._forget(exchange)

    def _forget(self, exchange: HttpExchange) -> None:
        timer = self.exchanges.pop(exchange, None)
        if timer is not None:
            timer.cancel()
