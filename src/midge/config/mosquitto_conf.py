"""Reads a mosquitto.conf: text in, a :class:`~midge.config.settings.Configuration` out.

A configuration that runs Mosquitto must mean the same here, so lines are read as Mosquitto reads
them, and its errors and notices have its words. Where an option belongs to a listener, it is the
one above it in the same file; some options make the *default listener* (all addresses, port 1883)
when there is none. Without any ``listener``, ``port`` or ``bind_address``, the broker listens on
loopback only, with the defaults of a listener, whatever was said of one.

Mosquitto's options that midge does not act on are never passed over in silence: with a value other
than the default, such an option is an error, or a warning where no client could notice.

No file is opened here: the caller reads, and gives a function for ``include_dir``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from midge.config import options
from midge.config.options import Option
from midge.config.settings import (
    LOG_TYPES_DEFAULT,
    Configuration,
    ListenerSettings,
    Settings,
    local_listeners,
)
from midge.config.values import (
    Fault,
    Line,
    check_int,
    check_prefix,
    empty,
    invalid,
    needs_listener,
    read_bool,
    read_duration_s,
    read_int,
    read_text,
    read_word,
    unsupported,
)
from midge.errors import ConfigError

#: Given a directory: the path and the text of each file there whose name ends in ``.conf``, in any
#: order. Bytes that are not UTF-8 should come as surrogates (``errors="surrogateescape"``). May
#: raise OSError, with the path of a file or of the directory.
ReadDir: TypeAlias = Callable[[str], list[tuple[str, str]]]

#: What the process of a broker ends with when its configuration cannot be used.
EXIT_STATUS: Final = 3

_LOG_TYPES: Final = (
    *("information", "notice", "warning", "error", "debug"),
    *("subscribe", "unsubscribe", "internal", "websockets"),
)
_RESPONSES: Final = ("status", "json", "text")
_VERSIONS: Final = {"3": 3, "4": 4, "5": 5}


def parse(
    text: str, file: str, read_dir: ReadDir | None = None, ports: tuple[int, ...] = ()
) -> Configuration:
    """Read a configuration.

    Args:
        text: the content of the main file.
        file: its path, for messages.
        read_dir: reads the files of an ``include_dir``.
        ports: those of the command line. They count only for a configuration without listeners.

    Raises:
        ConfigError: something in it cannot be used; :func:`error_lines` has the lines to print.
    """
    reader = _Reader(read_dir)
    reader.read_file(text, file, included=False)
    return reader.finish(ports)


def error_lines(error: ConfigError) -> list[str]:
    """What to print about an error: what is wrong, then where, the main file last."""
    return [str(error), *getattr(error, "__notes__", ())]


class _Place:
    """Where the reader is in one file.

    Attributes:
        listener: the listener that options belong to; ``None`` above the first one.
    """

    __slots__ = ("file", "included", "line", "listener")

    def __init__(self, file: str, included: bool) -> None:
        self.file = file
        self.included = included
        self.line = 0
        self.listener: ListenerSettings | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class _Reader:
    """Everything that was read so far."""

    def __init__(self, read_dir: ReadDir | None) -> None:
        self._read_dir = read_dir
        self.settings = Settings()
        self.listeners: list[ListenerSettings] = []
        self.messages: list[tuple[str, str]] = []
        self._local_only = True
        self._default: ListenerSettings | None = None
        self._default_port_given = False
        self._per_listener = False
        self._security_seen = False
        self._destinations: set[str] | None = None
        self._types: set[str] | None = None
        # Options with a text may stand only once for what they belong to.
        self._texts: set[tuple[int, str]] = set()
        # What was said of the default listener, which there may never be.
        self._of_default: list[tuple[str, str]] = []

    # -- files and lines -----------------------------------------------------------------------

    def read_file(self, text: str, file: str, included: bool) -> None:
        """Read one file.

        Raises:
            ConfigError: with the places as notes, that of this file last.
        """
        place = _Place(file, included)
        for raw in text.split("\n"):
            place.line += 1
            raw = raw.rstrip("\r")
            if raw.startswith("#"):
                continue
            line = Line(raw)
            name = line.word()
            if name is None:
                continue
            try:
                self._read_option(name, line, place)
            except Fault as fault:
                error = ConfigError(str(fault), file, place.line)
                quoted = f"'{place}'" if included else str(place)
                error.add_note(f"Error found at {quoted}.")
                raise error from None
            except ConfigError as error:  # from an included file
                error.add_note(f"Error found at {place}.")
                raise

    def _read_option(self, name: str, line: Line, place: _Place) -> None:
        option = options.find(name)
        if option is None:
            raise Fault(f"Error: Unknown configuration variable '{name}'.")
        self._check_place(option, name, place)
        if option.deprecated is not None:
            advice = option.deprecated and " " + option.deprecated
            self._say("notice", f"The '{name}' option is now deprecated.{advice}")
        own = _OWN.get(name)
        if own is not None:
            own(self, name, line, place)
        elif option.support != options.WORKS:
            self._unsupported(option, name, line, place)
        else:
            self._set(option, name, line, place)

    def _check_place(self, option: Option, name: str, place: _Place) -> None:
        where = option.place
        if where == options.BRIDGE:
            raise Fault(f"Error: The '{name}' option requires a bridge to be defined first.")
        if where == options.PLUGIN:
            raise Fault(
                f"Error: The '{name}' option requires plugin/global_plugin/plugin_load "
                "to be defined first."
            )
        if place.listener is None and (
            where == options.LISTENER or (where == options.SECURITY and self._per_listener)
        ):
            raise needs_listener(name)
        if where == options.SECURITY:
            self._security_seen = True

    def _set(self, option: Option, name: str, line: Line, place: _Place) -> None:
        """Read the value of an ordinary option and set it."""
        target: Settings | ListenerSettings = self.settings
        if option.place in (options.LISTENER, options.DEFAULT_LISTENER):
            target = self._listener(name, place)
        elif option.place == options.SECURITY and self._per_listener:
            assert place.listener is not None  # _check_place has seen to it
            target = place.listener
            self._note_default(name, place)
        assert option.setting is not None
        setattr(target, option.setting, self._value(option, name, line, target))

    def _value(self, option: Option, name: str, line: Line, owner: object) -> object:
        if option.kind == options.BOOL:
            return read_bool(line, name)
        if option.kind == options.INT:
            return check_int(name, read_int(line, name))
        if option.kind == options.DURATION:
            return read_duration_s(line, name)
        text = read_text(line, name)
        if (id(owner), name) in self._texts:
            raise Fault(f"Error: Duplicate '{name}' value in configuration.")
        self._texts.add((id(owner), name))
        return text

    def _unsupported(self, option: Option, name: str, line: Line, place: _Place) -> None:
        """An option that midge does not act on, which is fine where it changes nothing."""
        if option.place == options.DEFAULT_LISTENER:
            self._listener(name, place)
        if option.kind == options.OWN:
            value: object = line.rest()
        else:
            value = self._value(option, name, line, self)
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        if option.setting is not None:
            setattr(self.settings, option.setting, value)
        if shown == option.default:
            return
        if option.support == options.LATER:
            raise unsupported(name)
        self._say("warning", f"Warning: The '{name}' option is not used by midge ({place}).")

    # -- listeners -----------------------------------------------------------------------------

    def _listener(self, name: str, place: _Place) -> ListenerSettings:
        """The listener that an option belongs to, the default one if there is none yet."""
        if place.listener is None:
            place.listener = self._make_default(name)
        self._note_default(name, place)
        return place.listener

    def _make_default(self, name: str) -> ListenerSettings:
        if self._default is None:
            self._say("information", f"Creating default listener due to '{name}' option.")
            self._say(
                "information",
                "It is best practice to define a 'listener' first. Using the "
                f"'{name}' option without a listener will be disabled in the future.",
            )
            self._default = ListenerSettings()
            self.listeners.append(self._default)
        return self._default

    def _note_default(self, name: str, place: _Place) -> None:
        if place.listener is self._default:
            self._of_default.append((name, str(place)))

    def read_listener(self, name: str, line: Line, place: _Place) -> None:
        """``listener PORT [ADDRESS]``, ``listener 0 PATH``."""
        self._local_only = False
        port = read_int(line, "listener port")
        if not 0 <= port <= 65_535:
            raise invalid("port", port)
        address = line.word()
        if address is not None and address.startswith("#"):
            address = None
        if port == 0:
            if address is None:
                raise Fault("Error: A listener with port 0 must provide a Unix socket path.")
            place.listener = ListenerSettings(port=0, unix_path=address)
        else:
            place.listener = ListenerSettings(port=port, host=address)
        self.listeners.append(place.listener)

    def read_port(self, name: str, line: Line, place: _Place) -> None:
        """``port PORT``, of the default listener."""
        self._local_only = False
        place.listener = self._make_default(name)
        if self._default_port_given:
            self._say(
                "warning",
                "Warning: Default listener port specified multiple times. "
                "Only the latest will be used.",
            )
        port = read_int(line, name)
        if not 1 <= port <= 65_535:
            raise invalid(name, port)
        self._default_port_given = True
        place.listener.port = port

    def read_bind_address(self, name: str, line: Line, place: _Place) -> None:
        """``bind_address ADDRESS``, of the default listener."""
        self._local_only = False
        place.listener = self._make_default(name)
        if place.listener.host is not None:
            raise Fault("Error: Duplicate 'default listener bind_address' value in configuration.")
        place.listener.host = read_text(line, "default listener bind_address")

    def read_protocol(self, name: str, line: Line, place: _Place) -> None:
        """``protocol mqtt``."""
        self._listener(name, place)
        protocol = read_word(line, name)
        if protocol in ("websockets", "http_api"):
            raise unsupported(f"{name} {protocol}")
        if protocol != "mqtt":
            raise invalid(name, protocol)

    def read_socket_domain(self, name: str, line: Line, place: _Place) -> None:
        """``socket_domain ipv4|ipv6``."""
        listener = self._listener(name, place)
        domain = read_word(line, name)
        if domain not in ("ipv4", "ipv6"):
            raise Fault(f"Error: Invalid '{name}' value '{domain}' in configuration.")
        listener.socket_domain = domain

    def read_versions(self, name: str, line: Line, place: _Place) -> None:
        """``accept_protocol_versions 3,4,5``."""
        listener = place.listener
        if listener is None or listener is self._default:
            raise needs_listener(name)
        words = (line.rest() or "").replace(",", " ").split()
        if not words:
            raise empty(name)
        listener.protocol_versions = frozenset(
            _VERSIONS[word] for word in words if word in _VERSIONS
        )
        if not listener.protocol_versions:
            self._say(
                "warning", f"Warning: '{name}' names no version, so nobody can connect ({place})."
            )

    # -- security ------------------------------------------------------------------------------

    def read_per_listener(self, name: str, line: Line, place: _Place) -> None:
        """``per_listener_settings true``."""
        if self._per_listener:
            return  # it stays as it was said first
        self._per_listener = read_bool(line, name)
        self.settings.per_listener_settings = self._per_listener
        if self._per_listener and self._security_seen:
            raise Fault(
                "Error: per_listener_settings must be set before any other security settings."
            )

    def read_allow_anonymous(self, name: str, line: Line, place: _Place) -> None:
        """``allow_anonymous true|false``."""
        if self._per_listener:
            self._say(
                "notice",
                f"You are using the '{name}' option with 'per_listener_settings true'. "
                "Please replace this with 'listener_allow_anonymous'.",
            )
        self._set(options.OPTIONS[name], name, line, place)

    def read_http_form(self, name: str, line: Line, place: _Place) -> None:
        """``http_auth_params form|json``, ``http_auth_response status|json|text``."""
        value = read_word(line, name)
        if value not in (("form", "json") if name.endswith("params") else _RESPONSES):
            raise invalid(name, value)
        owner = place.listener if self._per_listener else self.settings
        setattr(owner, name, value)

    def read_sync(self, name: str, line: Line, place: _Place) -> None:
        """``persistence_sync full|normal|off``."""
        value = read_word(line, name)
        if value not in ("full", "normal", "off"):
            raise invalid(name, value)
        self.settings.persistence_sync = value

    def read_id_prefix(self, name: str, line: Line, place: _Place) -> None:
        """``auto_id_prefix TEXT``, ``listener_auto_id_prefix TEXT``."""
        shown = name if name == "auto_id_prefix" else f"'{name}'"
        owner: Settings | ListenerSettings = self.settings
        if name != "auto_id_prefix" or self._per_listener:
            owner = self._listener(name, place)
        prefix = str(self._value(options.OPTIONS[name], name, line, owner))
        owner.auto_id_prefix = check_prefix(name, shown, prefix)

    # -- the log -------------------------------------------------------------------------------

    def read_log_dest(self, name: str, line: Line, place: _Place) -> None:
        """``log_dest stdout|stderr|syslog|topic|none|file PATH``, any number of times."""
        destination = read_word(line, name)
        if self._destinations is None:
            self._destinations = set()
        if destination == "none":
            self._destinations.clear()
        elif destination in ("stdout", "stderr", "syslog", "topic"):
            self._destinations.add(destination)
        elif destination == "file":
            if self.settings.log_file is not None:
                raise Fault('Error: Duplicate "log_dest file" value.')
            path = line.rest()
            if path is None:
                raise Fault('Error: Empty "log_dest file" value in configuration.')
            self.settings.log_file = path
            self._destinations.add(destination)
        elif destination == "dlt":
            raise unsupported(f"{name} {destination}")
        else:
            raise invalid(name, destination)

    def read_log_format(self, name: str, line: Line, place: _Place) -> None:
        """``log_format text|json``."""
        form = read_word(line, name)
        if form not in ("text", "json"):
            raise invalid(name, form)
        self.settings.log_format = form

    def read_log_type(self, name: str, line: Line, place: _Place) -> None:
        """``log_type TYPE``, any number of times."""
        kind = read_word(line, name)
        if self._types is None:
            self._types = set()
        if kind == "none":
            self._types.clear()
        elif kind == "all":
            self._types.update(_LOG_TYPES)
        elif kind in _LOG_TYPES:
            self._types.add(kind)
        else:
            raise invalid(name, kind)

    # -- others --------------------------------------------------------------------------------

    def read_include_dir(self, name: str, line: Line, place: _Place) -> None:
        """``include_dir PATH``."""
        if place.included:
            raise Fault(
                "Error: The include_dir option is only valid in the main configuration file."
            )
        directory = line.rest()
        if directory is None:
            raise empty(name)
        try:
            files = [] if self._read_dir is None else self._read_dir(directory)
        except OSError as error:
            if error.filename in (None, directory):
                raise Fault(f"Error: Unable to open include_dir '{directory}'.") from None
            raise Fault(f"Error: Unable to open config file '{error.filename}'.") from None
        for path, text in sorted(files, key=_file_order):
            self._say("information", f"Loading config file '{path}'")
            self.read_file(text, path, included=True)

    def read_user(self, name: str, line: Line, place: _Place) -> None:
        """``user NAME``; the last one counts."""
        self.settings.user = read_text(line, name)

    def read_message_size_limit(self, name: str, line: Line, place: _Place) -> None:
        """``message_size_limit BYTES``."""
        self._say(
            "notice",
            "Note: It is recommended to replace `message_size_limit` with `max_packet_size`.",
        )
        self._set(options.OPTIONS[name], name, line, place)

    def read_retry_interval(self, name: str, line: Line, place: _Place) -> None:
        """``retry_interval``, which is no more."""
        self._say("warning", f"Warning: The '{name}' option is no longer available.")

    def read_dhparamfile(self, name: str, line: Line, place: _Place) -> None:
        """``dhparamfile``, which is no more."""
        self._say("warning", f"Warning: {name} is no longer required.")

    # -- the end -------------------------------------------------------------------------------

    def finish(self, ports: tuple[int, ...]) -> Configuration:
        """Put together what was read, and say what had no effect."""
        settings = self.settings
        if self._destinations is not None:
            settings.log_destinations = frozenset(self._destinations)
        settings.log_types = LOG_TYPES_DEFAULT if self._types is None else frozenset(self._types)
        if self._local_only:
            for name, where in self._of_default:
                self._say(
                    "warning",
                    f"Warning: The '{name}' option has no effect ({where}): there is no "
                    "'listener' that it could belong to.",
                )
            self.listeners = local_listeners(ports)
        elif self._per_listener:
            for listener in self.listeners:
                if listener.allow_anonymous is None:
                    listener.allow_anonymous = False
        elif settings.allow_anonymous is None:
            settings.allow_anonymous = False
        return Configuration(
            settings=settings,
            listeners=self.listeners,
            local_only=self._local_only,
            messages=self.messages,
        )

    def _say(self, kind: str, text: str) -> None:
        self.messages.append((kind, text))


#: Options with a form or an effect of their own.
_OWN: Final[dict[str, Callable[[_Reader, str, Line, _Place], None]]] = {
    "accept_protocol_versions": _Reader.read_versions,
    "allow_anonymous": _Reader.read_allow_anonymous,
    "auto_id_prefix": _Reader.read_id_prefix,
    "bind_address": _Reader.read_bind_address,
    "dhparamfile": _Reader.read_dhparamfile,
    "http_auth_params": _Reader.read_http_form,
    "persistence_sync": _Reader.read_sync,
    "http_auth_response": _Reader.read_http_form,
    "include_dir": _Reader.read_include_dir,
    "listener": _Reader.read_listener,
    "listener_auto_id_prefix": _Reader.read_id_prefix,
    "log_dest": _Reader.read_log_dest,
    "log_format": _Reader.read_log_format,
    "log_type": _Reader.read_log_type,
    "message_size_limit": _Reader.read_message_size_limit,
    "per_listener_settings": _Reader.read_per_listener,
    "port": _Reader.read_port,
    "protocol": _Reader.read_protocol,
    "retry_interval": _Reader.read_retry_interval,
    "socket_domain": _Reader.read_socket_domain,
    "user": _Reader.read_user,
}


def _file_order(file: tuple[str, str]) -> tuple[list[tuple[str, str]], str]:
    """Files are read in the order of their names, letters without regard to case first."""
    path = file[0]
    return [(letter.upper(), letter) for letter in path], path
