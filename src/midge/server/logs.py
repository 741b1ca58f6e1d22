"""The log of the broker: kinds of lines, where they go, and how they begin.

A line has a kind (``error``, ``warning``, ``notice``, ``information``, ``debug``, ``subscribe``,
``unsubscribe``, ``websockets``), and each kind is on or off. Whoever would have to format a line
looks first whether anybody wants it: ``if log.debug_on: log.debug(...)``. What the lines say stands
in ``log_lines``; that they begin with ``<unix seconds>: `` is Mosquitto's form.

Lines come from what clients send, so they are made safe here: control characters cannot end a line
or reach a terminal, and a line has a largest length. A line that a destination cannot take is lost,
and counted: logging never fails.

Not here: syslog and ``$SYS/broker/log`` as destinations. The standard library's ``logging`` is used
only as a destination, by a broker that is embedded in a program.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from midge.config.settings import LOG_TYPES_DEFAULT

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

    from midge.clock import Clock
    from midge.config.settings import Settings

#: All kinds of lines, by the names that ``log_type`` has for them.
KINDS: Final = (
    "error",
    "warning",
    "notice",
    "information",
    "debug",
    "subscribe",
    "unsubscribe",
    "websockets",
)
#: The longest line, its time included. Mosquitto cuts at the same length.
LINE_CHARACTERS_MAX: Final = 999
#: Who may read a log file: its owner. It has client ids, addresses and topics in it.
_FILE_MODE: Final = 0o600
#: The levels of the standard library's ``logging``.
_LEVELS: Final = {
    "error": 40,
    "warning": 30,
    "notice": 20,
    "information": 20,
    "debug": 10,
    "subscribe": 20,
    "unsubscribe": 20,
    "websockets": 10,
}
#: What must not stand in a line: control characters, and what other programs take for a line's end.
_UNSAFE: Final = {
    code: ascii(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}


class Sink(Protocol):
    """Where lines go."""

    def write(self, kind: str, stamp: str, text: str) -> None:
        """Take a line.

        Args:
            kind: one of ``KINDS``.
            stamp: the time as the line begins with it, and what separates it; may be empty.
            text: the line itself, safe to print, without an end.

        Raises:
            OSError, ValueError: it could not be written.
        """
        ...


class StreamSink:
    """Writes to standard error or standard output, each line at once."""

    __slots__ = ("_stream",)

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, kind: str, stamp: str, text: str) -> None:
        """See :meth:`Sink.write`."""
        line = f"{stamp}{text}\n"
        try:
            self._stream.write(line)
        except UnicodeEncodeError:  # the stream has a narrow encoding, as under LANG=C
            self._stream.write(ascii(line)[1:-3] + "\n")
        self._stream.flush()


class FileSink:
    """Appends to a file, each line at once.

    Args:
        path: made if it is not there, readable for its owner only.

    Raises:
        OSError: it cannot be opened.
    """

    __slots__ = ("_file", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = self._open()

    def _open(self) -> TextIO:
        number = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _FILE_MODE)
        return open(number, "a", buffering=1, encoding="utf-8", errors="backslashreplace")

    def write(self, kind: str, stamp: str, text: str) -> None:
        """See :meth:`Sink.write`."""
        self._file.write(f"{stamp}{text}\n")

    def reopen(self) -> None:
        """Open the path anew, after the file there was renamed or removed.

        Raises:
            OSError: it cannot be opened; the file that was open is kept.
        """
        former = self._file
        self._file = self._open()
        former.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class LoggingSink:
    """Passes lines on to a logger of the standard library, which has its own idea of the time."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def write(self, kind: str, stamp: str, text: str) -> None:
        """See :meth:`Sink.write`."""
        self._logger.log(_LEVELS[kind], "%s", text)

    def wanted(self) -> frozenset[str]:
        """The kinds that the logger would take."""
        return frozenset(kind for kind in KINDS if self._logger.isEnabledFor(_LEVELS[kind]))


