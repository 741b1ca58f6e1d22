"""midge: a small messaging system.

The public names are loaded when they are first used, so that a command imports no more than it
needs: :class:`Broker`, an MQTT broker in a program's own event loop; :class:`Message`; the errors.

With ``MIDGE_PURE=1`` in the environment, the source runs where midge is compiled.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midge.errors import (
        ConfigError,
        ConnectionLost,
        ConnectionRefused,
        MalformedPacket,
        MidgeError,
        OperationTimeout,
        PacketTooLarge,
        ProtocolError,
        QueueFull,
        TopicError,
    )
    from midge.message import Message
    from midge.server.embedded import Broker

__version__ = "0.1.0"

__all__ = [
    "Broker",
    "ConfigError",
    "ConnectionLost",
    "ConnectionRefused",
    "MalformedPacket",
    "Message",
    "MidgeError",
    "OperationTimeout",
    "PacketTooLarge",
    "ProtocolError",
    "QueueFull",
    "TopicError",
    "__version__",
]


if os.environ.get("MIDGE_PURE", "0") not in ("", "0"):
    from midge.pure import prefer_source

    prefer_source(__path__[0])


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'midge' has no attribute {name!r}")
    if name == "Broker":
        module = "midge.server.embedded"
    elif name == "Message":
        module = "midge.message"
    else:
        module = "midge.errors"
    # __import__, because importlib is not needed for anything else.
    value: object = getattr(__import__(module, fromlist=[name]), name)
    globals()[name] = value  # the next time, this function is not asked
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
