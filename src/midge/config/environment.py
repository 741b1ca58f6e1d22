"""Takes options from the environment: ``MIDGE_MAX_KEEPALIVE=60`` is ``max_keepalive 60``.

The environment is read behind the file, as if it were one more, and outweighs it. An option of a
listener goes to the one that the environment itself defines (``MIDGE_LISTENER``, ``MIDGE_PORT``,
``MIDGE_BIND_ADDRESS``), else to the default listener of the file, else, where nobody defined any,
to those on loopback. An option that may stand in several lines has its values separated by commas,
and they replace those of the file. An empty variable is as good as none.

A name that is no option is an error, because a mistyped ``MIDGE_ALLOW_ANONYMOUS`` must not go
unnoticed. Bridges and plugins cannot be defined here: they are more than single values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from midge.config import options
from midge.config.options import OPTIONS
from midge.config.place import Place, Where
from midge.config.settings import ListenerSettings
from midge.config.values import Fault, Line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midge.config.options import Option
    from midge.config.reader import Reader

PREFIX: Final = "MIDGE_"
#: Mosquitto's one variable, which also outweighs its file.
MOSQUITTO: Final = "MOSQUITTO_PERSISTENCE_LOCATION"
#: Options with several values.
REPEATED: Final = frozenset(
    {"log_dest", "log_type", "queue", "websockets_origin", "zmtp_user_queue"}
)

#: Variables that are no options: of the package itself, and of its tests.
_OTHERS: Final = re.compile(r"MIDGE_(PURE|TEST_.*)")
#: Kubernetes and Docker tell about a service called "midge" in such variables, unasked.
_SERVICE: Final = re.compile(
    r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_.*)?)"
)
_SERVICE_VALUE: Final = re.compile(r"(tcp|udp|sctp)://.*")

#: What defines a listener, and then what belongs to one.
_DEFINE: Final = ("listener", "port", "bind_address")
#: What the environment cannot give.
_NOT_HERE: Final = ("include_dir", "plugin_use")


def variable(name: str) -> str:
    """The variable of an option."""
    return PREFIX + name.upper().replace(".", "_")


#: Options by their variables.
VARIABLES: Final[dict[str, str]] = {
    variable(option.name): option.name
    for option in OPTIONS.values()
    if option.place not in (options.BRIDGE, options.PLUGIN)
    and option.name not in ("connection", *_NOT_HERE)
}


def concerns(environment: Mapping[str, str]) -> bool:
    """Whether there is anything in an environment to read."""
    return any(name.startswith(PREFIX) or name == MOSQUITTO for name in environment)


def read(reader: Reader, environment: Mapping[str, str]) -> None:
    """Take the options that an environment has.

    Raises:
        ConfigError: one cannot be used, or a name is no option, and the reader does not collect
            errors.
    """
    given = _names(reader, environment)
    place = Place(Where(None, 0, None, ""))
    if environment.get(MOSQUITTO) and "persistence_location" not in given:
        place.where = Where(None, 0, None, MOSQUITTO)
        reader.read("persistence_location", Line(environment[MOSQUITTO]), place)
    for name, value in sorted(given.items(), key=_order):
        place.where = Where(None, 0, None, variable(name))
        if _wants_listener(reader, OPTIONS[name]) and place.listener is None:
            place.listener = _listener(reader, name)
            if place.listener is None:
                continue
        for each in _values(reader, name, value, place):
            reader.read(name, Line(each), place)


def _names(reader: Reader, environment: Mapping[str, str]) -> dict[str, str]:
    """The options that an environment names, and their values."""
    found = {}
    for key, value in environment.items():
        if not key.startswith(PREFIX) or not value or _OTHERS.fullmatch(key):
            continue
        if _SERVICE.fullmatch(key) or _SERVICE_VALUE.fullmatch(value):
            continue
        name = VARIABLES.get(key)
        if name is not None:
            found[name] = value
            continue
        option = options.find(key.removeprefix(PREFIX).lower())
        if option is not None:
            reader.refuse(
                Fault(
                    f"Error: The '{option.name}' option cannot come from the environment ({key})."
                ),
                None,
            )
            continue
        near = options.nearest(key.removeprefix(PREFIX), VARIABLES.values())
        hint = f" Did you mean '{variable(near)}'?" if near is not None else ""
        reader.refuse(Fault(f"Error: Unknown environment variable '{key}'.{hint}"), None)
    return found


def _order(item: tuple[str, str]) -> tuple[int, str]:
    """What decides over others comes first."""
    name = item[0]
    if name == "per_listener_settings":
        return 0, name
    if name in _DEFINE:
        return 1 + _DEFINE.index(name), name
    return 4, name


def _wants_listener(reader: Reader, option: Option) -> bool:
    if option.name in _DEFINE:
        return False
    if option.place == options.SECURITY:
        return reader.per_listener
    return option.place in (options.LISTENER, options.DEFAULT_LISTENER)


def _listener(reader: Reader, name: str) -> ListenerSettings | None:
    """The listener that an option belongs to when the environment defines none."""
    if reader.default is not None:
        return reader.default
    if reader.local_only:
        if reader.local is None:
            reader.local = ListenerSettings()
        return reader.local
    reader.refuse(
        Fault(
            f"Error: '{variable(name)}' belongs to the default listener, and the configuration "
            f"has none. Set '{name}' below its 'listener', or set '{variable('listener')}' too."
        ),
        None,
    )
    return None


def _values(reader: Reader, name: str, value: str, place: Place) -> list[str]:
    """The single values, after those of the file were put aside."""
    if name not in REPEATED:
        return [value]
    if name == "log_dest":
        reader.log_destinations, reader.settings.log_file = None, None
    elif name == "log_type":
        reader.log_types = None
    elif name == "queue":
        reader.settings.queues = ()
    elif place.listener is not None:
        if name == "zmtp_user_queue":
            place.listener.zmtp_user_queues = ()
        else:
            place.listener.websockets_origins = ()
    return [each.strip() for each in value.split(",")]
