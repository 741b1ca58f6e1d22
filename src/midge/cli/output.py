"""Where the commands' words go: lines for people, and received messages.

Standard output is written with ``os.write``, a whole chunk of messages at once and at once: who
reads a pipe sees a message when it arrives, and a thousand that arrive together cost one call.
A reader that is gone is no error: :class:`OutputGone` says so, and the command ends quietly. A disk
that is full is one, :class:`OutputFailed`: what was received is lost.
"""

from __future__ import annotations

import os
import select
import sys

from midge.mqtt.reasons import FAILURE, Reason

_STDOUT = 1


class OutputGone(Exception):
    """Nobody reads standard output any more."""


class OutputFailed(OutputGone):
    """Standard output cannot be written; the text says why."""


def write_output(data: bytes) -> None:
    """Write all of ``data`` to standard output, now.

    Raises:
        OutputGone: its reader is gone.
        OutputFailed: it cannot be written, because the disk is full for example.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(_STDOUT, view) :]
        except BlockingIOError:
            # Whoever shares the terminal may have made it non-blocking.
            select.select([], [_STDOUT], [])
        except BrokenPipeError as error:
            raise OutputGone(str(error)) from None
        except OSError as error:
            raise OutputFailed(error.strerror or str(error)) from None


def print_line(text: str) -> None:
    """Write a line of text to standard output; if nobody reads it, nobody misses it."""
    try:
        write_output(text.encode(errors="surrogateescape") + b"\n")
    except OutputGone:
        return


def print_error(text: str, quiet: bool = False) -> None:
    """Write a line of text to standard error, unless ``quiet``."""
    if not quiet:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


#: The return codes of 3.1 and 3.1.1 in words (3.1.1 section 3.2.2.3).
_RETURN_CODES = (
    "accepted",
    "unacceptable protocol version",
    "identifier rejected",
    "broker unavailable",
    "bad user name or password",
    "not authorised",
)


def refusal_text(code: int, version: int) -> str:
    """Why a server refused CONNECT, in words."""
    if version == 5:
        text = reason_text(code)
        if code == Reason.UNSUPPORTED_PROTOCOL_VERSION:
            return (
                f"Connection error: {text}. "
                "Try connecting to an MQTT v5 broker, or use MQTT v3.x mode."
            )
        return f"Connection error: {text}"
    text = _RETURN_CODES[code] if code < len(_RETURN_CODES) else "unknown reason"
    return f"Connection error: Connection Refused: {text}"


#: Names that are not their identifier in small letters.
_SPELLED = {
    Reason.GRANTED_QOS_1: "Granted QoS 1",
    Reason.GRANTED_QOS_2: "Granted QoS 2",
    Reason.MALFORMED_PACKET: "Malformed Packet",
    Reason.PROTOCOL_ERROR: "Protocol Error",
    Reason.UNSUPPORTED_PROTOCOL_VERSION: "Unsupported Protocol Version",
    Reason.CLIENT_IDENTIFIER_NOT_VALID: "Client Identifier not valid",
    Reason.BAD_USER_NAME_OR_PASSWORD: "Bad User Name or Password",
    Reason.KEEP_ALIVE_TIMEOUT: "Keep Alive timeout",
    Reason.TOPIC_FILTER_INVALID: "Topic Filter invalid",
    Reason.TOPIC_NAME_INVALID: "Topic Name invalid",
    Reason.PACKET_IDENTIFIER_IN_USE: "Packet Identifier in use",
    Reason.PACKET_IDENTIFIER_NOT_FOUND: "Packet Identifier not found",
    Reason.RECEIVE_MAXIMUM_EXCEEDED: "Receive Maximum exceeded",
    Reason.TOPIC_ALIAS_INVALID: "Topic Alias invalid",
    Reason.QOS_NOT_SUPPORTED: "QoS not supported",
    Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: "Shared Subscriptions not supported",
    Reason.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED: "Wildcard Subscriptions not supported",
}


def reason_text(code: int) -> str:
    """A reason code of MQTT 5.0 in words (section 2.4)."""
    try:
        reason = Reason(code)
    except ValueError:
        return f"Unknown reason 0x{code:02x}" if code >= FAILURE else "Success"
    return _SPELLED.get(reason) or reason.name.replace("_", " ").capitalize()
