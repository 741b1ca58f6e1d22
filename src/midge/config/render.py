"""Settings as the lines of a mosquitto.conf: the way back from what the readers make of one.

``config show``, the reload plan and the tests of the readers compare and print settings by it: what
it gives for a setting, read again, sets the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.config import options
from midge.config.options import OPTIONS, Option
from midge.config.settings import ListenerSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: An option, and the values that its lines have; none where it is not set.
Lines = tuple[Option, list[str]]


def general_lines(settings: Settings) -> Iterator[Lines]:
    """Every option that sets something for the whole broker, under its present name."""
    for option in _settable():
        if option.place == options.GENERAL or (
            option.place == options.SECURITY and not settings.per_listener_settings
        ):
            yield option, values(option, settings)


def listener_lines(listener: ListenerSettings, per_listener: bool) -> Iterator[Lines]:
    """Every option of a listener, ``listener`` itself first.

    Args:
        listener: the listener.
        per_listener: ``per_listener_settings`` goes, so that it has security settings of its own.
    """
    yield OPTIONS["listener"], [_listener(listener)]
    seen: set[str | None] = set()
    for option in _settable():
        if option.place in (options.LISTENER, options.DEFAULT_LISTENER):
            seen.add(option.setting)
            yield option, values(option, listener)
    if per_listener:
        for option in _settable():
            if option.place == options.SECURITY and option.setting not in seen:
                yield option, values(option, listener)


def values(option: Option, owner: Settings | ListenerSettings) -> list[str]:
    """The value of each line that gives ``owner`` what it has of an option."""
    form = _FORMS.get(option.name)
    if form is not None:
        return form(owner)
    assert option.setting is not None  # _settable has seen to it
    value: object = getattr(owner, option.setting)
    if value is None or (value == 0 and option.default is None and not isinstance(value, bool)):
        return []
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    if option.kind == options.DURATION:
        return [f"{value}s"]
    return [str(value)]


#: What ``listener`` says as well.
_PARTS_OF_LISTENER: Final = ("bind_address", "port")


def _settable() -> Iterator[Option]:
    """Options that set something, without other names for the same."""
    for option in OPTIONS.values():
        if (
            option.setting is not None
            and option.alias_of is None
            and option.name not in _PARTS_OF_LISTENER
        ):
            yield option


def _listener(listener: ListenerSettings) -> str:
    if listener.unix_path is not None:
        return f"0 {listener.unix_path}"
    return str(listener.port) if listener.host is None else f"{listener.port} {listener.host}"


def _versions(owner: Settings | ListenerSettings) -> list[str]:
    assert isinstance(owner, ListenerSettings)
    # A version that does not exist stands for none of them: an empty value would be an error.
    return [",".join(map(str, sorted(owner.protocol_versions))) or "none"]


def _log_dest(owner: Settings | ListenerSettings) -> list[str]:
    assert isinstance(owner, Settings)
    lines = sorted(owner.log_destinations - {"file"})
    if "file" in owner.log_destinations:
        lines.append(f"file {owner.log_file}")
    return lines or ["none"]


def _log_type(owner: Settings | ListenerSettings) -> list[str]:
    assert isinstance(owner, Settings)
    return sorted(owner.log_types) or ["none"]


#: Options whose values have a form of their own.
_FORMS: Final[dict[str, Callable[[Settings | ListenerSettings], list[str]]]] = {
    "accept_protocol_versions": _versions,
    "log_dest": _log_dest,
    "log_type": _log_type,
}
