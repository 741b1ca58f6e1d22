"""PUBHandler: publishes log records, the topic made of logger and level."""

from __future__ import annotations

import logging
from copy import copy
from typing import Any, Final

import midge.zmq as zmq

#: Between a subtopic and the text of a record.
TOPIC_DELIM: Final = "::"


class PUBHandler(logging.Handler):
    """Sends each record as two parts: the topic, and the formatted text.

    The topic is the root topic, the level and a subtopic, with dots between. A subtopic stands in
    front of the text: ``log.info("db::connected")``.

    Attributes:
        ctx, socket: what it publishes with.
        formatters: by level.
    """

    ctx: Any
    socket: Any
    formatters: dict[int, logging.Formatter | None]

    def __init__(self, interface_or_socket: Any, context: Any = None, root_topic: str = "") -> None:
        """Publish by a PUB socket that is given, or bound here to an endpoint."""
        super().__init__()
        self._root_topic = ""
        self.root_topic = root_topic
        where = logging.Formatter("%(levelname)s %(filename)s:%(lineno)d - %(message)s\n")
        self.formatters = {
            logging.DEBUG: where,
            logging.INFO: logging.Formatter("%(message)s\n"),
            logging.WARNING: where,
            logging.ERROR: logging.Formatter(
                "%(levelname)s %(filename)s:%(lineno)d - %(message)s - %(exc_info)s\n"
            ),
            logging.CRITICAL: where,
        }
        if isinstance(interface_or_socket, zmq.Socket):
            self.socket = interface_or_socket
            self.ctx = self.socket.context
        else:
            self.ctx = context or zmq.Context()
            self.socket = self.ctx.socket(zmq.PUB)
            self.socket.bind(interface_or_socket)

    @property
    def root_topic(self) -> str:
        """What all topics begin with."""
        return self._root_topic

    @root_topic.setter
    def root_topic(self, value: str) -> None:
        self.setRootTopic(value)

    def setRootTopic(self, root_topic: str | bytes) -> None:
        """Set what all topics begin with."""
        if isinstance(root_topic, bytes):
            root_topic = root_topic.decode("utf-8")
        self._root_topic = root_topic

    def setFormatter(self, fmt: logging.Formatter | None, level: int = logging.NOTSET) -> None:
        """Set the format of one level, or of all."""
        for one in list(self.formatters) if level == logging.NOTSET else [level]:
            self.formatters[one] = fmt

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Handler`."""
        formatter = self.formatters.get(record.levelno)
        return (formatter or logging.Formatter("%(message)s\n")).format(record)

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`."""
        subtopic, delimiter, text = str(record.msg).partition(TOPIC_DELIM)
        if delimiter:
            record = copy(record)  # other handlers have the same one
            record.msg = text
        else:
            subtopic = ""
        try:
            body = self.format(record).encode("utf-8")
        except Exception:
            self.handleError(record)
            return
        topic = ".".join(filter(None, (self.root_topic, record.levelname, subtopic)))
        self.socket.send_multipart([topic.encode("utf-8", "replace"), body])


class TopicLogger(logging.Logger):
    """A logger whose ``log`` takes the subtopic as an argument of its own."""

    def log(self, level: int, topic: str, msg: str, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Log a record under a subtopic."""
        logging.Logger.log(self, level, f"{topic}{TOPIC_DELIM}{msg}", *args, **kwargs)


for _name in ("debug", "info", "warning", "warn", "error", "critical", "exception", "fatal"):
    _method = getattr(logging.Logger, _name)

    def _with_topic(
        self: TopicLogger, level: str, topic_msg: str, *args: Any, _of: Any = _method, **kwargs: Any
    ) -> None:
        _of(self, f"{level}{TOPIC_DELIM}{topic_msg}", *args, **kwargs)

    setattr(TopicLogger, _name, _with_topic)

__all__ = ["TOPIC_DELIM", "PUBHandler", "TopicLogger"]
