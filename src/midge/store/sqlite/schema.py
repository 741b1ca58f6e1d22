"""The tables of the store, and how an older file becomes one of today.

The file is meant to be looked into with the ``sqlite3`` program. Numbers of the journal are its
keys; ``refs`` counts who needs a message, deliveries and retained topics alike. A session that
ended is gone at once, what belongs to it is removed a slice at a time: until then its key is in
``doomed``. A queue is a session without a client: its messages are deliveries under its key.
"""

from __future__ import annotations

from typing import Final

#: In ``PRAGMA user_version``.
VERSION: Final = 2
#: In ``PRAGMA application_id``: "midg".
APPLICATION_ID: Final = 0x6D696467

TABLES: Final[dict[str, str]] = {
    "session": """
        CREATE TABLE session (
            key INTEGER PRIMARY KEY,
            client_id TEXT NOT NULL,
            username TEXT,
            expiry_s INTEGER NOT NULL,
            connected INTEGER NOT NULL,
            ends_at REAL,
            will_at REAL,
            will_topic TEXT,
            will_payload BLOB NOT NULL,
            will_qos INTEGER NOT NULL,
            will_retain INTEGER NOT NULL,
            will_properties BLOB NOT NULL
        )""",
    "subscription": """
        CREATE TABLE subscription (
            session INTEGER NOT NULL,
            filter TEXT NOT NULL,
            qos INTEGER NOT NULL,
            no_local INTEGER NOT NULL,
            retain_as_published INTEGER NOT NULL,
            retain_handling INTEGER NOT NULL,
            identifier INTEGER NOT NULL,
            owed INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (session, filter)
        ) WITHOUT ROWID""",
    "message": """
        CREATE TABLE message (
            id INTEGER PRIMARY KEY,
            topic TEXT NOT NULL,
            payload BLOB NOT NULL,
            qos INTEGER NOT NULL,
            retain INTEGER NOT NULL,
            properties BLOB NOT NULL,
            expires_at REAL,
            origin TEXT NOT NULL,
            refs INTEGER NOT NULL
        )""",
    "delivery": """
        CREATE TABLE delivery (
            session INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            message INTEGER NOT NULL,
            qos INTEGER NOT NULL,
            retain INTEGER NOT NULL,
            ids TEXT NOT NULL,
            packet_id INTEGER NOT NULL,
            state INTEGER NOT NULL,
            priority INTEGER NOT NULL,
            ready_at REAL,
            PRIMARY KEY (session, seq)
        ) WITHOUT ROWID""",
    "queue": """
        CREATE TABLE queue (
            key INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            settings TEXT NOT NULL,
            given INTEGER NOT NULL
        )""",
    "incoming": """
        CREATE TABLE incoming (
            session INTEGER NOT NULL,
            packet_id INTEGER NOT NULL,
            PRIMARY KEY (session, packet_id)
        ) WITHOUT ROWID""",
    "retained": """
        CREATE TABLE retained (
            topic TEXT PRIMARY KEY NOT NULL,
            message INTEGER NOT NULL
        ) WITHOUT ROWID""",
    "doomed": """
        CREATE TABLE doomed (
            session INTEGER PRIMARY KEY
        )""",
    # Numbers that are never used again, although what had them is gone.
    "counter": """
        CREATE TABLE counter (
            name TEXT PRIMARY KEY NOT NULL,
            value INTEGER NOT NULL
        ) WITHOUT ROWID""",
}

#: Statements that lead from a version to the next one, by the version that they start from.
MIGRATIONS: Final[dict[int, tuple[str, ...]]] = {
    1: ("ALTER TABLE subscription ADD COLUMN owed INTEGER NOT NULL DEFAULT 0",),
}
#: What stands at the end of an older row in the columns that came later.
LATER_COLUMNS: Final[dict[str, tuple[object, ...]]] = {"subscription": (0,)}
