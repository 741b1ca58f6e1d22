"""The questions of a REQ or DEALER that wait for their replies.

A request goes into its queue as a message of MQTT 5.0: its response topic is the asker's own, its
correlation data a number under which is kept here what the reply needs, the envelope that comes
back with it, and what the asker itself has said of correlation.
"""

from __future__ import annotations

from typing import NamedTuple

from midge.broker.router import REPLY_PREFIX
from midge.limits import ZMQ_REQUESTS_MAX
from midge.message import Message
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties


class Question(NamedTuple):
    """What is kept of a request.

    Attributes:
        envelope: the frames up to the delimiter, which the reply begins with.
        correlation: the asker's own correlation data.
    """

    envelope: list[bytes]
    correlation: bytes | None


class Requests:
    """The requests of one peer, at most ``ZMQ_REQUESTS_MAX`` of them.

    Args:
        token: what its response topic ends with; nobody else knows it.
    """

    __slots__ = ("_questions", "token")

    def __init__(self, token: str) -> None:
        self.token = token
        self._questions: dict[bytes, Question] = {}

    def add(self, number: bytes, envelope: list[bytes], given: Properties | None) -> Properties:
        """Keep a request; returns the properties that it goes with.

        Args:
            number: by which it is known; no other has it.
            given: the asker's own.
        """
        values = {} if given is None else given.values
        correlation = values.get(props.CORRELATION_DATA)
        own = correlation if isinstance(correlation, bytes) else None
        self._questions[number] = Question(envelope, own)
        replaced = {
            **values,
            props.RESPONSE_TOPIC: REPLY_PREFIX + self.token,
            props.CORRELATION_DATA: number,
        }
        return Properties(replaced, [] if given is None else given.user)

    def forget_oldest(self) -> bool:
        """Make room for one more; true when that cost the oldest."""
        if len(self._questions) < ZMQ_REQUESTS_MAX:
            return False
        del self._questions[next(iter(self._questions))]
        return True

    def take(self, reply: Message) -> Question | None:
        """The request that this is a reply to; it waits no more."""
        properties = reply.properties
        number = None if properties is None else properties.get_bytes(props.CORRELATION_DATA)
        return None if number is None else self._questions.pop(number, None)


def with_correlation(properties: Properties | None, correlation: bytes | None) -> Properties:
    """The same properties with this correlation data, or with none; without a response topic."""
    if properties is None:
        values: dict[int, int | str | bytes] = {}
        user: list[tuple[str, str]] = []
    else:
        values, user = dict(properties.values), properties.user
    values.pop(props.RESPONSE_TOPIC, None)
    values.pop(props.CORRELATION_DATA, None)
    if correlation is not None:
        values[props.CORRELATION_DATA] = correlation
    return Properties(values, user)
