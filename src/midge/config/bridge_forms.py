"""Reads the options of a bridge that have a form or an effect of their own.

What the options of a bridge must have together is judged by ``checks``, when all was read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from midge.config.bridges import BridgeSettings, BridgeTopic
from midge.config.values import Fault, empty, invalid, read_bool, read_int, read_word
from midge.topics.names import is_filter, is_topic

if TYPE_CHECKING:
    from midge.config.reader import Form, Given, Reader

_PORT_DEFAULT: Final = 1883
_UINT16_MAX: Final = 65_535
_RESTART_MIN_S: Final = 3_600
_RESTART_MAX_S: Final = 7_200
#: Least values, and what is said when one is raised to it.
_LEAST: Final = {
    "idle_timeout": (1, "idle_timeout interval too low, using 1 second."),
    "keepalive_interval": (5, "keepalive interval too low, using 5 seconds."),
    "threshold": (1, "threshold too low, using 1 message."),
}
_WORDS: Final = {
    "bridge_protocol_version": ("mqttv31", "mqttv311", "mqttv50"),
    "bridge_reload_type": ("lazy", "immediate"),
    "start_type": ("automatic", "lazy", "once"),
}


def _bridge(given: Given) -> BridgeSettings:
    assert isinstance(given.owner, BridgeSettings)  # the registry says so of all options here
    return given.owner


def _connection(reader: Reader, given: Given) -> None:
    """``connection NAME``, with which a bridge begins."""
    name = read_word(given.line, given.name)
    if any(bridge.name == name for bridge in reader.bridges):
        raise Fault(f"Error: Duplicate bridge name '{name}'.")
    bridge = BridgeSettings(name=name)
    reader.bridges.append(bridge)
    given.place.bridge = given.owner = bridge


def _address(reader: Reader, given: Given) -> None:
    """``address HOST[:PORT] [HOST[:PORT]]...``."""
    bridge = _bridge(given)
    if bridge.addresses:
        raise Fault("Error: Invalid bridge configuration, 'address' only allowed once.")
    while (word := given.line.word()) is not None and not word.startswith("#"):
        # From the right, because an IPv6 address has colons of its own, and then needs the port.
        host, colon, port_text = word.rpartition(":")
        port = _leading_int(port_text) if colon else _PORT_DEFAULT
        if not 1 <= port <= _UINT16_MAX:
            raise Fault(f"Error: Invalid bridge port value ({port}).")
        bridge.addresses.append((host if colon else word, port))
    if not bridge.addresses:
        raise Fault("Error: Empty address value in configuration.")


def _leading_int(text: str) -> int:
    """The number that a text begins with, as C's ``atoi`` has it; 0 for none."""
    found = re.match(r"\s*[+-]?[0-9]{1,18}", text)
    return int(found[0]) if found is not None else 0


def _word(reader: Reader, given: Given) -> None:
    """One of a few words."""
    name = given.name
    if name == "bridge_protocol_version":
        word = given.line.rest()
        if word is None:
            raise empty(name)
    else:
        word = read_word(given.line, name)
    if word not in _WORDS[name]:
        if name == "start_type" and word == "manual":
            raise Fault("Error: Manual start_type not supported.")
        if name == "bridge_protocol_version":
            raise invalid(name, word)
        raise Fault(f"Error: Invalid '{name}' value in configuration ({word}).")
    assert given.option.setting is not None
    reader.assign(given, given.option.setting, word)


def _certificate(reader: Reader, given: Given) -> None:
    """``bridge_cafile FILE`` and the like."""
    bridge = _bridge(given)
    if bridge.identity is not None or bridge.psk is not None:
        raise Fault(
            f"Error: '{given.name}': Cannot use both certificate and psk encryption in a single "
            "bridge."
        )
    reader.set(given)


def _psk(reader: Reader, given: Given) -> None:
    """``bridge_identity TEXT``, ``bridge_psk KEY``."""
    bridge = _bridge(given)
    if bridge.cafile or bridge.capath or bridge.certfile or bridge.keyfile:
        raise Fault(
            f"Error: '{given.name}': Cannot use both certificate and identity encryption in a "
            "single bridge."
        )
    reader.set(given)


def _insecure(reader: Reader, given: Given) -> None:
    """``bridge_insecure true|false``."""
    bridge = _bridge(given)
    bridge.insecure = read_bool(given.line, given.name)
    if bridge.insecure:
        reader.say("warning", f"Warning: Bridge '{bridge.name}' using insecure mode.")


def _at_least(reader: Reader, given: Given) -> None:
    """A number that is raised to a least value."""
    value = read_int(given.line, given.name)
    if given.name == "keepalive_interval" and value > _UINT16_MAX:
        raise Fault("Error: Bridge keepalive value too high.")
    least, notice = _LEAST[given.name]
    if value < least:
        reader.say("notice", notice)
        value = least
    assert given.option.setting is not None
    reader.assign(given, given.option.setting, value)


