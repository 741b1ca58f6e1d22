"""What a valid topic name and a valid topic filter are (MQTT 5.0 section 4.7).

A check returns nothing, or raises :class:`~midge.errors.TopicError` with a sentence that names the
fault; a predicate answers the same question without an error. Both take the text as it would stand
in a packet, so a filter may be that of a shared subscription: its ``$share/GROUP/`` passes here as
two ordinary levels, and :func:`midge.topics.filters.split_shared` looks at it closely.

Deliberately not here: which topics a client may use, and the control characters that the standard
merely advises against.
"""

from __future__ import annotations

from typing import Final

from midge.errors import TopicError
from midge.limits import STRING_BYTES_MAX, TOPIC_LEVELS_MAX

#: Up to this many characters no text can have too many bytes: UTF-8 has at most four a character.
_SAFE_CHARACTERS: Final = STRING_BYTES_MAX // 4
#: How much of a faulty topic an error message shows.
_SHOWN_CHARACTERS: Final = 80


def check_topic(text: str) -> None:
    """Check the name that a message is published to.

    Raises:
        TopicError: it is empty, too long, too deep, or holds a wildcard or NUL.
    """
    _check_shape(text, "topic")
    if "+" in text or "#" in text:
        raise TopicError(
            f"topic {shown(text)} contains a wildcard: '+' and '#' are for subscriptions only"
        )


def check_filter(text: str) -> None:
    """Check the filter of a subscription.

    Raises:
        TopicError: it is empty, too long, too deep, holds NUL, or a wildcard where none can stand.
    """
    _check_shape(text, "topic filter")
    if "#" in text and text.index("#") != len(text) - 1:
        raise TopicError(f"'#' must be the last character of topic filter {shown(text)}")
    if has_wildcard(text):
        for level in text.split("/"):
            if len(level) > 1 and has_wildcard(level):
                raise TopicError(
                    f"'+' and '#' must stand alone in a level of topic filter {shown(text)}, "
                    f"but one stands in {shown(level)}"
                )


def is_topic(text: str) -> bool:
    """Whether ``text`` is a valid topic name."""
    try:
        check_topic(text)
    except TopicError:
        return False
    return True


def is_filter(text: str) -> bool:
    """Whether ``text`` is a valid topic filter."""
    try:
        check_filter(text)
    except TopicError:
        return False
    return True


def has_wildcard(text: str) -> bool:
    """Whether a valid filter can match more than the one topic it names."""
    return "+" in text or "#" in text


def shown(text: str) -> str:
    """``text`` in quotes for a message: on one line, and cut where it is long."""
    if len(text) > _SHOWN_CHARACTERS:
        return ascii(text[:_SHOWN_CHARACTERS]) + "..."
    return repr(text) if text.isprintable() else ascii(text)


def _check_shape(text: str, what: str) -> None:
    """Check what names and filters have in common."""
    if not text:
        raise TopicError(f"a {what} must have at least one character")  # [MQTT-4.7.3-1]
    if "\0" in text:
        raise TopicError(f"{what} {shown(text)} contains NUL")  # [MQTT-4.7.3-2]
    if len(text) > _SAFE_CHARACTERS or not text.isascii():
        _check_bytes(text, what)
    # Mosquitto's limit, counted as it counts: by the separators.
    if text.count("/") > TOPIC_LEVELS_MAX:
        raise TopicError(
            f"{what} {shown(text)} has too many levels: at most {TOPIC_LEVELS_MAX} '/' are allowed"
        )


def _check_bytes(text: str, what: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        # A lone surrogate cannot come from the wire, but from a program it can.
        raise TopicError(f"{what} {shown(text)} is not valid Unicode") from None
    if size > STRING_BYTES_MAX:  # [MQTT-4.7.3-3]
        raise TopicError(
            f"{what} {shown(text)} is {size} bytes long: at most {STRING_BYTES_MAX} are allowed"
        )
