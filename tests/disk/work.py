"""A process that writes numbered batches to a store, and says of each when it is safe.

``python -m tests.disk.work DIRECTORY SEED COUNT SYNC``: the store is ``midge.db``, and what was
said stands in ``said``, a line for each batch. The checkpoints come often, and the store is closed
and opened again now and then.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator

from midge.message import NEVER, Message
from midge.store.base import QUEUED, RELEASED, SENT, SubscriptionRow
from midge.store.journal import Changes, Journal
from midge.store.sqlite.database import SqliteStore

#: Pages in the write-ahead log that make SQLite copy them into the database.
CHECKPOINT_PAGES = 25
#: Batches between two openings of the store.
REOPEN_EVERY = 10


def batches(seed: int, count: int) -> Iterator[Changes]:
    """The same batches for the same seed, in the manner of a broker."""
    chance = random.Random(seed)
    journal = Journal()
    sessions: list[int] = []
    waiting: list[tuple[int, int, int]] = []
    last: dict[str, Message] = {}
    for number in range(count):
        if number % 10 == 0:
            sessions.append(_session(journal, number))
        if number % 37 == 36:
            ended = sessions.pop(0)
            journal.end_session(ended)
            waiting = [one for one in waiting if one[0] != ended]
        for _ in range(chance.choice([1, 1, 3, 8, 20])):
            size = chance.choice([10, 10, 100, 5000])
            message = Message("t/x", chance.randbytes(size), 2, False, None, NEVER, "p")
            for session in sessions:
                seq = journal.queue(session, message, 2, False, ())
                waiting.append((session, seq, message.stored))
        for _ in range(chance.randrange(len(waiting))):
            session, seq, stored = waiting.pop(0)
            if chance.random() < 0.8:
                journal.done(session, seq, stored)
            else:
                state = chance.choice([QUEUED, SENT, RELEASED])
                journal.change(session, seq, chance.randrange(1, 100), state)
        topic = f"r/{chance.randrange(5)}"
        kept = Message(topic, chance.randbytes(30), 1, True, None, NEVER, "p")
        journal.retain(kept, last.get(topic))
        last[topic] = kept
        taken = chance.choice(sessions), chance.randrange(1, 10)
        (journal.take_incoming if chance.random() < 0.5 else journal.release_incoming)(*taken)
        yield journal.take()[1]


def _session(journal: Journal, number: int) -> int:
    key = journal.new_session()
    journal.keep_session(key, f"client {number}", None, 3600, None, True)
    journal.keep_subscription(SubscriptionRow(key, "t/#", 2, False, False, 0, 0))
    return key


def main(words: list[str]) -> int:
    directory, seed, count, sync = words[0], int(words[1]), int(words[2]), words[3]
    said = os.open(os.path.join(directory, "said"), os.O_WRONLY | os.O_CREAT)
    store = None
    for number, changes in enumerate(batches(seed, count), 1):
        if store is None:
            store = SqliteStore(os.path.join(directory, "midge.db"), sync)
            store._writer.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            store._writer.execute("PRAGMA cache_size = 10")  # so that it is written before its end
        for _ in store.write(changes):
            pass
        store.commit()
        os.write(said, b"%d\n" % number)
        if number % REOPEN_EVERY == 0:
            store.close()
            store = None
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
