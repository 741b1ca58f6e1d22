"""``$CONTROL/broker/v1``: listeners and plugins, told by messages as Mosquitto 2.1 has it.

With ``enable_control_api true``, a client publishes

    {"commands": [{"command": "listListeners"}, {"command": "listPlugins"}]}

and whoever has subscribed to ``$CONTROL/broker/v1/response``, and may read it, gets

    {"responses": [{"command": "listListeners", "data": {"listeners": [...]}}, ...]}

with ``error`` in the place of ``data`` for what could not be done, and ``correlationData`` as it
came. Who may publish there is for the rules to say. The plugins are the Python packages of
``authenticators`` and ``authorizers``, and midge's own part that has a control topic.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from midge import __version__
from midge.broker import control
from midge.broker.pressure import Pressure
from midge.broker.taker import Taker
from midge.errors import MidgeError
from midge.limits import (
    CONTROL_COMMANDS_MAX,
    CONTROL_REQUEST_BYTES_MAX,
    CONTROL_RESPONSE_BYTES_MAX,
)
from midge.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.broker.broker import Broker
    from midge.broker.session import Session
    from midge.config.security import SecuritySettings
    from midge.server.listeners import Listeners
    from midge.server.logs import Log

    Values = dict[str, object]

TOPIC: Final = "$CONTROL/broker/v1"
RESPONSE: Final = TOPIC + "/response"
#: How Mosquitto calls the protocols of listeners here; of others it says nothing.
_PROTOCOLS: Final = {"mqtt": "mqtt", "websockets": "mqtt+websockets"}


class _Fault(MidgeError):
    """A request that cannot be done; its text is the answer."""


class BrokerControl(Taker):
    """Takes what is published to the topic, as a queue would, and answers it."""

    __slots__ = ("_broker", "_listeners", "_log")

    def __init__(self, broker: Broker, listeners: Listeners, log: Log) -> None:
        super().__init__(broker.metrics, broker.crowd)
        self._broker = broker
        self._listeners = listeners
        self._log = log

    def take(self, message: Message, barred: frozenset[Session], now: float) -> Pressure | None:
        """Somebody has published a request; it is one only while the option is on."""
        if self._broker.settings.control_api:
            responses = self._handle(message)
            text = json.dumps({"responses": responses}, ensure_ascii=False, separators=(",", ":"))
            answer = Message(RESPONSE, text.encode("utf-8", "replace"))
            self._broker.router.publish(answer, None, now)
        return None

    def _handle(self, message: Message) -> list[Values]:
        try:
            commands = _commands(message.payload)
        except _Fault as fault:
            return [{"command": "Unknown command", "error": str(fault)}]
        responses: list[Values] = []
        size = 0
        for command in commands:
            response: Values = {"command": "Unknown command"}
            responses.append(response)
            try:
                if size > CONTROL_RESPONSE_BYTES_MAX:
                    raise _Fault("The answer is too large already, ask again for this")
                data = self._do(command, response, message.origin)
            except _Fault as fault:
                response["error"] = str(fault)
                if response["command"] == "Unknown command":
                    break  # as Mosquitto, which looks at no further ones either
            else:
                response["data"] = data
                size += len(json.dumps(data))
        return responses

    def _do(self, command: object, response: Values, client_id: str) -> Values:
        """Do one command; what its answer repeats of it is noted first."""
        if not isinstance(command, dict):
            raise _Fault("Command not an object")
        name = command.get("command")
        if not isinstance(name, str):
            raise _Fault("Missing command")
        response["command"] = name
        if "correlationData" in command:
            if not isinstance(command["correlationData"], str):
                raise _Fault("Invalid correlationData data type.")
            response["correlationData"] = command["correlationData"]
        known = _COMMANDS.get(name.lower())
        if known is None:
            raise _Fault("Unknown command")
        session = self._broker.sessions.get(client_id)
        user = None if session is None else session.username
        self._log.information(f"Broker: {client_id}/{user or ''} | {known[0]}")
        response["command"] = known[0]
        return known[1](self)

    def _list_listeners(self) -> Values:
        told: list[Values] = []
        for listener in self._listeners.all:
            its = listener.settings
            one: Values = {"port": its.port}
            if its.protocol in _PROTOCOLS:
                one["protocol"] = _PROTOCOLS[its.protocol]
            if its.host is not None:
                one["bind-address"] = its.host
            if its.unix_path is not None:
                one["socket-path"] = its.unix_path
            told.append({**one, "tls": listener.tls is not None})
        return {"listeners": told}

    def _list_plugins(self) -> Values:
        queues = {"name": "queues", "version": __version__, "control-endpoints": [control.TOPIC]}
        told: list[Values] = [{**queues}]
        told += _packages(self._broker.settings, {})
        for listener in self._listeners.all:
            told += _packages(listener.settings, {"port": listener.settings.port})
        return {"plugins": told}


def _packages(its: SecuritySettings, where: Values) -> list[Values]:
    """The Python packages that some settings name."""
    names = f"{its.authenticators or ''} {its.authorizers or ''}".replace(",", " ").split()
    return [{"name": name, **where, "control-endpoints": []} for name in names]


_COMMANDS: Final[dict[str, tuple[str, Callable[[BrokerControl], Values]]]] = {
    "listlisteners": ("listListeners", BrokerControl._list_listeners),
    "listplugins": ("listPlugins", BrokerControl._list_plugins),
}


def _commands(payload: bytes) -> list[object]:
    """The commands of a request, with Mosquitto's words for what is none."""
    if len(payload) > CONTROL_REQUEST_BYTES_MAX:
        raise _Fault(f"Payload larger than {CONTROL_REQUEST_BYTES_MAX} bytes")
    try:
        request = json.loads(payload)
    except (ValueError, RecursionError):
        raise _Fault("Payload not valid JSON") from None
    commands = request.get("commands") if isinstance(request, dict) else None
    if not isinstance(commands, list):
        raise _Fault("Invalid/missing commands")
    if len(commands) > CONTROL_COMMANDS_MAX:
        raise _Fault(f"More than {CONTROL_COMMANDS_MAX} commands")
    return commands
