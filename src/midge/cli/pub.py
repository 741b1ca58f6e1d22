"""``midge pub``: publish a message, or one for each line of standard input, and exit."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from midge.cli.client_flags import CLIENT_FLAGS, ClientOptions, number, take_url, topic
from midge.cli.flags import (
    REPEATED,
    REST,
    VALUE,
    Flag,
    FlagError,
    HelpWanted,
    VersionWanted,
    help_text,
    parse,
)
from midge.cli.output import print_error, print_line, reason_text
from midge.cli.run import CONNECTION_LOST, FAILED, Command
from midge.cli.version import version_line
from midge.client.core import Event
from midge.client.events import Connected, Published
from midge.limits import READ_BYTES, VARINT_MAX
from midge.mqtt import properties as props
from midge.mqtt.reasons import FAILURE

#: Lines of ``-l`` are read while fewer messages than this wait, and fewer bytes than that.
_QUEUED_MESSAGES_MAX: Final = 100
_UNSENT_BYTES_MAX: Final = 1_048_576
_STDIN: Final = 0

# Where the payload comes from.
NOTHING: Final = 0
GIVEN: Final = 1
FILE: Final = 2
STDIN_WHOLE: Final = 3
STDIN_LINES: Final = 4


class PubOptions(ClientOptions):
    """What the command line of ``midge pub`` says."""

    __slots__ = ("file", "payload", "repeat", "repeat_delay_s", "retain", "source")

    def __init__(self) -> None:
        super().__init__()
        self.source: int = NOTHING
        self.payload = b""
        self.file = ""
        self.retain = False
        self.repeat = 1
        self.repeat_delay_s = 0.0


def _source(kind: int, letter: str, noun: str) -> Callable[[object, Sequence[str]], int]:
    def take(options: object, arguments: Sequence[str]) -> int:
        assert isinstance(options, PubOptions)
        if options.source != NOTHING:
            raise FlagError("Error: Only one type of message can be sent at once.")
        options.source = kind
        if not noun:
            return 0
        if not arguments:
            raise FlagError(f"Error: {letter} argument given but no {noun} specified.")
        if kind == FILE:
            options.file = arguments[0]
        else:
            options.payload = os.fsencode(arguments[0])
            _check_size(len(options.payload))
        return 1

    return take


def _check_size(size: int) -> None:
    if size > VARINT_MAX:
        raise FlagError(f"Error: Message length must be less than {VARINT_MAX} bytes.")


def _delay(text: str) -> object:
    try:
        delay_s = float(text)
    except ValueError:
        delay_s = -1.0
    if not 0.0 <= delay_s < 1e9:
        raise FlagError("Error: --repeat-delay argument must be >=0.0.")
    return delay_s


def _take_url(options: object, arguments: Sequence[str]) -> int:
    return take_url(options, arguments, is_filter=False)


# fmt: off
FLAGS: Final = (
    Flag("-t --topic", "topics", "topic to publish to", REPEATED, "TOPIC", "topic",
         lambda text: topic(text, "-t", "publish")),
    Flag("-m --message", "", "the message", REST, "TEXT", take=_source(GIVEN, "-m", "message")),
    Flag("-n --null-message", "", "an empty message", REST, take=_source(GIVEN, "-n", "")),
    Flag("-f --file", "", "the content of a file", REST, "FILE", take=_source(FILE, "-f", "file")),
    Flag("-s --stdin-file", "", "all of standard input, as one message", REST,
         take=_source(STDIN_WHOLE, "-s", "")),
    Flag("-l --stdin-line", "", "each line of standard input, as it comes", REST,
         take=_source(STDIN_LINES, "-l", "")),
    Flag("-q --qos", "qos", "quality of service: 0, 1 or 2 (0)", VALUE, "QOS", "QoS",
         number(0, 2, "Error: Invalid QoS given: {}")),
    Flag("-r --retain", "retain", "the broker keeps it for later subscribers"),
    Flag("--repeat", "repeat", "publish it this many times", VALUE, "COUNT", "count",
         number(1, 2**31 - 1, "Error: --repeat argument must be >0.")),
    Flag("--repeat-delay", "repeat_delay_s", "wait this long between two times",
         VALUE, "SECONDS", "time", _delay),
    Flag("-L --url", "", "mqtt://[user[:password]@]host[:port]/topic",
         REST, "URL", take=_take_url),
    *CLIENT_FLAGS,
)
# fmt: on

_SUMMARY = "Publish an MQTT message, or one for each line of standard input."
_USAGE = "midge pub {-t TOPIC | -L URL} {-m TEXT | -n | -f FILE | -s | -l} [FLAG]..."


class Pub(Command):
    """One run of ``midge pub``."""

    def __init__(self, options: PubOptions, payload: bytes) -> None:
        super().__init__(options)
        self.reconnects = options.source == STDIN_LINES
        self._topic = options.topics[-1]
        self._payload = payload
        self._qos = options.qos
        self._retain = options.retain
        self._properties = options.properties.get("publish")
        self._alias = bool(self._properties and props.TOPIC_ALIAS in self._properties.values)
        self._sent = 0
        self._unflushed = 0  # about how many bytes of repetitions the link has not seen
        self._left = options.repeat
        self._delay_s = options.repeat_delay_s
        self._next_at: float | None = None
        self._waiting = False  # for the acknowledgement of the last one
        self._lines = LineReader() if self.reconnects else None

    def connected(self, event: Connected) -> None:
        """Publish the first; of lines, those that are there."""
        if self._lines is None:
            self._publish_next()
        else:
            self._publish_lines()

    def handle(self, events: list[Event]) -> None:
        """Report what was refused; go on with the next."""
        for event in events:
            if isinstance(event, Published):
                if event.reason >= FAILURE:
                    self._report(event)
                if event.packet_id and self._lines is None:
                    self._acknowledged()

    def cut_short(self) -> None:
        """Messages without an acknowledgement are lost silently unless this says so."""
        if not self.status:
            self.status = CONNECTION_LOST
            self.say("Error: The connection was lost.")

    def until(self) -> float | None:
        """When the next repetition is due."""
        return self._next_at

    def input_fd(self) -> int:
        """Standard input, as long as its lines can be sent."""
        lines = self._lines
        if lines is None or lines.ended or lines.ready or not self._has_room():
            return -1
        return lines.fd

    def turned(self, input_ready: bool) -> None:
        """Publish what is due and what has come."""
        assert self.link is not None
        if self._lines is None:
            if self._next_at is not None and self.link.now() >= self._next_at:
                self._next_at = None
                self._publish_next()
            return
        if input_ready and not self._lines.read():
            self.say(f"Error: Message length must be less than {VARINT_MAX} bytes.")
            self.status = FAILED
            self.finish()
            return
        self._publish_lines()

    # -- one message, or the same again ---------------------------------------------------------

    def _publish_next(self) -> None:
        while self._left and not self.finished:
            if not self._publish(self._payload):
                self.status = FAILED
                self.finish()
                return
            self._left -= 1
            if self._qos:
                self._waiting = True
                return
            if self._left and self._wait_before_next():
                return
        self.finish()

    def _acknowledged(self) -> None:
        if not self._waiting:
            return
        self._waiting = False
        if not (self._left and self._wait_before_next()):
            self._publish_next()

    def _wait_before_next(self) -> bool:
        """Whether to wait, and until when. Without a delay, only for a socket that is full."""
        assert self.link is not None
        if self._delay_s:
            self._next_at = self.link.now() + self._delay_s
            return True
        self._unflushed += len(self._payload) + 64
        if self._unflushed >= _UNSENT_BYTES_MAX:
            self._unflushed = 0
            self.link.flush()
            if self.link.backlog():
                self._next_at = self.link.now() + 0.001
        return self._next_at is not None

    def _publish(self, payload: bytes) -> bool:
        # With an alias of its own, the topic is said once.
        topic = "" if self._alias and self._sent else self._topic
        self._sent += 1
        return self.publish(topic, payload, self._qos, self._retain, self._properties) >= 0

    def _report(self, event: Published) -> None:
        self.say(f"Warning: Publish {event.packet_id} failed: {reason_text(event.reason)}.")
        text = event.properties and event.properties.get_str(props.REASON_STRING)
        if text:
            self.say(text)

    # -- lines -----------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        assert self.link is not None
        return (
            self.client.connected
            and len(self.client.session.queue) < _QUEUED_MESSAGES_MAX
            and self.link.backlog() < _UNSENT_BYTES_MAX
        )

    def _publish_lines(self) -> None:
        lines = self._lines
        assert lines is not None
        while lines.ready and self._has_room():
            if not self._publish(lines.ready.popleft()):
                self.status = FAILED
                self.finish()
                return
        if lines.ended and not lines.ready and self.client.connected and self.client.session.idle():
            self.finish()


class LineReader:
    """Input as lines without their ends, read as they come.

    Attributes:
        fd: what is read.
        ready: complete lines, oldest first.
        ended: there will be no more.
    """

    __slots__ = ("_rest", "_rest_bytes", "ended", "fd", "ready")

    def __init__(self, fd: int = _STDIN) -> None:
        self.fd = fd
        self.ready: deque[bytes] = deque()
        self.ended = False
        self._rest: list[bytes] = []  # the beginning of a line, in pieces
        self._rest_bytes = 0

    def read(self) -> bool:
        """Read what is there, and block when nothing is; false when a line is too long to send."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            self.ended = True
            if self._rest_bytes:
                self.ready.append(b"".join(self._rest))
            return True
        first, *others = data.split(b"\n")
        self._rest.append(first)
        self._rest_bytes += len(first)
        if others:
            self.ready.append(b"".join(self._rest))
            last = others.pop()
            self._rest = [last]
            self._rest_bytes = len(last)
            self.ready.extend(others)
        return self._rest_bytes <= VARINT_MAX


