"""``midge acl why``: whether a client may use a topic, which line says so, what would change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from midge.cli.flags import (
    REST,
    VALUE,
    Flag,
    FlagError,
    HelpWanted,
    VersionWanted,
    help_text,
    parse,
)
from midge.cli.output import print_error, print_line
from midge.cli.version import version_line

if TYPE_CHECKING:
    from midge.config.settings import Configuration

_ALLOWED: Final = 0
_REFUSED: Final = 1
_USAGE_ERROR: Final = 2


class AclOptions:
    """What the command line of ``midge acl why`` says."""

    __slots__ = ("acl_file", "client_id", "config_file", "listener", "user", "words")

    def __init__(self) -> None:
        self.acl_file: str | None = None
        self.config_file: str | None = None
        self.listener: str | None = None
        self.user: str | None = None
        self.client_id: str | None = None
        self.words: list[str] = []


def _help(options: object, arguments: Sequence[str]) -> int:
    raise HelpWanted


# fmt: off
FLAGS: Final = (
    Flag("-c --config-file", "config_file", "take acl_file from this mosquitto.conf",
         VALUE, "FILE", "config file"),
    Flag("--acl-file", "acl_file", "this ACL file", VALUE, "FILE", "ACL file"),
    Flag("--listener", "listener",
         "with per_listener_settings: the listener, as PORT, HOST:PORT or the path of its socket",
         VALUE, "NAME", "listener"),
    Flag("-u --user", "user", "the user name; without it, a client that has none",
         VALUE, "NAME", "user name"),
    Flag("-i --client", "client_id", "the client id; without it, one that no pattern speaks of",
         VALUE, "ID", "client id"),
    Flag("-h", "", "print this text", REST, take=_help),
)
# fmt: on

_SUMMARY = (
    "Say whether a client may use a topic, which line decides, and what line would allow it.\n"
    "Ends with status 0 when it may, 1 when it may not, 2 when that cannot be said."
)
_USAGE = (
    "midge acl why ([-c] FILE | --acl-file FILE) [-u NAME] [-i ID]\n"
    "                     (publish|subscribe|deliver) TOPIC"
)


class _Failed(Exception):
    """It cannot be said; the text is for the user."""


def main(arguments: Sequence[str]) -> int:
    """Run ``midge acl``; returns the exit status."""
    options = AclOptions()
    try:
        _parse(arguments, options)
        return _why(options)
    except HelpWanted:
        print_line(help_text(_SUMMARY, _USAGE, FLAGS).rstrip())
        return 0
    except VersionWanted:
        print_line(version_line())
        return 0
    except FlagError as error:
        print_error(f"{error}\n\nUse 'midge acl --help' to see usage.")
        return _USAGE_ERROR
    except _Failed as error:
        print_error(str(error))
        return _USAGE_ERROR


def _parse(arguments: Sequence[str], options: AclOptions) -> None:
    """Flags and words in any order; the first word is ``why``."""
    flags: list[str] = []
    values = {name for flag in FLAGS if flag.kind == VALUE for name in flag.names}
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if word.startswith("-"):
            flags.append(word)
            if word in values:
                flags += arguments[index + 1 : index + 2]
                index += 1
        else:
            options.words.append(word)
        index += 1
    parse(FLAGS, flags, options)
    if len(options.words) == 4 and options.config_file is None:
        options.config_file = options.words.pop(1)  # as 'midge config check FILE' has it
    if len(options.words) != 3 or options.words[0] != "why":
        raise FlagError("Error: 'why', an action and a topic must be given.")
    if options.words[1] not in ("publish", "subscribe", "deliver"):
        raise FlagError(f"Error: Unknown action '{options.words[1]}'.")
    if (options.acl_file is None) == (options.config_file is None):
        raise FlagError("Error: Either a config file or an ACL file must be given.")


def _why(options: AclOptions) -> int:
    from midge.auth import acl_file
    from midge.auth.base import DELIVER, PUBLISH, SUBSCRIBE
    from midge.errors import ConfigError, TopicError
    from midge.topics.filters import split_shared
    from midge.topics.names import check_filter, check_topic

    action, topic = options.words[1:]
    try:
        if action == "subscribe":
            check_filter(topic)
            shared = split_shared(topic)
            topic = topic if shared is None else shared[1]
        else:
            check_topic(topic)
    except TopicError as error:
        raise _Failed(f"Error: {error}.") from None
    path, refuses = (options.acl_file, False) if options.acl_file else _from_config(options)
    if path is None:
        print_line("yes: there is no acl_file, so everybody may use every topic")
        return _ALLOWED
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            rules, _ = acl_file.parse(file.read(), path)
    except OSError as error:
        raise _Failed(f'Error: Unable to open acl_file "{path}": {error.strerror}.') from None
    except ConfigError as error:
        raise _Failed(f"{error}\nError found at {error.file}:{error.line}.") from None
    actions = {"publish": PUBLISH, "subscribe": SUBSCRIBE, "deliver": DELIVER}
    authorizer = acl_file.AclFile(rules, refuses)
    client_id = options.client_id or ""
    verdict = authorizer.explain(client_id, options.user, actions[action], topic)
    if verdict.allowed and action == "subscribe":
        print_line(f"yes: {verdict.rule} lets it have messages of {topic}")
        return _ALLOWED
    print_line(("yes: " if verdict.allowed else "no: ") + str(verdict))
    if not verdict.allowed and action == "subscribe" and not refuses:
        print_line(
            "The subscription is granted all the same, as in Mosquitto, but no message ever comes "
            "by it; 'acl_refuse_subscribe true' refuses it."
        )
    return _ALLOWED if verdict.allowed else _REFUSED


def _from_config(options: AclOptions) -> tuple[str | None, bool]:
    """Path of the ACL file, and ``acl_refuse_subscribe``."""
    from midge.errors import ConfigError
    from midge.server.configuration import load

    try:
        configuration = load(options.config_file, ())
    except ConfigError as error:
        raise _Failed("\n".join((str(error), *getattr(error, "__notes__", ())))) from None
    settings = configuration.settings
    if not settings.per_listener_settings:
        return settings.acl_file, settings.acl_refuse_subscribe
    return _of_listener(configuration, options.listener)


def _of_listener(configuration: Configuration, wanted: str | None) -> tuple[str | None, bool]:
    listeners = {one.name(): one for one in configuration.listeners}
    found = listeners.get(wanted or "")
    if found is None and len(listeners) == 1 and wanted is None:
        found = next(iter(listeners.values()))
    if found is None:
        names = ", ".join(listeners)
        raise _Failed(f"Error: With per_listener_settings, --listener must be one of: {names}.")
    return found.acl_file, found.acl_refuse_subscribe
