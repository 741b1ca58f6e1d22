"""The value that programs hold: it can be copied, and sent to another process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from midge import Message
from midge.mqtt.properties import Properties


def through_a_pickle(message: Message) -> Message:
    made: Message = pickle.loads(pickle.dumps(message))
    return made


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, through_a_pickle])
def test_a_message_is_the_same_as_a_copy(again: Callable[[Message], Message]) -> None:
    message = Message("t", b"x", 1, True, Properties.of(content_type="y"), 2.5, "who")
    message.stored = 7
    other = again(message)
    assert repr(other) == repr(message)
    assert repr(other.properties) == repr(message.properties)
    assert (other.payload, other.expires_at) == (b"x", 2.5)
    assert other.stored == 0  # the store knows the one
