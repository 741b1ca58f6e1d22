"""``persistence true``: a server that remembers.

Opens the store in ``persistence_location``, puts back what it has kept, and ties the server's turns
to it. The file is midge's own, ``midge.db``; a ``mosquitto.db`` that lies there is left alone.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from midge.broker.keeper import Keeper
from midge.broker.restore import restore
from midge.limits import STORE_CLOCK_STEP_S, STORE_QUEUE_PAGE
from midge.server.durability import Durability
from midge.store.base import StoreError
from midge.store.journal import Journal
from midge.store.sqlite.salvage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from midge.broker.broker import Broker
    from midge.config.settings import Settings
    from midge.server.logs import Log
    from midge.server.mqtt_server import MqttServer

FILE_NAME: Final = "midge.db"


def store_path(settings: Settings) -> str:
    """Where the store of a configuration is."""
    return os.path.join(settings.persistence_location or "", FILE_NAME)


class Calendar:
    """Keeps the times that are written right when the clock of the system is set.

    A small machine has no clock that goes on without power: it starts with the time of its last
    shutdown or with 1970, and is told the right one when there is a network, by when the broker
    runs. One that slept has a gap. What was written by the wrong time would end too early after the
    next start, or too late; so it is written again, of sessions that wait for their clients.
    (Not of messages: those that expire are for a short time.)
    """

    __slots__ = ("_broker", "_journal", "_now")

    def __init__(self, broker: Broker, journal: Journal, now: Callable[[], float]) -> None:
        self._broker = broker
        self._journal = journal
        self._now = now
        journal.offset_s = time.time() - now()

    def check(self) -> None:
        """See whether the clock was set."""
        offset_s = time.time() - self._now()
        if abs(offset_s - self._journal.offset_s) < STORE_CLOCK_STEP_S:
            return
        self._journal.offset_s = offset_s
        for session in self._broker.sessions.all():
            if session.link is None:
                self._broker.sessions.note(session)


def keep(server: MqttServer, settings: Settings, log: Log) -> bool:
    """Restore what the store has and keep from here on; false, with the reason in the log, if not.

    To be called in the event loop, before the first client comes.
    """
    path = store_path(settings)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        store, contents, said = open_store(path, settings.persistence_sync, stamp, STORE_QUEUE_PAGE)
    except StoreError as error:
        log.error(f"Error: {error}. Check persistence_location.")
        return False
    for line in said:
        (log.error if line.startswith("Error") else log.warning)(line)
    journal = Journal(contents)
    calendar = Calendar(server.broker, journal, server.now)
    keeper = Keeper(journal, store.page)
    restore(server.broker, keeper, contents, server.now())
    server.durability = Durability(
        keeper, store, server.now, server.wake, log.error, calendar.check
    )
    if keeper.lost:
        log.warning(f"Warning: {keeper.lost} entries of the store {path} were damaged.")
    log.information(
        f"Restored {len(contents.sessions)} sessions and {len(contents.retained)} retained "
        f"messages from {path}."
    )
    return True
