"""What an entry of the tables is.

The tables beside this file list every numbered normative statement of MQTT 5.0 and of 3.1.1 with
whom it binds and, in our own few words, what it asks for. They are for the reader of a report or
of a test; the standards have the binding text.

Whom a statement *binds* is read generously: the form of a packet that only clients send binds the
server too, because a server has to check what it receives (5.0 3.1.4, 4.13). Only what a server can
neither do nor notice is left to the client.
"""

from __future__ import annotations

from typing import Final

SERVER: Final = "server"
CLIENT: Final = "client"
BOTH: Final = "both"


class Statement:
    """One normative statement.

    Attributes:
        id: as in the standard, e.g. ``MQTT-3.3.2-8``; those of 3.1.1 begin with ``3.1.1:``.
        binds: ``SERVER``, ``CLIENT`` or ``BOTH``.
        words: what it asks for, in our words.
        untestable: why no test can tell whether a server keeps it; empty where one can.
    """

    __slots__ = ("binds", "id", "untestable", "words")

    def __init__(self, id: str, binds: str, words: str, untestable: str = "") -> None:
        self.id = id
        self.binds = binds
        self.words = words
        self.untestable = untestable

    @property
    def needs_test(self) -> bool:
        """It binds a server, and a test could tell."""
        return self.binds != CLIENT and not self.untestable

    def __repr__(self) -> str:
        return f"Statement({self.id}, {self.binds})"
