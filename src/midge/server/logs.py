"""The log of the broker: kinds of lines, where they go, and how they begin.

A line has a kind (``error``, ``warning``, ``notice``, ``information``, ``debug``, ``subscribe``,
``unsubscribe``, ``websockets``), and each kind is on or off. Whoever would have to format a line
looks first whether anybody wants it: ``if log.debug_on: log.debug(...)``. What the lines say stands
in ``log_lines``, where they go in ``log_sinks``; that they begin with ``<unix seconds>: `` is
Mosquitto's form. With ``log_format json`` a line is an object with ``time``, ``type`` and
``message``.

Lines come from what clients send, so they are made safe here: control characters cannot end a line
or reach a terminal, and a line has a largest length. A line that a destination cannot take is lost,
and counted: logging never fails.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Final

from midge.config.settings import LOG_TYPES_DEFAULT
from midge.server.log_sinks import (
    KINDS,
    FileSink,
    LoggingSink,
    Sink,
    StreamSink,
    SyslogSink,
    TopicSink,
)

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable

    from midge.clock import Clock
    from midge.config.settings import Settings

#: The longest line, its time included. Mosquitto cuts at the same length.
LINE_CHARACTERS_MAX: Final = 999
#: What must not stand in a line: control characters, and what other programs take for a line's end.
_UNSAFE: Final = {
    code: ascii(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}


class Log:
    """The log.

    Args:
        clock: where the time of a line comes from.
        types: the kinds that are on; ``all`` for every kind.
        sinks: where lines go.
        timestamp: lines begin with the time.
        timestamp_format: its form, as ``strftime`` has it; ``None`` for seconds since 1970.
        form: ``text`` or ``json``.

    Attributes:
        error_on, warning_on, notice_on, information_on, debug_on, subscribe_on, unsubscribe_on,
            websockets_on: lines of this kind are written.
        lines_lost: lines that a destination could not take.
    """

    __slots__ = (
        "_clock",
        "_form",
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
        form: str = "text",
    ) -> None:
        self._clock = clock
        self._sinks = list(sinks)
        self._second = -1
        self._stamp = ""
        self.lines_lost = 0
        self.set_form(timestamp, timestamp_format, form)
        self.set_types(types)

    def set_form(self, timestamp: bool, timestamp_format: str | None, form: str) -> None:
        """Choose how lines look; see the arguments of the class."""
        self._timestamp = timestamp
        self._format = timestamp_format
        self._form = form
        self._second = -1

    def set_sinks(self, sinks: Iterable[Sink]) -> None:
        """Write to others from here on; those that are no longer among them are closed."""
        former = self._sinks
        self._sinks = list(sinks)
        close_sinks(sink for sink in former if sink not in self._sinks)

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
        self.set_sinks(())
        self.set_types(())

    def _write(self, kind: str, text: str) -> None:
        stamp = self._stamp_now() if self._timestamp else ""
        if not text.isprintable():
            text = _safe(text)
        room = LINE_CHARACTERS_MAX - len(stamp)
        if len(text) > room:
            text = text[: max(room, 0)]
        if self._form == "json":
            text = self._object(kind, stamp, text)
            stamp = ""
        for sink in self._sinks:
            try:
                sink.write(kind, stamp, text)
            except (OSError, ValueError):
                self.lines_lost += 1

    def _object(self, kind: str, stamp: str, text: str) -> str:
        fields: dict[str, object] = {}
        if self._timestamp:
            fields["time"] = round(self._clock.wall(), 3) if self._format is None else stamp[:-2]
        fields["type"] = kind
        fields["message"] = text
        return json.dumps(fields, ensure_ascii=False)

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


def types_of(settings: Settings, *, quiet: bool = False, verbose: bool = False) -> frozenset[str]:
    """The kinds of lines that a configuration and a command line want."""
    if quiet:
        return frozenset()
    return frozenset({"all"}) if verbose else settings.log_types


def open_sinks(settings: Settings, topics: TopicSink | None = None) -> list[Sink]:
    """Where a configuration wants lines to go.

    Args:
        topics: the destination ``topic``, where there is a broker to publish.

    Raises:
        OSError: a file or syslog cannot be opened; ``filename`` says which.
    """
    sinks: list[Sink] = []
    if "stdout" in settings.log_destinations:
        sinks.append(StreamSink(sys.stdout))
    if "stderr" in settings.log_destinations:
        sinks.append(StreamSink(sys.stderr))
    if "topic" in settings.log_destinations and topics is not None:
        sinks.append(topics)
    if "syslog" in settings.log_destinations:
        sinks.append(SyslogSink(settings.log_facility))
    if "file" in settings.log_destinations and settings.log_file is not None:
        sinks.append(FileSink(settings.log_file))
    return sinks


def close_sinks(sinks: Iterable[Sink]) -> None:
    """Close those that have something to close."""
    for sink in sinks:
        if isinstance(sink, FileSink | SyslogSink):
            sink.close()


def unopened(error: OSError) -> str:
    """The line for a destination that :func:`open_sinks` could not open."""
    if error.filename is None:
        return f"Error: Unable to reach syslog: {error.strerror}."
    return f"Error: Unable to open log file {error.filename} for writing."


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
    types = types_of(settings, quiet=quiet, verbose=verbose)
    failed = ""
    sinks: list[Sink]
    try:
        sinks = open_sinks(settings)
    except OSError as error:
        failed = unopened(error)
        sinks = [StreamSink(sys.stderr)]
        types = frozenset({"error"})
    log = Log(
        clock,
        types,
        sinks,
        settings.log_timestamp,
        settings.log_timestamp_format,
        settings.log_format,
    )
    if failed:
        log.error(failed)
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
