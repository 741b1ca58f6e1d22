"""Which midge this is, for ``--version``."""

from __future__ import annotations

from midge import __version__
from midge.compiled import is_compiled


def version_line() -> str:
    """What ``--version`` prints."""
    return f"midge version {__version__} ({'compiled' if is_compiled() else 'pure Python'})"
