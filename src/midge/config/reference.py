"""The reference page of all options, made from the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.config import options
from midge.config.environment import VARIABLES
from midge.config.options import OPTIONS

if TYPE_CHECKING:
    from midge.config.options import Option

_INTRODUCTION: Final = """\
<!-- Made by `midge config docs`; change src/midge/config/option_table.py instead. -->

# Configuration

`midge broker -c FILE` reads a `mosquitto.conf` as Mosquitto does: one option a line, `#` at the
beginning of a line for comments, and options of a listener below its `listener`. A file that runs
Mosquitto runs midge; where midge does not act on an option, the start says so.

`midge config check FILE` says all that is wrong with a file, and what in it has no effect.
`midge config show FILE` shows every option with the value that goes and where it comes from:
command line, environment, file, or default, of which an earlier one outweighs a later one.

**Without a `listener`**, the broker serves programs on the same machine only. **With one**, clients
must authenticate, unless `allow_anonymous true` says otherwise.

**Environment.** `MIDGE_` and the option in capitals, as in `MIDGE_MAX_KEEPALIVE=60`. An option of a
listener goes to the listener that the environment defines (`MIDGE_LISTENER="1883 0.0.0.0"`), else
to the default listener, else to those on loopback. Several values are separated by commas
(`MIDGE_LOG_TYPE=error,warning`). An unknown name is an error, an empty variable counts as none.
Bridges and plugins cannot be defined there.

**TOML.** A file whose name ends in `.toml` has the same options as keys: general ones at the top,
each listener as a table with `port` and `address`, or `path`.

```toml
allow_anonymous = false
password_file = "/etc/midge/passwords"
log_type = ["error", "warning"]

[[listener]]
port = 1883
address = "127.0.0.1"
max_connections = 100
```

**Reload.** SIGHUP reads the configuration again. It is applied whole or not at all; options marked
*restart* stay as they were, and the log says so. Listeners that are new are opened, those that are
gone are closed, the others keep their connections.

How values are written: *truth value* is `true` or `false` (`1` and `0` do); *number* is decimal,
hexadecimal with `0x`, octal with a leading `0`; *text* is the rest of the line, without quotes;
*duration* is a number with `s`, `h`, `d`, `w`, `m` (30 days) or `y`.
"""

_KINDS: Final = {
    options.BOOL: "truth value",
    options.INT: "number",
    options.TEXT: "text",
    options.DURATION: "duration",
}
_PLACES: Final = {
    options.GENERAL: "whole broker",
    options.SECURITY: "whole broker; a listener with `per_listener_settings`",
    options.LISTENER: "listener",
    options.DEFAULT_LISTENER: "listener, or the default one",
    options.BRIDGE: "bridge",
    options.PLUGIN: "plugin",
}
_SUPPORT: Final = {
    options.WORKS: "yes",
    options.INERT: "accepted, without effect",
    options.LATER: "not yet: refused unless it has its default",
}

#: Titles, and what belongs there: the first that fits counts.
_GROUPS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Bridges", ("place:bridge", "connection")),
    ("Plugins", ("place:plugin", "plugin", "auth_plugin", "global_plugin")),
    (
        "TLS",
        (
            *("cafile", "capath", "certfile", "cipher", "crlfile", "dhparam", "keyfile", "psk_"),
            *("require_certificate", "tls_", "use_identity", "use_subject", "disable_client_cert"),
        ),
    ),
    ("Tokens (JWT)", ("jwt_",)),
    ("Authentication over HTTP", ("http_auth_",)),
    (
        "Who may come in, and what they may do",
        ("place:security", "clientid_prefixes", "per_listener_settings", "listener_a", "use_user"),
    ),
    ("Listeners", ("place:listener", "place:default", "listener", "websockets_", "packet_buffer")),
    ("Log", ("log_", "connection_messages")),
    ("Persistence", ("persistence", "autosave", "retained_persistence")),
    (
        "Limits and messages",
        (
            *("max_", "global_max", "memory_limit", "message_size", "rate_limit", "connect_rate"),
            *("retain_", "check_retain", "queue_qos0", "upgrade_", "allow_duplicate"),
            *("persistent_client", "set_tcp", "retry_interval"),
        ),
    ),
    ("The process, and the rest", ("",)),
)
_ORDER: Final = (
    "Listeners",
    "TLS",
    "Who may come in, and what they may do",
    "Tokens (JWT)",
    "Authentication over HTTP",
    "Limits and messages",
    "Persistence",
    "Log",
    "The process, and the rest",
    "Bridges",
    "Plugins",
)


def group(option: Option) -> str:
    """The title that an option stands under."""
    for title, marks in _GROUPS:
        if any(mark == f"place:{option.place}" or option.name.startswith(mark) for mark in marks):
            return title
    raise AssertionError("the last group takes all")


def page() -> str:
    """The page, as Markdown."""
    parts = [_INTRODUCTION]
    for title in _ORDER:
        parts.append(f"\n## {title}\n")
        members = [option for option in OPTIONS.values() if group(option) == title]
        parts += [_entry(option) for option in sorted(members, key=lambda option: option.name)]
    return "".join(parts)


def _entry(option: Option) -> str:
    kind = "" if option.kind == options.OWN else f"{_KINDS[option.kind]}, "
    default = "no default" if option.default is None else f"default `{option.default}`"
    facts = [f"{kind}{default}", f"for: {_PLACES[option.place]}"]
    facts.append("reload: yes" if option.reloadable else "reload: restart")
    facts.append(f"midge: {_SUPPORT[option.support]}")
    if option.ours:
        facts.append("Mosquitto does not have it")
    if option.name not in VARIABLES.values():
        facts.append("not from the environment")
    text = f"\n### `{option.name}`\n\n{option.meaning}\n\n{'; '.join(facts)}.\n"
    if option.deprecated is not None:
        advice = option.deprecated and f" {option.deprecated}"
        text += f"Deprecated: Mosquitto 3.0 will not have it.{advice}\n"
    return text
