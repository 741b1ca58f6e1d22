"""Values as they stand in a mosquitto.conf: the line taken apart, and each kind read and checked.

A line is taken apart as Mosquitto does it, because configurations rely on it: words are separated
by spaces only, most options look at their first word and ignore what follows, and a text is all the
rest of the line, a ``#`` in it included. A value that cannot be used raises :class:`Fault` with the
words that Mosquitto has for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from midge.limits import PACKET_ID_MAX, VARINT_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

_UINT16_MAX: Final = 65_535
_INT_MIN: Final = -2_147_483_648
_INT_MAX: Final = 2_147_483_647
_INT64_MAX: Final = 9_223_372_036_854_775_807
#: Options whose number may have 64 bits.
_WIDE: Final = frozenset({"memory_limit", "rate_limit_bytes"})
#: How many bytes the prefix of a made-up client id may have.
_ID_PREFIX_BYTES_MAX: Final = 50
_PACKET_BYTES_LEAST: Final = 20
#: The longest time between looks for expired retained messages: 19 years.
_EXPIRY_CHECK_MIN_MAX: Final = 10_000_000

_DAY_S: Final = 86_400
#: The units of a duration, in seconds.
_UNITS_S: Final = {
    "s": 1,
    "h": 3_600,
    "d": _DAY_S,
    "w": 7 * _DAY_S,
    "m": 30 * _DAY_S,
    "y": 365 * _DAY_S,
}
#: Whole numbers as C reads them when it may choose the base.
_INTEGER: Final = re.compile(r"\s*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))")
#: What may not stand in a text: control characters, and bytes that were not UTF-8.
_MALFORMED: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

#: What messages do not show as it stands: the same, and the byte order mark of some editors. A tab
#: is seen for what it is.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")


class Fault(Exception):
    """A line that cannot be used; its text says why, in Mosquitto's words."""


class Line:
    """The rest of a line, taken word by word."""

    __slots__ = ("_rest",)

    def __init__(self, text: str) -> None:
        self._rest = text

    def word(self) -> str | None:
        """Take the next word; ``None`` at the end."""
        word, _, self._rest = self._rest.lstrip(" ").partition(" ")
        return word or None

    def until(self, mark: str) -> str | None:
        """Take what is left up to a mark, and the mark; ``None``, and nothing, where it is not."""
        found, separator, rest = self._rest.partition(mark)
        if not separator:
            return None
        self._rest = rest
        return found

    def rest(self) -> str | None:
        """Take all that is left, without the blanks around it; ``None`` where nothing is."""
        rest, self._rest = self._rest.strip(" \t\n\v\f\r"), ""
        return rest or None


def readable(text: str) -> str:
    """Text of a configuration for messages: what cannot be printed as an escape, as ``\\xff``."""
    return _UNPRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def empty(name: str) -> Fault:
    """The fault of an option without a value."""
    return Fault(f"Error: Empty '{name}' value in configuration.")


def invalid(name: str, value: object) -> Fault:
    """The fault of an option with a value that it does not know."""
    return Fault(f"Error: Invalid '{name}' value ({value}).")


def needs_listener(name: str) -> Fault:
    """The fault of an option of a listener that stands above the first one."""
    return Fault(f"Error: The '{name}' option requires a listener to be defined first.")


_PLUGIN_INSTEAD: Final = (
    "Instead of plugins there are password_file, acl_file, http_auth_..., jwt_... and "
    "authenticators of your own in Python."
)
#: What may do instead of something that is not supported.
_INSTEAD: Final = {
    "auth_plugin": _PLUGIN_INSTEAD,
    "ciphers_tls1.3": (
        "Python's ssl cannot choose them before 3.15. OpenSSL's own choice is used then, which "
        "openssl.cnf can change."
    ),
    "global_plugin": _PLUGIN_INSTEAD,
    "log_dest dlt": (
        "DLT is for cars, and needs a daemon and a library of its own. There are file, syslog, "
        "stdout, stderr and topic."
    ),
    "plugin": _PLUGIN_INSTEAD,
    "plugin_load": _PLUGIN_INSTEAD,
    "tls_engine": "Python's ssl loads no engines. The key can stand in a file.",
}


def unsupported(what: str) -> Fault:
    """The fault of something that Mosquitto does and midge does not do yet."""
    advice = _INSTEAD.get(what, "")
    return Fault(
        f"Error: '{what}' is not supported by this version of midge, and clients could notice "
        f"that it is missing. Remove it to start without.{advice and ' ' + advice}"
    )


def read_word(line: Line, name: str) -> str:
    """The next word, which must be there."""
    word = line.word()
    if word is None:
        raise empty(name)
    return word


def read_bool(line: Line, name: str) -> bool:
    """The next word as a truth value."""
    word = read_word(line, name)
    if word in ("true", "1"):
        return True
    if word in ("false", "0"):
        return False
    raise invalid(name, word)


def read_int(line: Line, name: str) -> int:
    """The next word as a whole number; checked further by :func:`check_int`."""
    word = read_word(line, name)
    found = _INTEGER.fullmatch(word)
    if found is None:
        raise Fault(f"Error: '{name}' value not a number.")
    sign, hexadecimal, octal, decimal = found.groups()
    if hexadecimal is not None:
        value = int(hexadecimal, 16)
    elif octal is not None:
        value = int(octal, 8)
    else:
        # Longer ones are out of any range, and slow to read.
        value = int(decimal) if len(decimal) < 20 else _INT64_MAX + 1
    if sign == "-":
        value = -value
    if not _INT_MIN <= value <= (_INT64_MAX if name in _WIDE else _INT_MAX):
        raise Fault(f"Error: '{name}' value out of range.")
    return value


