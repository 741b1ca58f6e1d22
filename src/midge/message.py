"""The one value that crosses all floors: a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from midge.mqtt.properties import Properties
