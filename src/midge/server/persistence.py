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
from midge.limits import STORE_QUEUE_PAGE
from midge.server.durability import Durability
from midge.store.base import StoreError
from midge.store.journal import Journal
from midge.store.sqlite.salvage import open_store

if TYPE_CHECKING:
    from midge.config.settings import Settings
    from midge.server.logs import Log
    from midge.server.mqtt_server import MqttServer

FILE_NAME: Final = "midge.db"


def store_path(settings: Settings) -> str:
    """Where the store of a configuration is."""
    return os.path.join(settings.persistence_location or "", FILE_NAME)


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
    journal.offset_s = time.time() - server.now()
    keeper = Keeper(journal, store.page)
    restore(server.broker, keeper, contents, server.now())
    server.durability = Durability(keeper, store, server.now, server.wake, log.error)
    if keeper.lost:
        log.warning(f"Warning: {keeper.lost} entries of the store {path} were damaged.")
    log.information(
        f"Restored {len(contents.sessions)} sessions and {len(contents.retained)} retained "
        f"messages from {path}."
    )
    return True
