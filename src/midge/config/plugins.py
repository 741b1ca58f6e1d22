"""What a configuration says about plugins: which to load, for whom, and with which options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midge.config.settings import ListenerSettings, Settings


@dataclass(slots=True, kw_only=True, eq=False)
class PluginSettings:
    """A plugin that a configuration loads.

    Attributes:
        path: its file.
        loaded_by: the option that names it: ``plugin``, ``global_plugin``, ``plugin_load``, or the
            old ``auth_plugin``.
        name: how ``plugin_use`` calls it; ``None`` without.
        options: its own options in their order, without ``plugin_opt_``.
        deny_special_chars: user names and client ids with ``+``, ``#`` or ``/`` are refused before
            the plugin sees them.
        owner: the settings that it stands among: the general ones, or a listener's.
    """

    path: str
    loaded_by: str = "plugin"
    name: str | None = None
    options: list[tuple[str, str]] = field(default_factory=list)
    deny_special_chars: bool = True
    owner: Settings | ListenerSettings | None = None
