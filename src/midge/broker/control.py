"""``$CONTROL/queue/v1``: queues are made, looked into, emptied and removed by messages.

The form is that of Mosquitto's dynamic security. A client publishes

    {"commands": [{"command": "createQueue", "queue": "orders", "settings": "lease_s=30"}]}

to ``$CONTROL/queue/v1`` and gets, if it has subscribed to ``$CONTROL/queue/v1/response``, and
nobody else does,

    {"responses": [{"command": "createQueue", "data": {...}}]}

with ``error`` in the place of ``data`` for what could not be done, and ``correlationData`` as it
came. Who may publish there may do all of it: that is for the rules to say.

=============  ======================================================================
createQueue    ``queue``, ``settings`` as in the configuration; changes one that is there
deleteQueue    ``queue``, ``force``: also with consumers, which are disconnected
listQueues     ``offset``, ``count``
getQueue       ``queue``: its settings, counters and consumers
peekQueue      ``queue``, ``count``: its next messages, which stay
purgeQueue     ``queue``: takes out all that waits now
moveQueue      ``queue``, ``to``, ``count``: puts its next messages into another one
=============  ======================================================================

What takes long is done a slice in a turn, so that nobody waits for it. Requests are answered one
after the other; of more than a few that wait the last are refused.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections import deque
from typing import TYPE_CHECKING, Final

from midge.broker.delivery import Delivery
from midge.broker.permission import may_get
from midge.broker.pressure import Pressure
from midge.broker.queues import QueueError
from midge.broker.taker import Taker
from midge.config.queue_settings import check_dead, parse_settings
from midge.errors import ConfigError, MidgeError
from midge.limits import (
    CONTROL_COMMANDS_MAX,
    CONTROL_LIST_MAX,
    CONTROL_PAUSE_S,
    CONTROL_PEEK_BYTES_MAX,
    CONTROL_PEEK_MAX,
    CONTROL_PEEK_PAIRS_MAX,
    CONTROL_REQUEST_BYTES_MAX,
    CONTROL_REQUESTS_MAX,
    CONTROL_RESPONSE_BYTES_MAX,
    CONTROL_SLICE,
)
from midge.message import NEVER, Message
from midge.topics.filters import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from midge.broker.broker import Broker
    from midge.broker.queue import Queue
    from midge.broker.queue_item import Item
    from midge.broker.session import Session

    Values = dict[str, object]

TOPIC: Final = "$CONTROL/queue/v1"
RESPONSE: Final = TOPIC + "/response"
_COUNTERS: Final = (
    *("waiting", "bytes", "in_flight", "put_count", "acknowledged", "redelivered", "refused"),
    *("timed_out", "unconfirmed", "late", "rejected", "dropped", "expired", "buried"),
)


class _Fault(MidgeError):
    """A command that cannot be done; its text is the answer."""


class QueueControl(Taker):
    """Takes what is published to the topic, as a queue would, and answers it."""

    __slots__ = ("_broker", "_now", "_requests")

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker.metrics, broker.crowd)
        self._broker = broker
        self._now = 0.0
        self._requests: deque[Iterator[None]] = deque()

    def take(self, message: Message, barred: frozenset[Session], now: float) -> Pressure | None:
        """Somebody has published a request."""
        self._now = now
        if len(self._requests) >= CONTROL_REQUESTS_MAX:
            self._answer(message.origin, [_failed({}, "too many requests wait; try again later")])
            return None
        self._requests.append(self._handle(message))
        if len(self._requests) == 1:
            self._go_on()
            if self._requests:
                self._broker.deadlines.add(self)
        return None

    def next_deadline(self) -> float | None:
        """Soon, where there is something to do; others have their turn before."""
        return self._now + CONTROL_PAUSE_S if self._requests else None

    def tick(self, now: float) -> None:
        """Do one slice, if it is time."""
        if now >= self._now + CONTROL_PAUSE_S:
            self._now = now
            self._go_on()

    def _go_on(self) -> None:
        try:
            next(self._requests[0])
        except StopIteration:
            self._requests.popleft()

    # -- requests -----------------------------------------------------------------------------

    def _handle(self, message: Message) -> Iterator[None]:
        try:
            commands = _commands(message.payload)
        except _Fault as unread:
            self._answer(message.origin, [_failed({}, str(unread))])
            return
        responses: list[Values] = []
        size = 0
        for command in commands:
            name = command.get("command")
            function = _COMMANDS.get(name) if isinstance(name, str) else None
            data: Values = {}
            try:
                if function is None:
                    raise _Fault(f"{name!r} is no command; known are: {', '.join(_COMMANDS)}")
                if size > CONTROL_RESPONSE_BYTES_MAX:
                    raise _Fault("the answer is too large already; ask again for this")
                yield from function(self, command, data)
                size += len(json.dumps(data))
            except (_Fault, QueueError, ConfigError) as fault:
                responses.append(_failed(command, str(fault)))
            else:
                responses.append({**_common(command), "data": data} if data else _common(command))
        self._answer(message.origin, responses)

    def _answer(self, client_id: str, responses: list[Values]) -> None:
        session = self._broker.sessions.get(client_id)
        if session is None or not any(matches(one, RESPONSE) for one in session.subscriptions):
            return
        authorizer = self._broker.authorizer
        if authorizer is not None and not may_get(authorizer, session, RESPONSE):
            return
        text = json.dumps({"responses": responses}, ensure_ascii=False, separators=(",", ":"))
        message = Message(RESPONSE, text.encode("utf-8", "replace"))
        session.outbox.deliver(Delivery(message, 0, False), self._now)

    # -- commands -----------------------------------------------------------------------------

    def _create(self, command: Values, data: Values) -> Iterator[None]:
        settings = parse_settings(_text(command, "settings", ""))
        check_dead(_text(command, "queue"), settings)
        queue = self._broker.queues.create(_text(command, "queue"), settings)
        data["settings"] = queue.settings.text()
        yield from ()

    def _delete(self, command: Values, data: Values) -> Iterator[None]:
        name = _text(command, "queue")
        data["removed"] = self._broker.queues.delete(name, self._now, _flag(command, "force"))
        yield from ()

    def _list(self, command: Values, data: Values) -> Iterator[None]:
        queues = self._broker.queues.all()
        offset = _number(command, "offset", 0)
        count = min(_number(command, "count", CONTROL_LIST_MAX), CONTROL_LIST_MAX)
        data["totalCount"] = len(queues)
        data["queues"] = [
            {
                "queue": queue.name,
                "waiting": queue.waiting,
                "inFlight": queue.in_flight,
                "consumers": len(queue.consumers),
            }
            for queue in queues[offset : offset + count]
        ]
        yield from ()

    def _get(self, command: Values, data: Values) -> Iterator[None]:
        queue = self._queue(command)
        data["queue"] = queue.name
        data["settings"] = queue.settings.text()
        data["durable"] = bool(queue.key)
        data |= {_camel(name): getattr(queue, name) for name in _COUNTERS}
        data["totalConsumers"] = len(queue.consumers)
        data["consumers"] = [
            {
                "name": consumer.who(),
                "unacknowledged": consumer.unacknowledged,
                "taken": consumer.taken,
            }
            for consumer in queue.consumers[:CONTROL_LIST_MAX]
        ]
        yield from ()

    def _peek(self, command: Values, data: Values) -> Iterator[None]:
        queue = self._queue(command)
        count = min(_number(command, "count", 10), CONTROL_PEEK_MAX)
        data["waiting"] = queue.waiting
        data["messages"] = [self._shown(item) for item in queue.peek(count)]
        yield from ()

    def _shown(self, item: Item) -> Values:
        message = item.message
        shown: Values = {
            "topic": message.topic,
            "bytes": len(message.payload),
            "deliveries": item.deliveries,
            "priority": item.priority,
        }
        head = message.payload[:CONTROL_PEEK_BYTES_MAX]
        try:
            shown["payload"] = head.decode()
        except UnicodeDecodeError:
            shown["payloadBase64"] = b2a_base64(head, newline=False).decode()
        if len(head) < len(message.payload):
            shown["cut"] = True
        if message.properties is not None and message.properties.user:
            pairs = message.properties.user[:CONTROL_PEEK_PAIRS_MAX]
            shown["userProperties"] = [[name[:256], value[:256]] for name, value in pairs]
            if pairs != message.properties.user or any(len(a + b) > 256 for a, b in pairs):
                shown["cut"] = True
        if item.ready_at > self._now:
            shown["readyInSeconds"] = round(item.ready_at - self._now, 3)
        if message.expires_at != NEVER:
            shown["expiresInSeconds"] = round(message.expires_at - self._now, 3)
        return shown

    def _purge(self, command: Values, data: Values) -> Iterator[None]:
        queue = self._queue(command)
        left = queue.waiting  # what is put in meanwhile stays
        removed = 0
        while removed < left and not queue.closed:
            if self._disk_is_behind(f"{removed} messages were taken out"):
                yield
                continue
            for _ in range(min(left - removed, CONTROL_SLICE)):
                if queue.pop(self._now) is None:
                    break  # the next page is not read yet, or the rest was given out
                removed += 1
            if not queue.waiting:
                break
            if removed < left:
                yield
        data["removed"] = removed

    def _move(self, command: Values, data: Values) -> Iterator[None]:
        queue = self._queue(command)
        target = self._broker.queues.need(_text(command, "to"))
        if target is queue:
            raise _Fault("a queue cannot be moved to itself")
        left = min(_number(command, "count", queue.waiting), queue.waiting)
        moved = 0
        while moved < left and not (queue.closed or target.closed):
            if self._disk_is_behind(f"{moved} messages were moved"):
                yield
                continue
            for _ in range(min(left - moved, CONTROL_SLICE)):
                # Whatever the target does when it is full: nothing is moved to be dropped.
                if target.is_full() or self._broker.metrics.memory_full:
                    data |= {"moved": moved, "full": True}
                    return
                item = queue.pop(self._now)
                if item is None:
                    break
                delay_s = max(item.ready_at - self._now, 0.0)
                target.put(item.message, self._now, item.priority, delay_s)
                moved += 1
            if not queue.waiting:
                break
            if moved < left:
                yield
        data["moved"] = moved

    def _disk_is_behind(self, so_far: str) -> bool:
        """Whether to wait before more is changed: what is noted is in memory until it is written.

        Raises:
            _Fault: it cannot be written at present.
        """
        keeper = self._broker.keeper
        if keeper is None or not keeper.crowded():
            return False
        if keeper.journal.failing:
            raise _Fault(f"the store cannot be written; {so_far} until then")
        return True

    def _queue(self, command: Values) -> Queue:
        name = _text(command, "queue")
        queue = self._broker.queues.get(name)
        if queue is None:
            raise _Fault(f"there is no queue {name!r}")
        return queue


_COMMANDS: Final[dict[str, Callable[[QueueControl, Values, Values], Iterator[None]]]] = {
    "createQueue": QueueControl._create,
    "deleteQueue": QueueControl._delete,
    "listQueues": QueueControl._list,
    "getQueue": QueueControl._get,
    "peekQueue": QueueControl._peek,
    "purgeQueue": QueueControl._purge,
    "moveQueue": QueueControl._move,
}


def _commands(payload: bytes) -> list[Values]:
    if len(payload) > CONTROL_REQUEST_BYTES_MAX:
        raise _Fault(f"a request has at most {CONTROL_REQUEST_BYTES_MAX} bytes")
    try:
        request = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise _Fault(f"the request is no JSON: {error}") from None
    commands = request.get("commands") if isinstance(request, dict) else None
    if not isinstance(commands, list) or not all(isinstance(one, dict) for one in commands):
        raise _Fault('a request is {"commands": [{"command": NAME, ...}, ...]}')
    if len(commands) > CONTROL_COMMANDS_MAX:
        raise _Fault(f"a request has at most {CONTROL_COMMANDS_MAX} commands")
    return commands


def _common(command: Values) -> Values:
    """What an answer repeats of its command."""
    found: Values = {"command": command.get("command")}
    if "correlationData" in command:
        found["correlationData"] = command["correlationData"]
    return found


def _failed(command: Values, why: str) -> Values:
    return {**_common(command), "error": why}


def _text(command: Values, name: str, default: str | None = None) -> str:
    value = command.get(name, default)
    if not isinstance(value, str):
        raise _Fault(f"{name} is missing, or no text")
    return value


def _number(command: Values, name: str, default: int) -> int:
    value = command.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _Fault(f"{name} is no whole number")
    return value


def _flag(command: Values, name: str) -> bool:
    value = command.get(name, False)
    if not isinstance(value, bool):
        raise _Fault(f"{name} is true or false")
    return value


def _camel(name: str) -> str:
    first, *others = name.removesuffix("_count").split("_")
    return first + "".join(map(str.capitalize, others))
