"""Which midge this is, for ``--version``."""

from __future__ import annotations

import os

import midge
from midge.topics import names

#: Where a wheel that could not be compiled says why.
REASON = "not_compiled.txt"


def version_line() -> str:
    """What ``--version`` prints."""
    return f"midge version {midge.__version__} ({kind()})"


def kind() -> str:
    """Whether what runs is compiled, and why not."""
    if is_compiled():
        return "compiled"
    why = _why_not(os.path.dirname(midge.__file__))
    return f"pure Python: {why}" if why else "pure Python"


def is_compiled() -> bool:
    """Whether the modules on the path of a message are compiled here: one of them is asked."""
    return not names.__file__.endswith(".py")


def _why_not(folder: str) -> str:
    beside = os.listdir(os.path.join(folder, "topics"))
    if any(name.startswith("names.") and name.endswith((".so", ".pyd")) for name in beside):
        if os.environ.get("MIDGE_PURE", "0") not in ("", "0"):
            return "MIDGE_PURE is set"
        return "what is compiled is for another Python"
    try:
        with open(os.path.join(folder, REASON), encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""  # an editable install, or a checkout: its source is what should run