def read_text(line: Line, name: str) -> str:
    """The rest of the line, which must be there and well formed."""
    text = line.rest()
    if text is None:
        raise empty(name)
    if _MALFORMED.search(text):
        raise Fault("Error: Malformed UTF-8 in configuration.")
    return text


def read_duration_s(line: Line, name: str) -> int:
    """The next word as a number and a unit, in seconds."""
    word = read_word(line, name)
    number = re.match(r"[0-9]+", word)
    unit_s = _UNITS_S.get(word[-1])
    if unit_s is None or number is None or len(number[0]) > 9 or int(number[0]) == 0:
        raise Fault(f"Error: Invalid '{name}' duration in configuration.")
    return int(number[0]) * unit_s


def check_prefix(name: str, shown: str, prefix: str) -> str:
    """The prefix of client ids, which may not be too long."""
    if len(prefix.encode()) > _ID_PREFIX_BYTES_MAX:
        raise Fault(f"Error: {shown} length must be <= {_ID_PREFIX_BYTES_MAX}.")
    return prefix


def check_int(name: str, value: int) -> int:
    """The number that an option means by ``value``: checked, and negative ones made sense of."""
    rule = _RULES.get(name)
    return value if rule is None else rule(name, value)


def _within_uint16(name: str, value: int) -> int:
    if not 0 <= value <= _UINT16_MAX:
        raise invalid(name, value)
    return value


def _no_negative(name: str, value: int) -> int:
    return max(value, 0)


def _not_negative(name: str, value: int) -> int:
    if value < 0:
        raise invalid(name, value)
    return value


def _no_limit_below_one(name: str, value: int) -> int:
    # Mosquitto means no limit by 0 as well.
    return value if value > 0 else -1


def _at_least_one(name: str, value: int) -> int:
    if value < 1:
        raise invalid(name, value)
    return value


def _max_qos(name: str, value: int) -> int:
    if not 0 <= value <= 2:
        raise Fault("Error: 'max_qos' must be between 0 and 2 inclusive.")
    return value


def _max_inflight(name: str, value: int) -> int:
    if value > PACKET_ID_MAX:
        raise Fault(f"Error: 'max_inflight_messages' must be <= {PACKET_ID_MAX}.")
    # The largest possible number limits nothing either.
    return 0 if value < 0 or value == PACKET_ID_MAX else value


def _max_packet_size(name: str, value: int) -> int:
    if value < _PACKET_BYTES_LEAST:
        raise Fault(f"Error: 'max_packet_size' must be >= {_PACKET_BYTES_LEAST}.")
    return value


def _message_size_limit(name: str, value: int) -> int:
    if not 0 <= value <= VARINT_MAX:
        raise invalid(name, value)
    return value


def _topic_alias(name: str, value: int) -> int:
    if not 0 <= value <= _UINT16_MAX:
        raise Fault(f"Error: Invalid '{name}' value in configuration.")
    return value


def _buffer(name: str, value: int) -> int:
    if not 0 <= value <= _UINT16_MAX:
        raise Fault("Error: Packet buffer size must be between 0 and 65535 inclusive.")
    return value


def _facility(name: str, value: int) -> int:
    if not 0 <= value <= 7:
        raise invalid(name, value)
    return value


def _expiry_check(name: str, value: int) -> int:
    if value < 1:
        raise Fault(f"Error: {name} must be >= 1.")
    return min(value, _EXPIRY_CHECK_MIN_MAX)


def _alias_of_bridge(name: str, value: int) -> int:
    if not 0 <= value <= _UINT16_MAX:
        raise Fault(f"Error: {name} must be > 0 and <= 65535.")
    return value


def _receive_maximum(name: str, value: int) -> int:
    if value <= 0:
        raise Fault(f"Error: {name} must be greater than 0.")
    if value > _UINT16_MAX:
        raise Fault(f"Error: {name} must be lower than {_UINT16_MAX}.")
    return value


def _session_expiry(name: str, value: int) -> int:
    if value < 0:
        raise Fault(f"Error: {name} must not be negative.")
    return value


def _user_timeout(name: str, value: int) -> int:
    if value < 0:
        raise Fault("Error: invalid TCP user timeout value.")
    return value


_RULES: Final[dict[str, Callable[[str, int], int]]] = {
    "autosave_interval": _no_negative,
    "bridge_max_packet_size": _no_negative,
    "bridge_max_topic_alias": _alias_of_bridge,
    "bridge_receive_maximum": _receive_maximum,
    "bridge_session_expiry_interval": _session_expiry,
    "bridge_tcp_user_timeout": _user_timeout,
    "connect_rate_limit": _no_negative,
    "global_max_clients": _no_limit_below_one,
    "global_max_connections": _no_limit_below_one,
    "http_auth_cache": _no_negative,
    "http_auth_timeout": _at_least_one,
    "log_facility": _facility,
    "max_connections": _no_limit_below_one,
    "max_inflight_bytes": _no_negative,
    "max_inflight_messages": _max_inflight,
    "max_keepalive": _within_uint16,
    "max_packet_size": _max_packet_size,
    "max_qos": _max_qos,
    "max_queued_bytes": _no_negative,
    "max_queued_messages": _no_negative,
    "max_topic_alias": _topic_alias,
    "max_topic_alias_broker": _topic_alias,
    "maximum_qos": _max_qos,
    "memory_limit": _not_negative,
    "message_size_limit": _message_size_limit,
    "packet_buffer_size": _buffer,
    "rate_limit_bytes": _no_negative,
    "rate_limit_messages": _no_negative,
    "retain_expiry_interval": _expiry_check,
    "sys_interval": _within_uint16,
    "websockets_headers_size": _buffer,
}
