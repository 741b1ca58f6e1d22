"""What a reload has to do: two configurations in, a :class:`ReloadPlan` out.

A listener is known by where it listens: address, port, family and interface, or path. One that is
in both configurations keeps its socket and its connections, and what changed of it is applied in
place, unless an option changed that makes another listener of it: then it is closed and opened
again.
General options that only count at the start stay as they were, and the plan names them.

Nothing is carried out here, and no file is looked at: that the content of a certificate or of a
password file changed is for those to see who read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from midge.config.render import general_lines, listener_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midge.config.options import Option
    from midge.config.render import Lines
    from midge.config.settings import Configuration, ListenerSettings, Settings


@dataclass(slots=True, frozen=True)
class Change:
    """An option with another value than before.

    Attributes:
        option: the option.
        old, new: its value before and after, as in a configuration file; ``None`` for none. The
            values of an option that stands in several lines are joined by commas.
    """

    option: Option
    old: str | None
    new: str | None

    def __str__(self) -> str:
        return f"{self.option.name} from {self.old or 'nothing'} to {self.new or 'nothing'}"


@dataclass(slots=True, frozen=True)
class ListenerChange:
    """A listener that is in both configurations, with other settings.

    Attributes:
        old, new: what it had, and what it shall have.
        changes: what differs; empty for one that is unchanged.
    """

    old: ListenerSettings
    new: ListenerSettings
    changes: tuple[Change, ...] = ()


@dataclass(slots=True, kw_only=True)
class ReloadPlan:
    """What a reload has to do.

    Attributes:
        settings: the general settings that go afterwards: the new ones, with the old values of
            what needs a restart.
        applied: general options that change.
        restart: general options that would change, and need a restart.
        opened: listeners to open.
        closed: listeners to close, whose clients are told to go.
        reopened: listeners to close and open again: something changed that a listening socket
            cannot change. They have the address of the new one, so they must be closed first.
        changed: listeners that keep their socket and connections, with other settings.
        unchanged: listeners that stay as they are.
    """

    settings: Settings
    applied: list[Change] = field(default_factory=list)
    restart: list[Change] = field(default_factory=list)
    opened: list[ListenerSettings] = field(default_factory=list)
    closed: list[ListenerSettings] = field(default_factory=list)
    reopened: list[ListenerChange] = field(default_factory=list)
    changed: list[ListenerChange] = field(default_factory=list)
    unchanged: list[ListenerChange] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Whether there is nothing to do (files may have other contents all the same)."""
        return not (self.applied or self.opened or self.closed or self.reopened or self.changed)

    def warnings(self) -> list[str]:
        """A line for each option that was not applied."""
        return [
            f"Warning: The '{change.option.name}' option was changed from "
            f"{change.old or 'nothing'} to {change.new or 'nothing'}, which needs a restart of "
            "the broker."
            for change in self.restart
        ]


def plan(old: Configuration, new: Configuration) -> ReloadPlan:
    """What to do so that a broker that runs with ``old`` runs with ``new``.

    Args:
        old: what goes now; after a reload, that is ``new`` with ``settings`` of its plan.
        new: what shall go.
    """
    result = ReloadPlan(settings=new.settings)
    kept: dict[str, object] = {}
    for change in _changes(general_lines(old.settings), general_lines(new.settings)):
        if change.option.reloadable:
            result.applied.append(change)
        else:
            result.restart.append(change)
            assert change.option.setting is not None  # general_lines gives no others
            kept[change.option.setting] = getattr(old.settings, change.option.setting)
    if kept:
        result.settings = replace(new.settings, **kept)  # type: ignore[arg-type]
    _plan_listeners(result, old, new)
    return result


def _plan_listeners(result: ReloadPlan, old: Configuration, new: Configuration) -> None:
    # Several may have one address: they are paired in their order.
    before: dict[object, list[ListenerSettings]] = {}
    for listener in old.listeners:
        before.setdefault(_address(listener), []).append(listener)
    for listener in new.listeners:
        pair = before.get(_address(listener))
        if not pair:
            result.opened.append(listener)
            continue
        was = pair.pop(0)
        changes = tuple(
            _changes(
                listener_lines(was, old.settings.per_listener_settings),
                listener_lines(listener, new.settings.per_listener_settings),
            )
        )
        change = ListenerChange(was, listener, changes)
        if not all(each.option.reloadable for each in changes):
            result.reopened.append(change)
        elif was != listener:
            result.changed.append(change)
        else:
            result.unchanged.append(change)
    result.closed.extend(listener for rest in before.values() for listener in rest)


def _address(listener: ListenerSettings) -> object:
    if listener.unix_path is not None:
        return listener.unix_path
    return listener.host, listener.port, listener.socket_domain, listener.bind_interface


def _changes(old: Iterable[Lines], new: Iterable[Lines]) -> list[Change]:
    """The options whose values differ, in the order of the registry."""
    # Neither has all: whether a listener has security options depends on per_listener_settings.
    before = {option.name: (option, values) for option, values in old}
    after = {option.name: (option, values) for option, values in new}
    return [
        Change(option, ", ".join(was) or None, ", ".join(values) or None)
        for option, was, values in (
            (
                (after.get(name) or before[name])[0],
                before[name][1] if name in before else [],
                after[name][1] if name in after else [],
            )
            for name in {**before, **after}
        )
        if was != values
    ]
