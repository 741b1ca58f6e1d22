"""``python -m midge`` is the command ``midge``."""

import sys

from midge.cli.main import main

sys.exit(main())