def load_payload(options: PubOptions) -> bytes:
    """The one message that is to be sent.

    Raises:
        FlagError: there is none.
    """
    if options.source == FILE:
        try:
            with open(options.file, "rb") as file:
                data = file.read(VARINT_MAX + 1)
        except OSError as error:
            raise FlagError(
                f'Error: Unable to read file "{options.file}": {error.strerror}.\n'
                f'Error loading input file "{options.file}".'
            ) from None
        _check_size(len(data))
        return data
    if options.source == STDIN_WHOLE:
        with open(_STDIN, "rb", closefd=False) as file:
            data = file.read(VARINT_MAX + 1)
        if not data:
            raise FlagError("Error: Zero length input.\nError loading input from stdin.")
        _check_size(len(data))
        return data
    return options.payload


def main(arguments: Sequence[str]) -> int:
    """Run ``midge pub``; returns the exit status."""
    options = PubOptions()
    try:
        parse(FLAGS, arguments, options)
        options.check()
    except HelpWanted:
        print_line(help_text(_SUMMARY, _USAGE, FLAGS).rstrip())
        return 0
    except VersionWanted:
        print_line(version_line())
        return 0
    except FlagError as error:
        print_error(f"{error}\n\nUse 'midge pub --help' to see usage.")
        return FAILED
    if not options.topics or options.source == NOTHING:
        print_error("Error: Both topic and message must be supplied.")
        print_error("\nUse 'midge pub --help' to see usage.")
        return FAILED
    try:
        payload = load_payload(options)
    except FlagError as error:
        print_error(str(error), options.quiet)
        return FAILED
    return Pub(options, payload).run()
