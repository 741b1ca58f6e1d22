"""``python -m midge.zmq.log ENDPOINT``: show what a PUBHandler publishes."""

from __future__ import annotations

import argparse
from datetime import datetime

import midge.zmq as zmq

_COLOURS = {"DEBUG": 34, "INFO": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 35}


def main() -> None:
    """Print records until Ctrl-C."""
    parser = argparse.ArgumentParser("midge.zmq.log", description=__doc__)
    parser.add_argument("endpoint", help="where the records are published")
    parser.add_argument("-t", "--topic", default="", help="only topics that begin with this")
    parser.add_argument("--timestamp", action="store_true", help="begin with the local time")
    parser.add_argument("--dateformat", default="%Y-%m-%d %H:%M:%S", help="its form")
    parser.add_argument("--separator", default=" | ", help="between topic and text")
    parser.add_argument("--color", action="store_true", help="colour by level")
    given = parser.parse_args()
    with zmq.SyncContext() as context, context.socket(zmq.SUB) as socket:
        socket.subscribe(given.topic)
        socket.connect(given.endpoint)
        try:
            while True:
                topic, text = socket.recv_multipart()
                print(_line(given, topic.decode(), text.decode().rstrip()), flush=True)
        except KeyboardInterrupt:
            return


def _line(given: argparse.Namespace, topic: str, text: str) -> str:
    line = f"{topic}{given.separator}{text}"
    if given.timestamp:
        line = f"{datetime.now().strftime(given.dateformat)} {line}"
    if given.color:
        for level, number in _COLOURS.items():
            if level in topic:
                return f"\033[{number}m{line}\033[0m"
    return line


if __name__ == "__main__":
    main()
