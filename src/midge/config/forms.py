"""Reads the options with a form or an effect of their own, those of bridges excepted.

Each function here reads the value of one option, or of a few that are alike, and does to the reader
what it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.config.place import Place, Where
from midge.config.plugins import PluginSettings
from midge.config.queue_settings import name_fault, parse_queue
from midge.config.settings import ListenerSettings, Settings
from midge.config.values import (
    Fault,
    Line,
    check_int,
    check_prefix,
    empty,
    invalid,
    needs_listener,
    read_bool,
    read_int,
    read_text,
    read_word,
    unsupported,
)
from midge.errors import ConfigError
from midge.topics.names import is_topic

if TYPE_CHECKING:
    from midge.config.reader import Form, Given, Reader

_LOG_TYPES: Final = (
    *("information", "notice", "warning", "error", "debug"),
    *("subscribe", "unsubscribe", "internal", "websockets"),
)
_VERSIONS: Final = {"3": 3, "4": 4, "5": 5}
#: The options that take one of a few words, and these.
_WORDS: Final = {
    "http_auth_params": ("form", "json"),
    "http_auth_response": ("status", "json", "text"),
    "log_format": ("text", "json"),
    "persistence_sync": ("full", "normal", "off"),
}

# -- listeners ---------------------------------------------------------------------------------


def _listener(reader: Reader, given: Given) -> None:
    """``listener PORT [ADDRESS]``, ``listener 0 PATH``."""
    reader.local_only = False
    port = read_int(given.line, "listener port")
    if not 0 <= port <= 65_535:
        raise invalid("port", port)
    address = given.line.word()
    if address is not None and address.startswith("#"):
        address = None
    if port == 0:
        if address is None:
            raise Fault("Error: A listener with port 0 must provide a Unix socket path.")
        listener = ListenerSettings(port=0, unix_path=address)
    else:
        listener = ListenerSettings(port=port, host=address)
    reader.listeners.append(listener)
    given.place.listener = given.owner = listener


def _port(reader: Reader, given: Given) -> None:
    """``port PORT``, of the default listener."""
    if reader.default_port_given:
        reader.say(
            "warning",
            "Warning: Default listener port specified multiple times. "
            "Only the latest will be used.",
        )
    port = read_int(given.line, given.name)
    if not 1 <= port <= 65_535:
        raise invalid(given.name, port)
    reader.default_port_given = True
    assert isinstance(given.owner, ListenerSettings)
    given.owner.port = port


def _bind_address(reader: Reader, given: Given) -> None:
    """``bind_address ADDRESS``, of the default listener."""
    shown = f"default listener {given.name}"
    assert isinstance(given.owner, ListenerSettings)
    if given.owner.host is not None and given.place.where.variable is None:
        raise Fault(f"Error: Duplicate '{shown}' value in configuration.")
    given.owner.host = read_text(given.line, shown)


def _protocol(reader: Reader, given: Given) -> None:
    """``protocol mqtt``."""
    protocol = read_word(given.line, given.name)
    if protocol not in ("mqtt", "websockets", "http_api", "zmtp"):
        raise invalid(given.name, protocol)
    reader.assign(given, "protocol", protocol)


def _mechanism(reader: Reader, given: Given) -> None:
    """``zmtp_mechanism null|plain|curve``."""
    if given.owner is reader.default:
        raise needs_listener(given.name)
    mechanism = read_word(given.line, given.name)
    if mechanism not in ("null", "plain", "curve"):
        raise invalid(given.name, mechanism)
    reader.assign(given, "zmtp_mechanism", mechanism)


def _zmtp_queue(reader: Reader, given: Given) -> None:
    """``zmtp_queue NAME``."""
    name = reader.value(given)
    assert isinstance(name, str)
    if name_fault(name):
        raise invalid(given.name, name)
    reader.assign(given, "zmtp_queue", name)


def _user_queue(reader: Reader, given: Given) -> None:
    """``zmtp_user_queue USER QUEUE``, any number of times."""
    if given.owner is reader.default:
        raise needs_listener(given.name)
    assert isinstance(given.owner, ListenerSettings)
    text = read_text(given.line, given.name)
    user, _, queue = text.rpartition(" ")
    if not user.strip() or name_fault(queue):
        raise invalid(given.name, text)
    given.owner.zmtp_user_queues = (*given.owner.zmtp_user_queues, text)


def _queue(reader: Reader, given: Given) -> None:
    """``queue NAME [from FILTER]... [SETTING=VALUE]...``, any number of times."""
    text = read_text(given.line, given.name)
    try:
        name, _ = parse_queue(text)
    except ConfigError as error:
        raise Fault(f"Error: Invalid '{given.name}' value ({text}): {error}.") from None
    queues = reader.settings.queues
    if any(line.split(" ", 1)[0] == name for line in queues):
        raise Fault(f"Error: Duplicate '{given.name}' value in configuration ({name}).")
    reader.settings.queues = (*queues, text)


def _socket_domain(reader: Reader, given: Given) -> None:
    """``socket_domain ipv4|ipv6``."""
    domain = read_word(given.line, given.name)
    if domain not in ("ipv4", "ipv6"):
        raise Fault(f"Error: Invalid '{given.name}' value '{domain}' in configuration.")
    reader.assign(given, "socket_domain", domain)


def _versions(reader: Reader, given: Given) -> None:
    """``accept_protocol_versions 3,4,5``."""
    if given.owner is reader.default:
        raise needs_listener(given.name)
    words = (given.line.rest() or "").replace(",", " ").split()
    if not words:
        raise empty(given.name)
    versions = frozenset(_VERSIONS[word] for word in words if word in _VERSIONS)
    reader.assign(given, "protocol_versions", versions)
    if not versions:
        reader.say(
            "warning",
            f"Warning: '{given.name}' names no version, so nobody can connect "
            f"({given.place.where}).",
        )


def _mount_point(reader: Reader, given: Given) -> None:
    """``mount_point TOPIC``."""
    prefix = read_text(given.line, given.name)
    if not is_topic(prefix):
        raise Fault(
            f"Error: Invalid 'mount_point' value ({prefix}). Does it contain a wildcard character?"
        )
    reader.assign(given, "mount_point", prefix)
    reader.check_support(given, prefix)


def _proxy_protocol(reader: Reader, given: Given) -> None:
    """``enable_proxy_protocol 1|2``."""
    version = read_int(given.line, given.name)
    if version not in (1, 2):
        raise Fault("Error: enable_proxy_protocol must be 1 or 2.")
    reader.assign(given, "proxy_protocol", version)
    reader.check_support(given, version)


def _certificate(reader: Reader, given: Given) -> None:
    """``cafile FILE``, ``certfile FILE``."""
    assert isinstance(given.owner, ListenerSettings)
    if given.owner.psk_hint is not None:
        raise _psk_and_certificate()
    reader.set(given)


def _psk_file(reader: Reader, given: Given) -> None:
    """``psk_file FILE``."""
    listener = given.place.listener
    if listener is not None and listener.certfile is not None:
        raise _psk_and_certificate()
    reader.set(given)


def _psk_and_certificate() -> Fault:
    return Fault("Error: Cannot use both certificate and psk encryption in a single listener.")


def _origin(reader: Reader, given: Given) -> None:
    """``websockets_origin ORIGIN``, any number of times."""
    assert isinstance(given.owner, ListenerSettings)
    origin = read_text(given.line, given.name)
    given.owner.websockets_origins = (*given.owner.websockets_origins, origin)
    reader.check_support(given, origin)


# -- security ----------------------------------------------------------------------------------


def _per_listener(reader: Reader, given: Given) -> None:
    """``per_listener_settings true``."""
    if reader.per_listener:
        if given.line.word() not in ("true", "1"):
            reader.say(
                "warning",
                f"Warning: The '{given.name}' option has no effect ({given.place.where}): once it "
                "is true, it stays so.",
            )
        return
    reader.per_listener = read_bool(given.line, given.name)
    reader.settings.per_listener_settings = reader.per_listener
    if reader.per_listener and reader.security_seen:
        raise Fault("Error: per_listener_settings must be set before any other security settings.")


def _allow_anonymous(reader: Reader, given: Given) -> None:
    """``allow_anonymous true|false``."""
    if reader.per_listener:
        reader.say(
            "notice",
            f"You are using the '{given.name}' option with 'per_listener_settings true'. "
            "Please replace this with 'listener_allow_anonymous'.",
        )
    reader.set(given)


def _id_prefix(reader: Reader, given: Given) -> None:
    """``auto_id_prefix TEXT``, ``listener_auto_id_prefix TEXT``."""
    name = given.name
    prefix = str(reader.value(given))
    check_prefix(name, name if name == "auto_id_prefix" else f"'{name}'", prefix)
    reader.assign(given, "auto_id_prefix", prefix)


# -- the log -----------------------------------------------------------------------------------


def _log_dest(reader: Reader, given: Given) -> None:
    """``log_dest stdout|stderr|syslog|topic|none|file PATH``, any number of times."""
    destination = read_word(given.line, given.name)
    destinations = set() if reader.log_destinations is None else reader.log_destinations
    if destination == "none":
        destinations.clear()
    elif destination in ("stdout", "stderr", "syslog", "topic"):
        destinations.add(destination)
    elif destination == "file":
        if reader.settings.log_file is not None and given.place.where.variable is None:
            raise Fault('Error: Duplicate "log_dest file" value.')
        path = given.line.rest()
        if path is None:
            raise Fault('Error: Empty "log_dest file" value in configuration.')
        reader.settings.log_file = path
        destinations.add(destination)
    elif destination == "dlt":
        raise unsupported(f"{given.name} {destination}")
    else:
        raise invalid(given.name, destination)
    reader.log_destinations = destinations


def _log_type(reader: Reader, given: Given) -> None:
    """``log_type TYPE``, any number of times."""
    kind = read_word(given.line, given.name)
    types = set() if reader.log_types is None else reader.log_types
    if kind == "none":
        types.clear()
    elif kind == "all":
        types.update(_LOG_TYPES)
    elif kind in _LOG_TYPES:
        types.add(kind)
    else:
        raise invalid(given.name, kind)
    reader.log_types = types


# -- plugins -----------------------------------------------------------------------------------


def _plugin(reader: Reader, given: Given) -> None:
    """``plugin PATH``, ``auth_plugin PATH``, ``global_plugin PATH``."""
    path = given.line.rest()
    if path is None:
        raise empty(given.name)
    _add_plugin(reader, given, PluginSettings(path=path, loaded_by=given.name))


def _plugin_load(reader: Reader, given: Given) -> None:
    """``plugin_load NAME PATH``."""
    name = read_word(given.line, given.name)
    if any(plugin.name == name for plugin in reader.plugins):
        raise Fault(f"Error: Duplicate plugin name '{name}'.")
    path = given.line.rest()
    if path is None:
        raise Fault(f"Error: Missing plugin path for plugin name '{name}'.")
    _add_plugin(reader, given, PluginSettings(path=path, loaded_by=given.name, name=name))


def _add_plugin(reader: Reader, given: Given, plugin: PluginSettings) -> None:
    reader.plugins.append(plugin)
    if isinstance(given.owner, Settings | ListenerSettings):
        plugin.owner = given.owner
    given.place.plugin = given.owner = plugin


def _plugin_use(reader: Reader, given: Given) -> None:
    """``plugin_use NAME``."""
    if given.owner is reader.default:
        raise needs_listener(given.name)
    name = read_text(given.line, given.name)
    for plugin in reader.plugins:
        if plugin.name == name:
            given.place.plugin = plugin
            return
    raise Fault(f"Error: Plugin '{name}' not previously loaded.")


def _plugin_option(reader: Reader, given: Given) -> None:
    """``plugin_opt_KEY VALUE``, ``auth_opt_KEY VALUE``."""
    assert isinstance(given.owner, PluginSettings)
    key = given.name.removeprefix("auth_opt_").removeprefix("plugin_opt_")
    if len(key) < 3:
        raise Fault("Error: Invalid 'plugin_opt_' config option.")
    value = given.line.rest()
    if value is None:
        raise empty(key)
    given.owner.options.append((key, value))


# -- others ------------------------------------------------------------------------------------


def _include_dir(reader: Reader, given: Given) -> None:
    """``include_dir PATH``."""
    where = given.place.where
    if where.outer is not None or where.file is None:
        raise Fault("Error: The include_dir option is only valid in the main configuration file.")
    directory = given.line.rest()
    if directory is None:
        raise empty(given.name)
    try:
        files = [] if reader.read_dir is None else reader.read_dir(directory)
    except OSError as error:
        if error.filename in (None, directory):
            raise Fault(f"Error: Unable to open include_dir '{directory}'.") from None
        raise Fault(f"Error: Unable to open config file '{error.filename}'.") from None
    for path, text in sorted(files, key=_file_order):
        reader.say("information", f"Loading config file '{path}'")
        read_lines(reader, text, path, where)


def _file_order(file: tuple[str, str]) -> tuple[list[tuple[str, str]], str]:
    """Files are read in the order of their names, letters without regard to case first."""
    path = file[0]
    return [(letter.upper(), letter) for letter in path], path


def read_lines(reader: Reader, text: str, file: str, outer: Where | None = None) -> None:
    """Read the lines of a configuration file.

    Args:
        reader: takes the options.
        text: the content of the file.
        file: its path, for messages.
        outer: the line whose ``include_dir`` brought it in; ``None`` for the main file.

    Raises:
        ConfigError: one cannot be used, and the reader does not collect errors.
    """
    place = Place(Where(file, 0, outer))
    for number, raw in enumerate(text.split("\n"), 1):
        raw = raw.rstrip("\r")
        if raw.startswith("#"):
            continue
        line = Line(raw)
        name = line.word()
        if name is not None:
            place.where = Where(file, number, outer)
            reader.read(name, line, place)


def _word(reader: Reader, given: Given) -> None:
    """One of a few words."""
    value = read_word(given.line, given.name)
    if value not in _WORDS[given.name]:
        raise invalid(given.name, value)
    assert given.option.setting is not None
    reader.assign(given, given.option.setting, value)


def _message_size_limit(reader: Reader, given: Given) -> None:
    """``message_size_limit BYTES``."""
    reader.say(
        "notice",
        "Note: It is recommended to replace `message_size_limit` with `max_packet_size`.",
    )
    reader.set(given)


def _retain_expiry(reader: Reader, given: Given) -> None:
    """``retain_expiry_interval MINUTES``."""
    minutes = read_int(given.line, given.name)
    if check_int(given.name, minutes) < minutes:
        reader.say("warning", "Warning: retain_expiry_interval being capped at 19 years.")
    reader.assign(given, "retain_expiry_check_min", check_int(given.name, minutes))


def _retry_interval(reader: Reader, given: Given) -> None:
    """``retry_interval``, which is no more."""
    reader.say("warning", f"Warning: The '{given.name}' option is no longer available.")


def _dhparamfile(reader: Reader, given: Given) -> None:
    """``dhparamfile``, which is no more."""
    reader.say("warning", f"Warning: {given.name} is no longer required.")


#: Functions that read options, by the names of these.
FORMS: Final[dict[str, Form]] = {
    "accept_protocol_versions": _versions,
    "allow_anonymous": _allow_anonymous,
    "auth_opt_*": _plugin_option,
    "auth_plugin": _plugin,
    "auto_id_prefix": _id_prefix,
    "bind_address": _bind_address,
    "cafile": _certificate,
    "certfile": _certificate,
    "dhparamfile": _dhparamfile,
    "enable_proxy_protocol": _proxy_protocol,
    "global_plugin": _plugin,
    "include_dir": _include_dir,
    "listener": _listener,
    "listener_auto_id_prefix": _id_prefix,
    "log_dest": _log_dest,
    "log_type": _log_type,
    "message_size_limit": _message_size_limit,
    "mount_point": _mount_point,
    "per_listener_settings": _per_listener,
    "plugin": _plugin,
    "plugin_load": _plugin_load,
    "plugin_opt_*": _plugin_option,
    "plugin_use": _plugin_use,
    "port": _port,
    "protocol": _protocol,
    "psk_file": _psk_file,
    "queue": _queue,
    "retain_expiry_interval": _retain_expiry,
    "retry_interval": _retry_interval,
    "socket_domain": _socket_domain,
    "websockets_origin": _origin,
    "zmtp_mechanism": _mechanism,
    "zmtp_queue": _zmtp_queue,
    "zmtp_user_queue": _user_queue,
    **dict.fromkeys(_WORDS, _word),
}
