"""The modules on the path of a message may be compiled: what the compiler has to be told.

mypyc compiles them when a wheel is built with a C compiler at hand (``setup.py``); the same source
runs without, and :mod:`midge.pure` chooses it where both are there. A compiled class cannot be the
base of one that is not, unless it says so with the decorator here: that costs its methods a little
speed, so only those say it that need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
    from mypy_extensions import trait as trait
else:

    def mypyc_attr(**attributes):
        """Tell the compiler something about a class; nothing happens without it."""
        return lambda decorated: decorated

    def trait(decorated):
        """Tell the compiler that a class is a second base of others; nothing without it."""
        return decorated