def _tcp_keepalive(reader: Reader, given: Given) -> None:
    """``bridge_tcp_keepalive IDLE INTERVAL COUNT``."""
    numbers = []
    for what in ("idle", "interval", "counter"):
        value = read_int(given.line, f"{given.name}_{what}")
        if value <= 0:
            raise Fault(f"Error: invalid TCP keepalive {what} value.")
        numbers.append(value)
    idle_s, interval_s, count = numbers
    _bridge(given).tcp_keepalive = (idle_s, interval_s, count)


def _restart_timeout(reader: Reader, given: Given) -> None:
    """``restart_timeout BASE [CAP [STABLE]]``, or one constant number."""
    bridge = _bridge(given)
    base_s = _leading_int(read_word(given.line, given.name))
    if base_s < 1:
        reader.say("notice", "restart_timeout interval too low, using 1 second.")
        base_s = 1
    elif base_s > _RESTART_MIN_S:
        reader.say("notice", "restart_timeout interval too high, using 3600 seconds.")
        base_s = _RESTART_MIN_S
    cap_s = base_s
    cap_text = given.line.word()
    if cap_text is not None:
        cap_s = _leading_int(cap_text)
        if cap_s < base_s:
            raise Fault("Error: backoff cap is lower than the base in restart_timeout.")
        if cap_s > _RESTART_MAX_S:
            reader.say("error", "Error: backoff cap too high, using 7200 seconds.")
            cap_s = _RESTART_MAX_S
    stable_s = _leading_int(given.line.word() or "0")
    if stable_s < 0:
        raise Fault("Error: stable connection period cannot be negative.")
    bridge.restart_min_s, bridge.restart_max_s, bridge.restart_stable_s = base_s, cap_s, stable_s


# -- topics ------------------------------------------------------------------------------------


def _topic(reader: Reader, given: Given) -> None:
    """``topic FILTER [out|in|both [QOS [LOCAL_PREFIX [REMOTE_PREFIX]]]]``."""
    filter = _topic_filter(given)
    # A comment may stand behind any part, and ends the line.
    words: list[str] = []
    while (word := given.line.word()) is not None and not (words and word.startswith("#")):
        words.append(word)
    words += [""] * (4 - len(words))
    direction = words[0].lower() or "out"
    if direction not in ("out", "in", "both"):
        raise Fault(f"Error: Invalid bridge topic direction '{words[0]}'.")
    qos = _leading_int(words[1])
    if not 0 <= qos <= 2:
        raise Fault(f"Error: Invalid bridge QoS level '{words[1]}'.")
    local, remote = (_prefix(side, words[at]) for side, at in (("local", 2), ("remote", 3)))
    if filter == '""':
        if local is None or remote is None:
            raise Fault("Error: Invalid bridge remapping.")
        filter = ""
    topic = BridgeTopic(filter or None, direction, qos, local, remote)
    for side, prefix in (("local", local), ("remote", remote)):
        whole = (prefix or "") + filter
        if not is_filter(whole):
            raise Fault(
                f"Error: Invalid bridge topic {side} prefix and pattern combination '{whole}'."
            )
    if topic in _bridge(given).topics:
        reader.say("information", f"Duplicate bridge topic '{filter}', skipping")
        return
    _bridge(given).topics.append(topic)


def _topic_filter(given: Given) -> str:
    """The first part, which may stand in quotes where it has a space in it."""
    word = read_word(given.line, given.name)
    if not word.startswith('"') or word.startswith('""'):
        return word
    quoted = given.line.until('"')
    if quoted is None:
        raise Fault(f"Error: Missing closing quote in topic value ({given.line.rest() or ''}).")
    return f"{word[1:]} {quoted}"


def _prefix(side: str, word: str) -> str | None:
    if word in ("", '""'):
        return None
    if not is_topic(word):
        raise Fault(f"Error: Invalid bridge topic {side} prefix '{word}'.")
    return word


#: Functions that read options, by the names of these.
FORMS: Final[dict[str, Form]] = {
    "address": _address,
    "addresses": _address,
    "bridge_cafile": _certificate,
    "bridge_capath": _certificate,
    "bridge_certfile": _certificate,
    "bridge_identity": _psk,
    "bridge_insecure": _insecure,
    "bridge_keyfile": _certificate,
    "bridge_psk": _psk,
    "bridge_tcp_keepalive": _tcp_keepalive,
    "connection": _connection,
    "restart_timeout": _restart_timeout,
    "topic": _topic,
    **dict.fromkeys(_LEAST, _at_least),
    **dict.fromkeys(_WORDS, _word),
}
