"""What a broker answers over HTTP: who answers at which listener.

It comes to be with the first request, because most brokers never have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from midge.config.settings import ListenerSettings
    from midge.net.http import Answer, HttpExchange
    from midge.net.http_request import HttpRequest
    from midge.server.http_api import HttpApi
    from midge.server.listeners import Listeners
    from midge.server.mqtt_server import MqttServer
    from midge.server.pages import Pages


class Web:
    """Answers for one broker. Belongs to the thread of the loop.

    Args:
        server: the broker.
        listeners: those that ``/api/v1/listeners`` tells of.
        version: what ``/api/v1/version`` says.
    """

    __slots__ = ("_api", "_listeners", "_loop", "_pages", "_server", "_version")

    def __init__(
        self,
        server: MqttServer,
        loop: asyncio.AbstractEventLoop,
        listeners: Listeners,
        version: str,
    ) -> None:
        self._server = server
        self._loop = loop
        self._listeners = listeners
        self._version = version
        self._pages: Pages | None = None
        self._api: HttpApi | None = None

    def files_of(self, listener: ListenerSettings) -> Answer:
        """Who answers at a WebSocket listener what is no request for a WebSocket."""
        pages = self._all_pages()

        def answer(exchange: HttpExchange, request: HttpRequest) -> None:
            if pages.admit(exchange, request):
                pages.answer(exchange, request, listener.http_dir)

        return answer

    def facts_at(self, listener: ListenerSettings) -> Answer:
        """Who answers at a listener of ``protocol http_api``."""
        if self._api is None:
            from midge.server.http_api import HttpApi

            self._api = HttpApi(self._server, self._all_pages(), self._listeners, self._version)
        api = self._api
        return lambda exchange, request: api.answer(exchange, request, listener)

    def close(self) -> None:
        """Answer no more."""
        if self._pages is not None:
            self._pages.close()

    def _all_pages(self) -> Pages:
        if self._pages is None:
            from midge.server.pages import Pages

            self._pages = Pages(self._loop, self._server.now, self._server.wake)
        return self._pages
