"""``midge queue``: make, look into, empty, move and remove the queues of a running broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from midge.cli.client_flags import number, utf8
from midge.cli.flags import (
    VALUE,
    Flag,
    FlagError,
    HelpWanted,
    VersionWanted,
    help_text,
    parse,
)
from midge.cli.output import OutputGone, print_error, print_line
from midge.cli.version import version_line
from midge.client import sync
from midge.errors import MidgeError, OperationTimeout

_TOPIC: Final = "$CONTROL/queue/v1"
_RESPONSE: Final = _TOPIC + "/response"
_FAILED: Final = 1
_USAGE_ERROR: Final = 2


class QueueOptions:
    """What the command line says."""

    __slots__ = (
        "client_id",
        "count",
        "force",
        "host",
        "json",
        "password",
        "port",
        "timeout_s",
        "username",
    )

    def __init__(self) -> None:
        self.host = "localhost"
        self.port = 1883
        self.client_id = ""
        self.username: str | None = None
        self.password: str | None = None
        self.count: int | None = None
        self.force = False
        self.timeout_s = 60
        self.json = False


# fmt: off
FLAGS: Final = (
    Flag("-n --count", "count", "list, inspect, peek, move: so many at most",
         VALUE, "COUNT", "count",
         number(0, 2**31 - 1, "Error: Invalid count given: {}")),
    Flag("-f --force", "force", "delete: also a queue with consumers, which are disconnected"),
    Flag("--json", "json", "print the answer as JSON"),
    Flag("-h --host", "host", "the broker's host name or address (localhost)",
         VALUE, "HOST", "host"),
    Flag("-p --port", "port", "its port (1883)", VALUE, "PORT", "port",
         number(1, 65535, "Error: Invalid port given: {}")),
    Flag("-i --id", "client_id", "client id (the broker assigns one)", VALUE, "ID", "id",
         lambda text: utf8(text, "-i")),
    Flag("-u --username", "username", "user name", VALUE, "NAME", "username",
         lambda text: utf8(text, "-u")),
    Flag("-P --pw", "password", "password", VALUE, "PASSWORD", "password",
         lambda text: utf8(text, "-P")),
    Flag("-W", "timeout_s", "give up after so many seconds (60)", VALUE, "SECONDS", "timeout",
         number(1, 2**31 - 1, "Error: Invalid timeout given: {}")),
)
# fmt: on

_SUMMARY = """\
Make, look into, empty, move and remove the queues of a running broker.

  list                        all queues, and how much is in them
  create NAME [SETTING]...    make a queue, or change it: from FILTER, prefetch=1, ...
  inspect NAME                settings, counters, consumers, and the next messages
  peek NAME                   the next messages, which stay
  purge NAME                  take out all that waits
  move NAME TO                put what waits into another queue
  delete NAME                 remove a queue with all that is in it"""
_USAGE = "midge queue COMMAND [ARGUMENT]... [FLAG]..."


def main(arguments: Sequence[str]) -> int:
    """Run ``midge queue``; returns the exit status."""
    options = QueueOptions()
    try:
        words = _parse(arguments, options)
        return _run(words, options)
    except HelpWanted:
        print_line(help_text(_SUMMARY, _USAGE, FLAGS).rstrip())
        return 0
    except VersionWanted:
        print_line(version_line())
        return 0
    except FlagError as error:
        print_error(f"{error}\n\nUse 'midge queue --help' to see usage.")
        return _USAGE_ERROR
    except OSError as error:
        where = f"{options.host}, port {options.port}"
        print_error(f"Error: no connection to {where}: {error.strerror or error}.")
        return _FAILED
    except (MidgeError, ValueError) as error:
        print_error(f"Error: {error}.")
        return _FAILED
    except OutputGone as error:
        print_error(f"Error: standard output cannot be written: {error}")
        return _FAILED


def _parse(arguments: Sequence[str], options: QueueOptions) -> list[str]:
    """Flags and words in any order; returns the words."""
    flags: list[str] = []
    words: list[str] = []
    values = {name for flag in FLAGS if flag.kind == VALUE for name in flag.names}
    waiting = iter(arguments)
    for word in waiting:
        if word.startswith("-"):
            flags.append(word)
            if word in values:
                flags += [value for value in (next(waiting, None),) if value is not None]
        else:
            words.append(utf8(word, "command line"))
    parse(FLAGS, flags, options)
    if not words:
        raise FlagError("Error: A command must be given.")
    if words[0] not in _COMMANDS:
        raise FlagError(f"Error: Unknown command '{words[0]}'.")
    least, most, what, _ = _COMMANDS[words[0]]
    if not least <= len(words) - 1 <= most:
        verb = "needs" if most else "takes"
        raise FlagError(f"Error: '{words[0]}' {verb} {what}.")
    return words


def _run(words: list[str], options: QueueOptions) -> int:
    host = f"[{options.host}]" if ":" in options.host else options.host
    with sync.connect(
        f"mqtt://{host}:{options.port}",
        client_id=options.client_id,
        username=options.username,
        password=options.password,
        timeout_s=options.timeout_s,
    ) as client:
        client.subscribe(_RESPONSE)
        return _COMMANDS[words[0]][3](Orders(client, options), words[1:])


class Orders:
    """Gives one order after the other, and prints what comes of it."""

    def __init__(self, client: sync.Client, options: QueueOptions) -> None:
        self._client = client
        self.options = options

    def ask(self, command: str, **values: object) -> dict[str, Any]:
        """The data of an answer.

        Raises:
            MidgeError: it could not be done, and why.
        """
        order = {"command": command, **values}
        self._client.publish(_TOPIC, json.dumps({"commands": [order]}), qos=1)
        try:
            message = self._client.receive(self.options.timeout_s)
        except OperationTimeout:
            raise OperationTimeout(
                f"no answer came in {self.options.timeout_s} seconds: is it a midge broker, and "
                f"may this user subscribe to {_RESPONSE}"
            ) from None
        (response,) = json.loads(message.payload)["responses"]
        if "error" in response:
            raise MidgeError(response["error"])
        data: dict[str, Any] = response.get("data", {})
        return data

    def show(self, data: dict[str, Any], lines: Sequence[str]) -> int:
        """Print the lines, or the data as JSON; returns the status for success."""
        if self.options.json:
            print_line(json.dumps(data, ensure_ascii=False))
        else:
            for line in lines:
                print_line(line)
        return 0


def _list(orders: Orders, words: list[str]) -> int:
    wanted = orders.options.count
    data = orders.ask("listQueues")
    queues = data["queues"]
    while len(queues) < min(data["totalCount"], data["totalCount"] if wanted is None else wanted):
        more = orders.ask("listQueues", offset=len(queues))["queues"]
        if not more:
            break
        queues += more
    data["queues"] = queues = queues if wanted is None else queues[:wanted]
    rows = [("queue", "waiting", "in flight", "consumers")]
    rows += [
        (one["queue"], str(one["waiting"]), str(one["inFlight"]), str(one["consumers"]))
        for one in queues
    ]
    lines = _table(rows)
    if len(queues) < data["totalCount"]:
        lines.append(f"... {data['totalCount']} in all")
    return orders.show(data, lines)


def _create(orders: Orders, words: list[str]) -> int:
    name, *settings = words
    data = orders.ask("createQueue", queue=name, settings=" ".join(settings))
    return orders.show(data, [f"{name}: {data['settings'] or 'with the default settings'}"])


def _inspect(orders: Orders, words: list[str]) -> int:
    data = orders.ask("getQueue", queue=words[0])
    count = 10 if orders.options.count is None else orders.options.count
    data["messages"] = orders.ask("peekQueue", queue=words[0], count=count)["messages"]
    lines = [f"queue      {data['queue']} {data['settings']}".rstrip()]
    lines.append(f"durable    {'yes' if data['durable'] else 'no'}")
    for name, value in data.items():
        if isinstance(value, int) and not isinstance(value, bool):
            lines.append(f"{_spaced(name):<18}{value:>12}")
    lines += [
        f"consumer   {one['name']}: has {one['unacknowledged']}, was given {one['taken']}"
        for one in data["consumers"]
    ]
    lines += [f"message    {_message(one)}" for one in data["messages"]]
    return orders.show(data, lines)


def _peek(orders: Orders, words: list[str]) -> int:
    count = 10 if orders.options.count is None else orders.options.count
    data = orders.ask("peekQueue", queue=words[0], count=count)
    lines = [_message(one) for one in data["messages"]]
    if len(lines) < data["waiting"]:
        lines.append(f"... {data['waiting']} in all")
    return orders.show(data, lines)


def _message(message: dict[str, Any]) -> str:
    text = message.get("payload")
    said = json.dumps(text, ensure_ascii=False) if text is not None else message["payloadBase64"]
    notes = [f"{message['bytes']} bytes"]
    if message["priority"]:
        notes.append(f"priority {message['priority']}")
    if message["deliveries"]:
        notes.append(f"given out {_times(message['deliveries'])}")
    if "readyInSeconds" in message:
        notes.append(f"in {message['readyInSeconds']} s")
    return f"{message['topic']} {said}{'...' if 'cut' in message else ''} ({', '.join(notes)})"


def _purge(orders: Orders, words: list[str]) -> int:
    data = orders.ask("purgeQueue", queue=words[0])
    return orders.show(data, [f"{_messages(data['removed'])} taken out of {words[0]}"])


def _move(orders: Orders, words: list[str]) -> int:
    name, to = words
    values = {} if orders.options.count is None else {"count": orders.options.count}
    data = orders.ask("moveQueue", queue=name, to=to, **values)
    full = f"; {to} is full" if data.get("full") else ""
    orders.show(data, [f"{_messages(data['moved'])} moved from {name} to {to}{full}"])
    return _FAILED if full else 0


def _delete(orders: Orders, words: list[str]) -> int:
    values = {"force": True} if orders.options.force else {}
    data = orders.ask("deleteQueue", queue=words[0], **values)
    gone = f" with {_messages(data['removed'])}" if data["removed"] else ""
    return orders.show(data, [f"{words[0]} is removed{gone}"])


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _spaced(name: str) -> str:
    """``inFlight`` as ``in flight``."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)


def _table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


#: Least and most words behind a command, what they are, and what it does.
_COMMANDS: Final[dict[str, tuple[int, int, str, Callable[[Orders, list[str]], int]]]] = {
    "list": (0, 0, "nothing more", _list),
    "create": (1, 1000, "the name of a queue", _create),
    "inspect": (1, 1, "the name of a queue", _inspect),
    "peek": (1, 1, "the name of a queue", _peek),
    "purge": (1, 1, "the name of a queue", _purge),
    "move": (2, 2, "the names of two queues", _move),
    "delete": (1, 1, "the name of a queue", _delete),
}
