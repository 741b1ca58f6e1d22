"""What the broker tells about itself below ``$SYS/broker``: names and forms are Mosquitto's.

Values come from the counters and the time that is passed in. A value is given out when it has
changed, a load when it has moved by a hundredth; the first time everything is. Loads are moving
averages of what happened in a minute: with ``r`` for what happened since the last update,
extrapolated to a minute, each becomes ``r + exp(-dt / T) * (load - r)``, T being 1, 5 or 15
minutes.

Where a number here means something else than Mosquitto's:

* ``messages/stored`` and ``store/messages`` count a message for each client that it waits for;
* ``heap`` is the memory of the process, because that is what can be known;
* ``clients/connected`` are those that were let in, without connections that said nothing yet;
* ``packet/out`` is what has not been given to the operating system.

What Mosquitto has no name for stands below ``$SYS/broker/midge``: messages that were dropped and
what was refused, by cause, once there is any; and of the store, ``store/failures`` (how often it
could not be written), ``store/failing`` (1 while it cannot), ``store/lost`` (deliveries that were
damaged in it) and ``store/waits`` (how often a publisher had to wait for the disk).
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from midge.broker.broker import Broker

_ROOT: Final = "$SYS/broker/"
#: The least change of a load that is told.
_LOAD_STEP: Final = 0.01
#: The averages and their times, in seconds.
_SPANS: Final = (("1min", 60.0), ("5min", 300.0), ("15min", 900.0))
#: Loads and the counters that they are made of.
_LOADS: Final = {
    "messages/received": "messages/received",
    "messages/sent": "messages/sent",
    "publish/dropped": "publish/messages/dropped",
    "publish/received": "publish/messages/received",
    "publish/sent": "publish/messages/sent",
    "bytes/received": "bytes/received",
    "bytes/sent": "bytes/sent",
    "sockets": "connections/socket/count",
    "connections": "connects",
}
#: Counted for a load only.
_UNTOLD: Final = frozenset({"connects"})
#: Values that go up only.
_MAXIMA: Final = frozenset({"clients/maximum", "heap/maximum"})
#: What is told of all queues together; see :class:`~midge.broker.queue.Queue`.
_OF_QUEUES: Final = (
    *("waiting", "bytes", "in_flight", "acknowledged", "redelivered", "refused", "timed_out"),
    *("unconfirmed", "rejected", "dropped", "expired", "buried"),
)
#: Names that a value has besides.
_ALIASES: Final = {
    "clients/disconnected": "clients/inactive",
    "clients/connected": "clients/active",
    "messages/stored": "store/messages/count",
}


class SysTree:
    """The tree of one broker.

    Args:
        broker: whose.
        version: what ``version`` says.
        now: the time at the start.
    """

    __slots__ = ("_broker", "_loads", "_numbers", "_started", "_told", "_updated", "_version")

    def __init__(self, broker: Broker, version: str, now: float) -> None:
        self._broker = broker
        self._version = version
        self._started = now
        self._updated = now
        self._told: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._loads: dict[str, float] = {}

    def first(self, now: float, memory_bytes: int = 0) -> list[tuple[str, str]]:
        """Everything, for the beginning: topics and values, in order."""
        told = [(_ROOT + "version", self._version), *self.update(now, memory_bytes)]
        for name in _LOADS:
            for span, _ in _SPANS:
                self._loads[f"{name}/{span}"] = 0.0
                told.append((f"{_ROOT}load/{name}/{span}", "0.00"))
        return told

    def update(self, now: float, memory_bytes: int = 0) -> list[tuple[str, str]]:
        """What has changed since the last time.

        Args:
            memory_bytes: of the process; 0 where that is not known.
        """
        told = [(_ROOT + "uptime", f"{int(now - self._started)} seconds")]
        numbers = self._look(memory_bytes)
        if now > self._updated and self._loads:
            told += self._move_loads(numbers, now - self._updated)
        self._numbers = numbers
        self._updated = now
        for name, number in numbers.items():
            last = self._told.get(name)
            if name in _UNTOLD or number == last:
                continue
            if name in _MAXIMA and last is not None and number < last:
                continue
            self._told[name] = number
            told.append((_ROOT + name, str(number)))
            if name in _ALIASES:
                told.append((_ROOT + _ALIASES[name], str(number)))
        return told

    def _move_loads(self, numbers: dict[str, int], seconds: float) -> list[tuple[str, str]]:
        told = []
        for name, source in _LOADS.items():
            a_minute = (numbers[source] - self._numbers[source]) * 60.0 / seconds
            for span, span_s in _SPANS:
                key = f"{name}/{span}"
                before = self._loads[key]
                load = a_minute + exp(-seconds / span_s) * (before - a_minute)
                self._loads[key] = load
                if abs(load - before) >= _LOAD_STEP:
                    told.append((f"{_ROOT}load/{key}", f"{load:.2f}"))
        return told

    def _look(self, memory_bytes: int) -> dict[str, int]:
        """All numbers as they are now, in the order in which Mosquitto has them."""
        broker = self._broker
        metrics = broker.metrics
        router = broker.router
        sessions = broker.sessions
        kept, kept_bytes, pieces, waiting_bytes = self._waiting()
        dropped = metrics.dropped()
        numbers = {
            "clients/total": len(sessions),
            "clients/maximum": len(sessions),
            "clients/disconnected": len(sessions) - sessions.connected,
            "clients/connected": sessions.connected,
            "clients/expired": metrics.sessions_expired,
            "messages/stored": kept + len(router.retained),
            "store/messages/bytes": kept_bytes + router.retained.bytes,
            "subscriptions/count": router.subscriptions.count - router.subscriptions.shared_count,
            "shared_subscriptions/count": router.subscriptions.shared_count,
            "retained messages/count": len(router.retained),
        }
        if memory_bytes:
            numbers["heap/current"] = numbers["heap/maximum"] = memory_bytes
        numbers |= {
            "messages/received": metrics.packets_received,
            "messages/sent": metrics.packets_sent,
            "bytes/received": metrics.bytes_received,
            "bytes/sent": metrics.bytes_sent,
            "publish/bytes/received": metrics.publish_bytes_received,
            "publish/bytes/sent": metrics.publish_bytes_sent,
            "packet/out/count": pieces,
            "packet/out/bytes": waiting_bytes,
            "connections/socket/count": metrics.connections,
            "publish/messages/dropped": sum(dropped.values()),
            "publish/messages/received": metrics.publish_received,
            "publish/messages/sent": metrics.publish_sent,
            "connects": metrics.connects,
        }
        numbers |= {f"midge/dropped/{cause}": n for cause, n in dropped.items() if n}
        numbers |= {f"midge/refused/{cause}": n for cause, n in metrics.refused().items() if n}
        if metrics.throttled:
            numbers["midge/throttled"] = metrics.throttled
        return numbers | self._look_at_store() | self._look_at_queues()

    def _look_at_queues(self) -> dict[str, int]:
        """All named queues together; nothing where there is none."""
        queues = self._broker.queues.all()
        if not queues:
            return {}
        found = {"midge/queues/count": len(queues)}
        for name in _OF_QUEUES:
            found[f"midge/queues/{name}"] = sum(getattr(queue, name) for queue in queues)
        return found

    def _look_at_store(self) -> dict[str, int]:
        """What has gone wrong with the disk; nothing where nothing has."""
        keeper = self._broker.keeper
        if keeper is None:
            return {}
        numbers = {
            "failures": keeper.failures,
            "lost": keeper.lost,
            "waits": keeper.delayed,
        }
        found = {f"midge/store/{name}": number for name, number in numbers.items() if number}
        if keeper.failures:
            found["midge/store/failing"] = int(keeper.journal.failing)
        return found

    def _waiting(self) -> tuple[int, int, int, int]:
        """Messages that wait for clients and their bytes; pieces of output and their bytes.

        One look at every session, some hundred nanoseconds each, once in ``sys_interval``: cheaper
        than to count along with every message.
        """
        messages = size = pieces = unsent = 0
        for session in self._broker.sessions.all():
            outbox = session.outbox
            messages += outbox.queued_messages + len(outbox.outgoing.waiting)
            size += outbox.queued_bytes + outbox.outgoing.bytes
            pieces += len(outbox.chunks)
            unsent += outbox.used
        return messages, size, pieces, unsent
