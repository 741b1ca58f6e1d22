"""One port for ZeroMQ peers over tcp and over WebSockets: the first byte tells them apart.

A greeting of ZMTP begins with ``ff``, a request for a WebSocket with the ``G`` of ``GET``. Who is
no WebSocket is handed on with the stream below, and nothing of this stays between them. So the
greeting of ours, which otherwise goes out as soon as a connection stands, waits for the first byte
of the peer's: all of them send one at once.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from midge.net.http import HttpExchange, HttpLayer
from midge.net.layer import Below, Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.net.http_request import HttpRequest
    from midge.net.stream import Handler
    from midge.zmtp.settings import Settings

_G: Final = ord("G")
_MISSING: Final = "WebSockets need the library wsproto: pip install 'midge[ws]'"


class ZmtpDoor(Layer):
    """Waits for the first byte."""

    __slots__ = ("_header_bytes_max", "_origins", "_settings", "_through")

    def __init__(
        self,
        below: Below,
        settings: Settings,
        origins: tuple[str, ...],
        header_bytes_max: int,
        opened: Callable[[Below], Handler | None],
        refused: Callable[[Layer, str], None],
    ) -> None:
        """Stand at a connection.

        Args:
            settings: what the listener's connections of ZMTP say.
            origins: where pages may come from that ask for a WebSocket; empty for anywhere.
            header_bytes_max: the longest request for one.
        """
        super().__init__(below, opened, refused)
        self._settings = settings
        self._origins = origins
        self._header_bytes_max = header_bytes_max
        self._through = opened

    def stream_data(self, data: bytes) -> None:
        """See :class:`midge.net.stream.Handler`."""
        handler = self._let_through() if data[0] != _G else self._websocket()
        if handler is None:
            self.below.abort()
            return
        self.below.hand_over(handler)
        handler.stream_data(data)

    def _let_through(self) -> Handler | None:
        self._told = True
        return self._through(self.below)

    def _websocket(self) -> Handler:
        if find_spec("wsproto") is None:
            return HttpLayer(
                self.below, self._header_bytes_max, self._regret, self._opened, self._refused
            )
        from midge.net.zws import ZwsLayer

        return ZwsLayer(
            self.below,
            self._settings,
            self._origins,
            self._header_bytes_max,
            self._opened,
            self._refused,
        )

    def _regret(self, exchange: HttpExchange, request: HttpRequest) -> None:
        self.refuse(_MISSING)
        exchange.reply(501, f"{_MISSING}\n".encode())
