"""What a queue is told: its limits, and what happens at them. One line of text, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from midge.errors import ConfigError, TopicError
from midge.limits import (
    QUEUE_DELAY_MAX_S,
    QUEUE_DELIVERIES_DEFAULT,
    QUEUE_LEASE_DEFAULT_S,
    QUEUE_MESSAGES_DEFAULT,
    QUEUE_NAME_BYTES_MAX,
    QUEUE_PREFETCH_DEFAULT,
)
from midge.topics.names import check_filter, has_wildcard, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What may happen to a message for which there is no room.
REJECT: Final = "reject"
DROP_OLDEST: Final = "drop-oldest"
DROP_NEWEST: Final = "drop-newest"
POLICIES: Final = (REJECT, DROP_OLDEST, DROP_NEWEST)

#: User properties by which a publisher asks for a priority (0 to 9, 0 is the ordinary one) and for
#: a delay in seconds.
PRIORITY_PROPERTY: Final = "queue-priority"
DELAY_PROPERTY: Final = "queue-delay"


class QueueSettings(NamedTuple):
    """How a queue behaves.

    Attributes:
        filters: topics whose messages are put into it, besides those published to it directly.
        messages_max, bytes_max: what may wait in it; 0 for any number.
        age_max_s: how long a message may wait; 0 for as long as its publisher says.
        full: what happens to the next message when it is full: one of :data:`POLICIES`.
        deliveries_max: how often a message is given out before it goes to the dead letters; 0 for
            ever.
        lease_s: how long a consumer has for a message before another one gets it; 0 for as long as
            it is connected.
        prefetch: how many messages a consumer may have unacknowledged; 0 for as many as it takes.
            With 1, only who is done gets the next.
        dead: the queue of its dead letters; empty for NAME.dead.
        durable: it outlives the process, where there is a store.
    """

    filters: tuple[str, ...] = ()
    messages_max: int = QUEUE_MESSAGES_DEFAULT
    bytes_max: int = 0
    age_max_s: float = 0.0
    full: str = REJECT
    deliveries_max: int = QUEUE_DELIVERIES_DEFAULT
    lease_s: float = QUEUE_LEASE_DEFAULT_S
    prefetch: int = QUEUE_PREFETCH_DEFAULT
    dead: str = ""
    durable: bool = True

    def text(self) -> str:
        """What :func:`parse_settings` makes these settings of; only what is not the default."""
        words = [f"from {filter}" for filter in self.filters]
        for name, default in QueueSettings._field_defaults.items():
            value = getattr(self, name)
            if name != "filters" and value != default:
                said = ("true" if value else "false") if name == "durable" else f"{value}"
                words.append(f"{name}={said}")
        return " ".join(words)


_WHOLE: Final = ("messages_max", "bytes_max", "deliveries_max", "prefetch")
_SECONDS: Final = ("age_max_s", "lease_s")


def parse_settings(text: str) -> QueueSettings:
    """The settings of a line like ``from shop/+/orders full=drop-oldest lease_s=30``.

    Raises:
        ConfigError: what is wrong with which word.
    """
    values: dict[str, object] = {}
    filters: list[str] = []
    words = iter(text.split())
    for word in words:
        if word == "from":
            filters.append(_filter(next(words, "")))
            continue
        name, equals, value = word.partition("=")
        if not equals or name not in QueueSettings._fields or name == "filters":
            known = ", ".join(one for one in QueueSettings._fields if one != "filters")
            raise ConfigError(f"{word!r} is no setting of a queue: from FILTER, or one of {known}")
        values[name] = _value(name, value)
    return QueueSettings(tuple(filters), **values)  # type: ignore[arg-type]


def parse_queue(line: str) -> tuple[str, QueueSettings]:
    """The name and the settings of ``queue NAME [from FILTER]... [SETTING=VALUE]...``.

    Raises:
        ConfigError: what is wrong with which word.
    """
    name, _, rest = line.strip().partition(" ")
    fault = name_fault(name)
    if fault:
        raise ConfigError(fault)
    settings = parse_settings(rest)
    check_dead(name, settings)
    return name, settings


def check_dead(name: str, settings: QueueSettings) -> None:
    """Refuse a queue whose dead letters would come back into it, to be given out and die again.

    Raises:
        ConfigError: that is so.
    """
    if settings.dead == name:
        raise ConfigError(f"the dead letters of queue {name} cannot go to itself: name another one")


def _filter(filter: str) -> str:
    if not filter:
        raise ConfigError("`from` needs a topic filter")
    try:
        check_filter(filter)
    except TopicError as error:
        raise ConfigError(str(error)) from None
    if filter.startswith("$"):
        raise ConfigError(f"a queue cannot be filled from {shown(filter)}")
    return filter


def _value(name: str, value: str) -> object:
    if name in _WHOLE:
        if value.isascii() and value.isdecimal():
            return int(value)
        raise ConfigError(f"{name} is a whole number, not {value!r}")
    if name in _SECONDS:
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if 0 <= seconds < float("inf"):
            return seconds
        raise ConfigError(f"{name} is a number of seconds, not {value!r}")
    if name == "full":
        if value in POLICIES:
            return value
        raise ConfigError(f"full is one of {', '.join(POLICIES)}, not {value!r}")
    if name == "durable":
        if value in ("true", "false"):
            return value == "true"
        raise ConfigError(f"durable is true or false, not {value!r}")
    fault = name_fault(value)
    if fault:
        raise ConfigError(fault)
    return value


def wishes(user: Iterable[tuple[str, str]]) -> tuple[int, float]:
    """The priority and the delay in seconds that a publisher asks for by user properties.

    What is no number, or out of range, counts for nothing: a queue may be filled with messages
    whose publishers know nothing of it.
    """
    priority = 0
    delay_s = 0.0
    for name, value in user:
        if name == PRIORITY_PROPERTY and len(value) == 1 and value in "0123456789":
            priority = int(value)
        elif name == DELAY_PROPERTY:
            try:
                wanted = float(value)
            except ValueError:
                continue
            if 0 < wanted <= QUEUE_DELAY_MAX_S:
                delay_s = wanted
    return priority, delay_s


def name_fault(name: str) -> str:
    """Why a text cannot be the name of a queue; empty where it can."""
    if not name:
        return "a queue needs a name"
    if len(name.encode("utf-8", "surrogatepass")) > QUEUE_NAME_BYTES_MAX:
        return f"the name of a queue has at most {QUEUE_NAME_BYTES_MAX} bytes"
    if has_wildcard(name) or "/" in name or name.startswith("$") or not name.isprintable():
        return f"{shown(name)} is no name of a queue: no +, #, / and control characters, no $ first"
    return ""
