"""Rows of the tables, looked at before the broker has them.

SQLite keeps whatever it is given, and a flipped bit in a value is none that it would notice: a row
that is not what its table is for is an error here, and not somewhere in the broker. Looked at is
what a row needs to be one (types, and numbers that choose between few cases); whether a topic is
well-formed, or properties can be read, is seen where they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.store.base import (
    HELD,
    QUEUED,
    RELEASED,
    SENT,
    DeliveryRow,
    MessageRow,
    QueueRow,
    SessionRow,
    SubscriptionRow,
)
from midge.store.sqlite import schema

if TYPE_CHECKING:
    from collections.abc import Callable

    Row = tuple[object, ...]

#: How many columns each table has.
COLUMNS: Final = {
    "counter": 2,
    "delivery": len(DeliveryRow._fields),
    "doomed": 1,
    "incoming": 2,
    "message": len(MessageRow._fields) + 1,
    "queue": len(QueueRow._fields),
    "retained": 2,
    "session": len(SessionRow._fields),
    "subscription": len(SubscriptionRow._fields),
}
#: The names of the counters.
COUNTERS: Final = ("session", "message", "seq")
_PACKET_ID_MAX: Final = 65_535
#: What the user property `queue-priority` may say.
_PRIORITY_MAX: Final = 9
#: Of a subscription: a variable byte integer.
_IDENTIFIER_MAX: Final = 268_435_455
#: No key is as high as this: counting from 1, and SQLite must be able to hold the next one.
_KEYS_END: Final = 1 << 62

# The rows that are many are looked at as a whole.
_MESSAGE_TYPES: Final = {
    (int, str, bytes, int, int, bytes, time, str) for time in (float, type(None))
}
_DELIVERY_TYPES: Final = {
    (int, int, int, int, int, str, int, int, int, time) for time in (float, type(None))
}


def fitted(table: str, row: Row) -> Row:
    """A row of an older store, or of a later one, as it is in one of today."""
    missing = COLUMNS[table] - len(row)
    if missing > 0:
        return (*row, *schema.LATER_COLUMNS.get(table, ())[-missing:])
    return row[: COLUMNS[table]]


def is_sound(table: str, row: Row) -> bool:
    """Whether a row is one that its table may have."""
    try:
        _CHECKS[table](row)
    except (TypeError, ValueError):
        return False
    return True


def session(row: Row) -> SessionRow:
    """The row of a session.

    Raises:
        TypeError, ValueError: it is none; so with all of these.
    """
    key, client_id, username, expiry_s, connected, ends_at, will_at, *will = row
    topic, payload, qos, retain, properties = will
    return SessionRow(
        _key(key),
        _str(client_id),
        None if username is None else _str(username),
        _int(expiry_s),
        bool(connected),
        _time(ends_at),
        _time(will_at),
        None if topic is None else _str(topic),
        _bytes(payload),
        _within(qos, 2),
        bool(retain),
        _bytes(properties),
    )


def subscription(row: Row) -> SubscriptionRow:
    """The row of a subscription."""
    session, filter, qos, no_local, as_published, handling, identifier, owed = row
    return SubscriptionRow(
        _int(session),
        _str(filter),
        _within(qos, 2),
        bool(no_local),
        bool(as_published),
        _within(handling, 2),
        _within(identifier, _IDENTIFIER_MAX),
        bool(owed),
    )


def message(row: Row) -> MessageRow:
    """The row of a message, without its count."""
    if tuple(map(type, row)) not in _MESSAGE_TYPES or row[3] not in (0, 1, 2):
        raise TypeError(f"{row!r} is no message")
    _key(row[0])
    return MessageRow._make((*row[:4], row[4] != 0, *row[5:]))


def delivery(row: Row) -> DeliveryRow:
    """The row of a delivery."""
    if tuple(map(type, row)) not in _DELIVERY_TYPES or row[3] not in (0, 1, 2):
        raise TypeError(f"{row!r} is no delivery")
    _key(row[1])
    made = DeliveryRow._make((*row[:4], row[4] != 0, *row[5:]))
    if made.state in (SENT, RELEASED):
        _packet_id(made.packet_id)
        if made.qos < (1 if made.state == SENT else 2):
            raise ValueError(f"{row!r} is no delivery")
    elif made.state not in (QUEUED, HELD) or not 0 <= made.priority <= _PRIORITY_MAX:
        raise ValueError(f"{row!r} is no delivery")
    return made


def queue(row: Row) -> QueueRow:
    """The row of a queue."""
    key, name, settings, given = row
    return QueueRow(_key(key), _str(name), _str(settings), _int(given))


def incoming(row: Row) -> tuple[int, int]:
    """Session and packet identifier of a message that was taken."""
    session, packet_id = row
    return _int(session), _packet_id(packet_id)


def retained(row: Row) -> tuple[str, int]:
    """Topic and message of a retained message."""
    topic, number = row
    return _str(topic), _int(number)


def counter(row: Row) -> tuple[str, int]:
    """Name and value of a counter."""
    name, value = row
    if name not in COUNTERS:
        raise ValueError(f"there is no counter {name!r}")
    return _str(name), _key(value)


def _counted_message(row: Row) -> None:
    message(row[:-1])
    _int(row[-1])


def _doomed(row: Row) -> None:
    _int(row[0])


_CHECKS: Final[dict[str, Callable[[Row], object]]] = {
    "counter": counter,
    "delivery": delivery,
    "doomed": _doomed,
    "incoming": incoming,
    "message": _counted_message,
    "queue": queue,
    "retained": retained,
    "session": session,
    "subscription": subscription,
}


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} stands where a number should")
    return value


def _within(value: object, highest: int) -> int:
    number = _int(value)
    if not 0 <= number <= highest:
        raise ValueError(f"{number} is not within 0 and {highest}")
    return number


def _key(value: object) -> int:
    key = _int(value)
    if not 0 < key < _KEYS_END:
        raise ValueError(f"{key} stands where a key should")
    return key


def _packet_id(value: object) -> int:
    packet_id = _int(value)
    if not 1 <= packet_id <= _PACKET_ID_MAX:
        raise ValueError(f"{packet_id} stands where a packet identifier should")
    return packet_id


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where a text should")
    return value


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{value!r} stands where bytes should")
    return value


def _time(value: object) -> float | None:
    if value is not None and not isinstance(value, float):
        raise TypeError(f"{value!r} stands where a time should")
    return value
