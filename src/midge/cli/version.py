"""Which midge this is, for ``--version``."""

from __future__ import annotations

import os

import midge


def version_line() -> str:
    """What ``--version`` prints."""
    return f"midge version {midge.__version__} ({'compiled' if is_compiled() else 'pure Python'})"


def is_compiled() -> bool:
    """Whether the modules on the path of a message are compiled here."""
    names = os.listdir(os.path.join(os.path.dirname(midge.__file__), "mqtt"))
    return any(name.startswith("decode.") and name.endswith((".so", ".pyd")) for name in names)
