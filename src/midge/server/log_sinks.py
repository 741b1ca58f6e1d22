"""Where the lines of the log go: streams, files, syslog, topics, the standard library's logging.

A sink takes a line that is safe to print. It may refuse one by raising ``OSError`` or
``ValueError``: the line is lost then, and counted, so none of them may wait for anybody.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from midge.limits import LOG_TOPIC_LINES_MAX

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

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
#: Severities of syslog (RFC 5424, table 2), as Mosquitto gives them.
_SEVERITIES: Final = {
    "error": 3,
    "warning": 4,
    "notice": 5,
    "information": 6,
    "debug": 7,
    "subscribe": 5,
    "unsubscribe": 5,
    "websockets": 7,
}
_FACILITY_DAEMON: Final = 3
_FACILITY_LOCAL0: Final = 16
#: Where the syslog of this machine listens.
_SYSLOG_PATH: Final = "/dev/log"
#: What comes after ``$SYS/broker/log/``. Debug lines have no topic: publishing one makes more.
_TOPICS: Final = {
    "error": "E",
    "warning": "W",
    "notice": "N",
    "information": "I",
    "subscribe": "M/subscribe",
    "unsubscribe": "M/unsubscribe",
    "websockets": "WS",
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


class SyslogSink:
    """Sends to the syslog of this machine, one datagram a line, without ever waiting for it.

    Args:
        facility: 0 to 7 for ``local0`` to ``local7``; ``None`` for ``daemon``.
        path: where it listens.

    Raises:
        OSError: nobody listens there.
    """

    __slots__ = ("_path", "_priority", "_socket")

    def __init__(self, facility: int | None, path: str = _SYSLOG_PATH) -> None:
        code = _FACILITY_DAEMON if facility is None else _FACILITY_LOCAL0 + facility
        self._priority = code * 8
        self._path = path
        self._socket = self._connect()

    def _connect(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            connected.setblocking(False)
            connected.connect(self._path)
        except OSError:
            connected.close()
            raise
        return connected

    def write(self, kind: str, stamp: str, text: str) -> None:
        """See :meth:`Sink.write`."""
        when = time.localtime()
        # The day is padded with a blank (RFC 3164, section 4.1.2), and months have English names.
        month = "JanFebMarAprMayJunJulAugSepOctNovDec"[when.tm_mon * 3 - 3 : when.tm_mon * 3]
        head = f"<{self._priority + _SEVERITIES[kind]}>{month} {when.tm_mday:2d} "
        head += f"{when.tm_hour:02d}:{when.tm_min:02d}:{when.tm_sec:02d} midge[{os.getpid()}]: "
        data = f"{head}{stamp}{text}".encode(errors="backslashreplace")
        try:
            self._socket.send(data)
        except BlockingIOError:
            raise
        except OSError:  # it was started anew
            self._socket.close()
            self._socket = self._connect()
            self._socket.send(data)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class TopicSink:
    """Publishes lines below ``$SYS/broker/log``.

    A line is made in the middle of what it tells of, so it is published later: it waits for
    :meth:`take`, and one that finds too many waiting is lost.

    Args:
        waiting: called when the first line waits.
    """

    __slots__ = ("_closed", "_lines", "_taking", "_waiting")

    def __init__(self, waiting: Callable[[], None]) -> None:
        self._waiting = waiting
        self._lines: deque[tuple[str, str]] = deque()
        self._taking = False
        self._closed = False

    def write(self, kind: str, stamp: str, text: str) -> None:
        """See :meth:`Sink.write`."""
        topic = _TOPICS.get(kind)
        if topic is None or self._taking or self._closed:
            return  # what publishing a line has to tell would be told without an end
        if len(self._lines) >= LOG_TOPIC_LINES_MAX:
            raise BlockingIOError("too many lines wait to be published")
        self._lines.append((f"$SYS/broker/log/{topic}", f"{stamp}{text}"))
        if len(self._lines) == 1:
            self._waiting()

    def take(self, publish: Callable[[str, bytes], None]) -> None:
        """Publish what waits: topic and payload of each line."""
        self._taking = True
        try:
            while self._lines:
                topic, line = self._lines.popleft()
                publish(topic, line.encode(errors="backslashreplace"))
        finally:
            self._taking = False

    def close(self) -> None:
        """There is nobody to publish any more."""
        self._closed = True
        self._lines.clear()