class Log:
    """The log.

    Args:
        clock: where the time of a line comes from.
        types: the kinds that are on; ``all`` for every kind.
        sinks: where lines go.
        timestamp: lines begin with the time.
        timestamp_format: its form, as ``strftime`` has it; ``None`` for seconds since 1970.

    Attributes:
        error_on, warning_on, notice_on, information_on, debug_on, subscribe_on, unsubscribe_on,
            websockets_on: lines of this kind are written.
        lines_lost: lines that a destination could not take.
    """

    __slots__ = (
        "_clock",
        "_format",
        "_second",
        "_sinks",
        "_stamp",
        "_timestamp",
        "debug_on",
        "error_on",
        "information_on",
        "lines_lost",
        "notice_on",
        "subscribe_on",
        "unsubscribe_on",
        "warning_on",
        "websockets_on",
    )

    def __init__(
        self,
        clock: Clock,
        types: Iterable[str] = LOG_TYPES_DEFAULT,
        sinks: Iterable[Sink] = (),
        timestamp: bool = True,
        timestamp_format: str | None = None,
    ) -> None:
        self._clock = clock
        self._sinks = list(sinks)
        self._timestamp = timestamp
        self._format = timestamp_format
        self._second = -1
        self._stamp = ""
        self.lines_lost = 0
        self.set_types(types)

    def set_types(self, types: Iterable[str]) -> None:
        """Switch kinds on, and all others off; without a destination, nothing is ever on."""
        wanted = frozenset(types) if self._sinks else frozenset()
        if "all" in wanted:
            wanted = frozenset(KINDS)
        self.error_on = "error" in wanted
        self.warning_on = "warning" in wanted
        self.notice_on = "notice" in wanted
        self.information_on = "information" in wanted
        self.debug_on = "debug" in wanted
        self.subscribe_on = "subscribe" in wanted
        self.unsubscribe_on = "unsubscribe" in wanted
        self.websockets_on = "websockets" in wanted

    def error(self, text: str) -> None:
        """Something failed."""
        if self.error_on:
            self._write("error", text)

    def warning(self, text: str) -> None:
        """Something is likely not what was meant."""
        if self.warning_on:
            self._write("warning", text)

    def notice(self, text: str) -> None:
        """Something normal that matters: clients come and go."""
        if self.notice_on:
            self._write("notice", text)

    def information(self, text: str) -> None:
        """Something normal."""
        if self.information_on:
            self._write("information", text)

    def debug(self, text: str) -> None:
        """Every packet; ask :attr:`debug_on` before making ``text``."""
        if self.debug_on:
            self._write("debug", text)

    def subscribe(self, text: str) -> None:
        """A subscription was made."""
        if self.subscribe_on:
            self._write("subscribe", text)

    def unsubscribe(self, text: str) -> None:
        """A subscription was given up."""
        if self.unsubscribe_on:
            self._write("unsubscribe", text)

    def websockets(self, text: str) -> None:
        """What WebSockets do below MQTT."""
        if self.websockets_on:
            self._write("websockets", text)

    def write(self, kind: str, text: str) -> None:
        """Write a line of a kind that is known only now, one of ``KINDS``."""
        if getattr(self, kind + "_on"):
            self._write(kind, text)

    def reopen(self) -> None:
        """Open log files anew; a file that cannot be opened keeps its old one, and says so."""
        for sink in self._sinks:
            if isinstance(sink, FileSink):
                try:
                    sink.reopen()
                except OSError as error:
                    self.error(f"Error: Unable to open log file {error.filename} for writing.")

    def close(self) -> None:
        """Close log files; nothing is written any more."""
        for sink in self._sinks:
            if isinstance(sink, FileSink):
                sink.close()
        self._sinks = []
        self.set_types(())

    def _write(self, kind: str, text: str) -> None:
        stamp = self._stamp_now() if self._timestamp else ""
        if not text.isprintable():
            text = _safe(text)
        room = LINE_CHARACTERS_MAX - len(stamp)
        if len(text) > room:
            text = text[: max(room, 0)]
        for sink in self._sinks:
            try:
                sink.write(kind, stamp, text)
            except (OSError, ValueError):
                self.lines_lost += 1

    def _stamp_now(self) -> str:
        second = int(self._clock.wall())
        if second != self._second:
            self._second = second
            if self._format is None:
                self._stamp = f"{second}: "
            else:
                stamp = time.strftime(self._format, time.localtime(second))
                self._stamp = f"{stamp or 'Time error'}: "
        return self._stamp


def open_log(
    settings: Settings, clock: Clock, *, quiet: bool = False, verbose: bool = False
) -> Log:
    """The log that a configuration asks for.

    A log file that cannot be opened is an error on standard error, and then only errors are logged,
    there, as Mosquitto does it.

    Args:
        quiet: nothing is logged, whatever the configuration says (``-q``).
        verbose: everything is (``-v``).
    """
    types: frozenset[str] = settings.log_types
    if quiet:
        types = frozenset()
    elif verbose:
        types = frozenset({"all"})
    sinks: list[Sink] = []
    failed: str | None = None
    if "stdout" in settings.log_destinations:
        sinks.append(StreamSink(sys.stdout))
    if "stderr" in settings.log_destinations:
        sinks.append(StreamSink(sys.stderr))
    if "file" in settings.log_destinations and settings.log_file is not None:
        try:
            sinks.append(FileSink(settings.log_file))
        except OSError:
            failed = settings.log_file
            sinks = [StreamSink(sys.stderr)]
            types = frozenset({"error"})
    log = Log(clock, types, sinks, settings.log_timestamp, settings.log_timestamp_format)
    if failed is not None:
        log.error(f"Error: Unable to open log file {failed} for writing.")
    return log


def logging_log(logger: logging.Logger, clock: Clock) -> Log:
    """A log that goes to ``logger``, with the kinds on that it takes now."""
    sink = LoggingSink(logger)
    return Log(clock, sink.wanted(), [sink], timestamp=False)


def _safe(text: str) -> str:
    """``text`` without what could end a line or steer a terminal; a tab at its start is form."""
    if text.startswith("\t"):
        return "\t" + text[1:].translate(_UNSAFE)
    return text.translate(_UNSAFE)
