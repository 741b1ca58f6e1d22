"""``MIDGE_PURE=1``: the source runs, although compiled modules lie beside it.

Python asks an extension module first and the source of the same name after it. For the folders of
this package, a hook in its path machinery knows nothing but source; so no import passes through it
that is not midge's own, and nothing is here to run where the variable is not set.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader


def prefer_source(folder: str) -> None:
    """Import the source of what lies in a folder and below, from now on."""
    inside = folder + os.sep

    def finder(path: str) -> FileFinder:
        if path != folder and not path.startswith(inside):
            raise ImportError(path=path)  # the next hook is asked
        return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, finder)
    for known in list(sys.path_importer_cache):
        if known == folder or known.startswith(inside):
            del sys.path_importer_cache[known]
