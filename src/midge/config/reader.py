"""Takes options one by one, as a file or the environment gives them, and makes settings of them.

It does what all sources have in common: it finds the option in the registry and what it belongs
to, reads and sets its value, and notes where it came from. Options with a form or an effect of
their own are read by ``forms`` and ``bridge_forms``; what can only be judged when everything was
read is judged by ``checks``. Errors and notices have Mosquitto's words.

Where an option belongs to a listener, it is the one above it in the same file; some options make
the *default listener* (all addresses, port 1883) when there is none. Without any ``listener``,
``port`` or ``bind_address``, the broker listens on loopback only, with the defaults of a listener,
whatever a file said of one.

Mosquitto's options that midge does not act on are never passed over in silence: with a value other
than the default, such an option is an error, or a warning where no client could notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from midge.config import checks, options
from midge.config.bridges import BridgeSettings
from midge.config.options import Option
from midge.config.plugins import PluginSettings
from midge.config.settings import (
    GENERAL_ORIGIN,
    LOG_TYPES_DEFAULT,
    Configuration,
    ListenerSettings,
    Settings,
    local_listeners,
    ports_origin,
)
from midge.config.values import (
    Fault,
    Line,
    check_int,
    needs_listener,
    read_bool,
    read_duration_s,
    read_int,
    read_text,
    readable,
    unsupported,
)
from midge.errors import ConfigError

if TYPE_CHECKING:
    from midge.config.place import Place, Where

#: Given a directory: the path and the text of each file there whose name ends in ``.conf``, in any
#: order. Bytes that are not UTF-8 should come as surrogates (``errors="surrogateescape"``). May
#: raise OSError, with the path of a file or of the directory.
ReadDir: TypeAlias = Callable[[str], list[tuple[str, str]]]

#: What an option can belong to.
Owner: TypeAlias = Settings | ListenerSettings | BridgeSettings | PluginSettings

#: Options that speak of the default listener, whatever stands above them.
_OF_DEFAULT: Final = frozenset({"bind_address", "port"})
#: Texts of which the last one counts; any other may stand only once for what it belongs to.
_LAST_COUNTS: Final = frozenset(
    {
        *("acl_file", "password_file", "psk_file", "clientid_prefixes", "mount_point", "user"),
        *("cafile", "capath", "certfile", "keyfile", "ciphers", "ciphers_tls1.3", "crlfile"),
        *("tls_keyform", "tls_engine_kpass_sha1", "bridge_keyfile"),
    }
)
#: What errors call some options of a bridge.
_SHOWN: Final = {
    "clientid": "bridge remote clientid",
    "local_clientid": "bridge local clientid",
    "local_password": "bridge local_password",
    "local_username": "bridge local_username",
    "password": "bridge remote_password",
    "remote_clientid": "bridge remote clientid",
    "remote_password": "bridge remote_password",
    "remote_username": "bridge remote_username",
    "username": "bridge remote_username",
}


class Given:
    """An option as it was given.

    Attributes:
        option: the option.
        name: the name it was given by.
        line: its value.
        place: where.
        owner: what it belongs to.
    """

    __slots__ = ("line", "name", "option", "owner", "place")

    def __init__(self, option: Option, name: str, line: Line, place: Place, owner: Owner) -> None:
        self.option = option
        self.name = name
        self.line = line
        self.place = place
        self.owner = owner


#: Reads an option and does what it says.
Form: TypeAlias = "Callable[[Reader, Given], None]"


class Reader:
    """Everything that was read so far.

    Args:
        forms: what reads the options with a form or an effect of their own, by their names.
        read_dir: reads the files of an ``include_dir``.
        faults: where errors go, so that reading goes on behind one; ``None``: the first is raised.

    Attributes:
        settings: those of the whole broker.
        listeners, bridges, plugins: what was defined, in its order.
        messages: what there is to say, with its log type.
        local_only: no listener was asked for.
        default: the default listener; ``None`` where there is none.
        local: what the environment says of the listeners on loopback; ``None`` for nothing.
        per_listener: security options belong to listeners.
        security_seen: there was a security option.
        log_destinations, log_types: what was given; ``None`` for nothing.
        origins: where each option came from that belongs to something.
    """

    def __init__(
        self,
        forms: Mapping[str, Form],
        read_dir: ReadDir | None,
        faults: list[ConfigError] | None = None,
    ) -> None:
        self._forms = forms
        self.read_dir = read_dir
        self.faults = faults
        self.settings = Settings()
        self.listeners: list[ListenerSettings] = []
        self.bridges: list[BridgeSettings] = []
        self.plugins: list[PluginSettings] = []
        self.messages: list[tuple[str, str]] = []
        self.local_only = True
        self.default: ListenerSettings | None = None
        self.local: ListenerSettings | None = None
        self.default_port_given = False
        self.per_listener = False
        self.security_seen = False
        self.log_destinations: set[str] | None = None
        self.log_types: set[str] | None = None
        # By the id of the owner, which the lists above keep alive, and the option's present name.
        self.origins: dict[tuple[int, str], Where] = {}
        self._texts: set[tuple[int, str]] = set()
        self._stand_ins: list[Owner] = []

    # -- one option ----------------------------------------------------------------------------

    def read(self, name: str, line: Line, place: Place) -> None:
        """Take an option.

        Raises:
            ConfigError: it cannot be used, and errors are not collected.
        """
        try:
            self._read(name, line, place)
        except Fault as fault:
            self.refuse(fault, place.where)
            self._stand_in(name, place)

    def refuse(self, fault: Fault, where: Where | None) -> None:
        """Raise an error, or collect it.

        Raises:
            ConfigError: errors are not collected.
        """
        error = ConfigError(
            readable(str(fault)),
            None if where is None else where.file,
            None if where is None or where.file is None else where.line,
        )
        for note in () if where is None else where.notes():
            error.add_note(readable(note))
        if self.faults is None:
            raise error from None
        self.faults.append(error)

    def say(self, kind: str, text: str) -> None:
        """Note a line for the log."""
        self.messages.append((kind, readable(text)))

    def _read(self, name: str, line: Line, place: Place) -> None:
        option = options.find(name)
        if option is None:
            _unknown(name)
        if option.deprecated is not None and name not in options.SILENTLY_DEPRECATED:
            advice = option.deprecated and " " + option.deprecated
            self.say(
                "notice",
                f"The '{name}' option is now deprecated and will be removed in version 3.0 of "
                f"Mosquitto.{advice}",
            )
        given = Given(option, name, line, place, self._owner(option, name, place))
        form = self._forms.get(option.name)
        try:
            if form is None:
                self.set(given)
            else:
                form(self, given)
        finally:  # where errors are collected, more may be wrong with what it belongs to
            self.origins[(id(given.owner), option.alias_of or option.name)] = place.where

    def _owner(self, option: Option, name: str, place: Place) -> Owner:
        """What an option belongs to."""
        where = option.place
        if where == options.BRIDGE:
            if place.bridge is None:
                raise Fault(f"Error: The '{name}' option requires a bridge to be defined first.")
            return place.bridge
        if where == options.PLUGIN:
            if place.plugin is None:
                raise _needs_plugin(name)
            return place.plugin
        if where == options.SECURITY:
            if self.per_listener and place.listener is None:
                raise needs_listener(name)
            self.security_seen = True
        if where == options.GENERAL or (where == options.SECURITY and not self.per_listener):
            return self.settings
        if name in _OF_DEFAULT:
            self.local_only = False
            place.listener = self._make_default(name)
        elif place.listener is None:
            if where == options.LISTENER:
                raise needs_listener(name)
            place.listener = self._make_default(name)
        assert place.listener is not None
        return place.listener

    def _make_default(self, name: str) -> ListenerSettings:
        if self.default is None:
            self.say("information", f"Creating default listener due to '{name}' option.")
            self.say(
                "information",
                "It is best practice to define a 'listener' first. Using the "
                f"'{name}' option without a listener will be disabled in the future.",
            )
            self.default = ListenerSettings()
            self.listeners.append(self.default)
        return self.default

    def _stand_in(self, name: str, place: Place) -> None:
        """Behind a definition that failed, its options still belong to something."""
        if name == "listener":
            place.listener = ListenerSettings()
            self._stand_ins.append(place.listener)
        elif name == "connection":
            place.bridge = BridgeSettings(name="")
            self._stand_ins.append(place.bridge)
        elif name in ("plugin", "auth_plugin", "global_plugin", "plugin_load", "plugin_use"):
            place.plugin = PluginSettings(path="")
            self._stand_ins.append(place.plugin)

    # -- ordinary options ----------------------------------------------------------------------

    def set(self, given: Given) -> None:
        """Read the value of an option, set it, and see whether midge acts on it."""
        value = self.value(given)
        option = given.option
        if option.setting is not None:
            self.assign(given, option.setting, value)
        self.check_support(given, value)

    def check_support(self, given: Given, value: object) -> None:
        """Refuse a value that midge does not act on, or say that it does not."""
        option = given.option
        if option.support == options.WORKS or option.place in (options.BRIDGE, options.PLUGIN):
            return  # bridges and plugins are refused as a whole, when all was read
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        if shown == option.default:
            return
        if option.support == options.LATER:
            raise unsupported(given.name)
        self.say(
            "warning",
            f"Warning: The '{given.name}' option is not used by midge ({given.place.where}).",
        )

    def value(self, given: Given) -> object:
        """The value of an option of one of the common kinds."""
        option, name, line = given.option, given.name, given.line
        if option.kind == options.BOOL:
            return read_bool(line, name)
        if option.kind == options.INT:
            return check_int(name, read_int(line, name))
        if option.kind == options.DURATION:
            return read_duration_s(line, name)
        shown = _SHOWN.get(name, name)
        text = read_text(line, shown)
        key = (id(given.owner), option.setting or name)
        if key in self._texts and given.place.where.variable is None and name not in _LAST_COUNTS:
            raise Fault(f"Error: Duplicate '{shown}' value in configuration.")
        self._texts.add(key)
        return text

    def assign(self, given: Given, setting: str, value: object) -> None:
        """Set something, and say so when what was said of it before has no effect for it."""
        owner, where = given.owner, given.place.where
        old = self.origins.get((id(owner), given.option.alias_of or given.option.name))
        if old is not None and where.variable is None and getattr(owner, setting) != value:
            self.say(
                "warning",
                f"Warning: The '{given.name}' option has no effect ({old}): it is set again "
                f"({where}).",
            )
        setattr(owner, setting, value)

    # -- the end -------------------------------------------------------------------------------

    def finish(self, ports: tuple[int, ...]) -> Configuration:
        """Put together what was read.

        Args:
            ports: those of the command line. They count only where there is no listener.

        Raises:
            ConfigError: what was read does not go together, and errors are not collected.
        """
        settings = self.settings
        if self.log_destinations is not None:
            settings.log_destinations = frozenset(self.log_destinations)
        if "file" not in settings.log_destinations:
            settings.log_file = None
        settings.log_types = (
            LOG_TYPES_DEFAULT if self.log_types is None else frozenset(self.log_types)
        )
        self._merge_default()
        checks.check(self)
        if self.local_only:
            self.listeners = local_listeners(ports)
            if self.local is not None:
                self.listeners = [
                    replace(self.local, host=each.host, port=each.port) for each in self.listeners
                ]
        elif self.per_listener:
            for listener in self.listeners:
                if listener.allow_anonymous is None:
                    listener.allow_anonymous = False
        elif settings.allow_anonymous is None:
            settings.allow_anonymous = False
        return Configuration(
            settings=settings,
            listeners=self.listeners,
            local_only=self.local_only,
            messages=self.messages,
            origins=self._origins(bool(ports)),
        )

    def _merge_default(self) -> None:
        """Give up a default listener that nothing was said of, where a listener takes its port.

        Configurations for Mosquitto 2.0 often begin with ``protocol mqtt``, which changed nothing
        there. In 2.1 it makes a listener on port 1883, and a ``listener 1883`` below it fails.
        """
        default = self.default
        if default is None or self.default_port_given or default != ListenerSettings():
            return
        others = [listener for listener in self.listeners if listener is not default]
        if any(it.port == default.port for it in others):
            self.listeners = others

    def where(self, owner: Owner, name: str) -> Where | None:
        """Where an option of ``owner`` was given; ``None`` where it was not."""
        return self.origins.get((id(owner), name))

    def _origins(self, from_ports: bool) -> dict[tuple[int, str], str]:
        index: dict[int, tuple[int, ...]] = {
            id(listener): (number,) for number, listener in enumerate(self.listeners)
        }
        index[id(self.settings)] = (GENERAL_ORIGIN,)
        if self.local is not None:
            index[id(self.local)] = tuple(range(len(self.listeners)))
        found = {
            (number, name): readable(str(where))
            for (owner, name), where in self.origins.items()
            for number in index.get(owner, ())
        }
        if self.local_only and from_ports:
            found.update(ports_origin(self.listeners))
        return found


def _unknown(name: str) -> NoReturn:
    near = options.nearest(name)
    hint = f" Did you mean '{near}'?" if near is not None else ""
    raise Fault(f"Error: Unknown configuration variable '{name}'.{hint}")


def _needs_plugin(name: str) -> Fault:
    if name == "auth_plugin_deny_special_chars":
        return Fault(f"Error: An {name} option exists in the config file without a plugin.")
    return Fault(
        f"Error: The '{name}' option requires plugin/global_plugin/plugin_load to be defined first."
    )
