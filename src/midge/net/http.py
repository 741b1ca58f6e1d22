"""HTTP at a listener: a layer that takes one request, and the exchange that answers it.

Whoever answers gets an :class:`HttpExchange`. It replies at once, or later (when somebody else has
said who may, when a file was opened), or in pieces, each when the one before it has left. The
connection ends with the answer, so nothing of a client's outlives its request. How long an exchange
may take, and how many there may be, is for those who answer to bound.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from midge.net.http_request import BadRequest, HttpRequest, parse_request
from midge.net.layer import Below, Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.net.stream import Handler

#: Answers a request, at once or later.
Answer: TypeAlias = "Callable[[HttpExchange, HttpRequest], None]"

TEXT = "text/plain; charset=utf-8"


class HttpExchange:
    """A request that is being answered; a :class:`midge.net.stream.Handler`.

    Attributes:
        address: where the client is.
        closed: the client is gone, or has its answer.
        more: called when there is room for the next piece; ``None`` while nobody waits for that.
        ended: called once, when it is closed.
    """

    __slots__ = ("_ending", "_head_only", "_stream", "address", "closed", "ended", "more")

    def __init__(self, stream: Below, address: str, head_only: bool) -> None:
        self._stream = stream
        self._head_only = head_only
        self._ending = False
        self.address = address
        self.closed = False
        self.more: Callable[[], None] | None = None
        self.ended: Callable[[], None] | None = None

    # -- what is said --------------------------------------------------------------------------

    def reply(self, status: int, body: bytes, kind: str = TEXT, *headers: tuple[str, str]) -> None:
        """Give the whole answer.

        Args:
            status: its status code (RFC 9110 section 15).
            kind: the media type of the body.
            headers: further fields.
        """
        self.begin(status, len(body), kind, *headers)
        self.write(body)
        self.end()

    def begin(self, status: int, length: int, kind: str, *headers: tuple[str, str]) -> None:
        """Give the head of an answer whose body of ``length`` bytes follows."""
        fields = [
            ("Content-Type", kind),
            ("Content-Length", str(length)),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
            *headers,
        ]
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in fields]
        if not self.closed:
            self._stream.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def write(self, piece: bytes) -> None:
        """Give a piece of the body; a client that asked for the head only does not get it."""
        if not self.closed and not self._head_only:
            self._stream.write(piece)

    def is_full(self) -> bool:
        """Whether the next piece should wait for :attr:`more`."""
        return self._stream.full

    def wants_body(self) -> bool:
        """Whether anybody reads a body."""
        return not (self.closed or self._head_only)

    def end(self) -> None:
        """That was the answer: close when the client has it."""
        if not self.closed:
            self._ending = True
            if not self._stream.full:
                self._stream.close()

    def abort(self) -> None:
        """Cut the client off."""
        self._stream.abort()

    # -- what is heard -------------------------------------------------------------------------

    def stream_data(self, data: bytes) -> None:
        """See :class:`midge.net.stream.Handler`: there is one request, what follows is nothing."""

    def stream_writable(self) -> None:
        """See :class:`midge.net.stream.Handler`."""
        if self._ending:
            self._stream.close()
        elif self.more is not None:
            more = self.more
            self.more = None
            more()

    def stream_closed(self, text: str) -> None:
        """See :class:`midge.net.stream.Handler`."""
        self.closed = True
        ended, self.ended, self.more = self.ended, None, None
        if ended is not None:
            ended()


def exchange_on(layer: Layer, request: HttpRequest, answer: Answer) -> None:
    """Let a request be answered on what is below a layer, which is done with its own work."""
    exchange = HttpExchange(layer.below, layer.peer()[0], request.method == "HEAD")
    layer.divert(exchange)
    answer(exchange, request)


class HttpLayer(Layer):
    """Takes a request, and hands it to those who answer; never ready for anything else."""

    __slots__ = ("_answer", "_request", "_request_bytes_max")

    def __init__(
        self,
        below: Below,
        request_bytes_max: int,
        answer: Answer,
        opened: Callable[[Layer], Handler | None],
        refused: Callable[[Layer, str], None],
    ) -> None:
        """Wait for the request.

        Args:
            request_bytes_max: the longest one, up to its empty line.
            answer: who answers it.
        """
        super().__init__(below, opened, refused)
        self._answer = answer
        self._request = b""
        self._request_bytes_max = request_bytes_max

    def stream_data(self, data: bytes) -> None:
        """See :class:`midge.net.stream.Handler`."""
        if self.above is not None:
            return  # it has been read
        self._request += data
        head, end, _ = self._request.partition(b"\r\n\r\n")
        try:
            if len(head) > self._request_bytes_max:
                raise BadRequest(431, "the request is longer than packet_buffer_size")
            if not end:
                return
            request = parse_request(head)
        except BadRequest as fault:
            refuse_request(self, fault)
            return
        self._request = b""
        exchange_on(self, request, self._answer)


def refuse_request(layer: Layer, fault: BadRequest) -> None:
    """Answer what is no proper request, and say so in the log."""
    layer.refuse(str(fault))
    exchange = HttpExchange(layer.below, layer.peer()[0], head_only=False)
    layer.divert(exchange)
    exchange.reply(fault.status, f"{fault}\n".encode())
