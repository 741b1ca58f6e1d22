"""Which midge this is, for ``--version``."""

from __future__ import annotations

from midge import __version__


def version_line() -> str:
    """What ``--version`` prints."""
    return f"midge version {__version__}"
