"""A broker as it was before the process ended, from what the store has kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker.durable_outbox import DurableOutbox
from midge.broker.session import Session, Subscription
from midge.broker.stored import message_of, read_delivery, will_of
from midge.broker.wills import will_delay_s
from midge.config.queue_settings import name_fault, parse_settings
from midge.errors import ConfigError, MidgeError
from midge.message import NEVER
from midge.store.base import HELD, QUEUED
from midge.topics.filters import queue_name, split_shared
from midge.topics.names import check_filter

if TYPE_CHECKING:
    from midge.broker.broker import Broker
    from midge.broker.keeper import Keeper
    from midge.broker.queue import Queue
    from midge.store.base import (
        Contents,
        DeliveryRow,
        MessageRow,
        SessionRow,
        SubscriptionRow,
    )


def restore(broker: Broker, keeper: Keeper, contents: Contents, now: float) -> None:
    """Put sessions, subscriptions, messages and retained messages back, and keep from here on.

    A client that was connected when the process ended counts as gone since now: its session expires
    from now on, and its will is due as if its connection had broken now (section 3.1.2.5 lets a
    server publish wills when it is back).

    Args:
        contents: what the store had; what is damaged in it is left out and counted in
            ``keeper.lost``.
    """
    broker.keep_with(keeper)
    offset_s = keeper.journal.offset_s
    for topic, number in contents.retained.items():
        row = contents.messages.get(number)
        if row is None:
            continue
        try:
            message = message_of(row, offset_s)
        except (MidgeError, ValueError):
            keeper.lost += 1
            keeper.journal.drop_retained(topic, None)
            continue
        message.stored = number
        broker.router.retained.restore(message)
    _restore_queues(broker, keeper, contents)
    by_key: dict[int, Session] = {}
    for session_row in contents.sessions:
        by_key[session_row.key] = _session(broker, keeper, session_row)
    for subscription in contents.subscriptions:
        owner = by_key.get(subscription.session)
        if owner is not None:
            _subscribe(broker, keeper, owner, subscription, now)
    for key, packet_id in contents.incoming:
        owner = by_key.get(key)
        if owner is not None:
            owner.incoming.take(packet_id)
    _restore_deliveries(keeper, contents, by_key)
    for owner in by_key.values():
        for made in owner.subscriptions.values():
            if made.owed:
                broker.router.owe_again(made, now)
    for session_row in contents.sessions:
        _adopt(broker, by_key[session_row.key], session_row, now, offset_s)
    broker.router.subscriptions.end_empty_groups(now)


def _restore_queues(broker: Broker, keeper: Keeper, contents: Contents) -> None:
    """Queues and groups, each with its messages; consumers come with their subscriptions."""
    rows: dict[int, list[tuple[DeliveryRow, MessageRow | None]]] = {}
    keys = {row.key for row in contents.queues}
    for delivery in contents.deliveries:
        if delivery.session in keys:
            found = rows.setdefault(delivery.session, [])
            found.append((delivery, contents.messages.get(delivery.message)))
    for row in contents.queues:
        mine = rows.get(row.key, [])
        try:
            shared = _shared_name(row.name)
        except MidgeError:
            keeper.lost += 1 + len(mine)
            keeper.journal.end_queue(row.key)  # nobody could ever ask for it
            continue
        if shared is not None:
            queue: Queue = broker.router.subscriptions.restore_group(*shared, row.key)
        else:
            try:
                settings = parse_settings(row.settings)
            except ConfigError:
                keeper.lost += 1
                settings = broker.queues.defaults
            queue = broker.queues.restore(row, settings)
        count, size = contents.queued.get(row.key, (0, 0))
        in_page = sum(1 for one, _ in mine if one.state == QUEUED)
        held = [message for one, message in mine if one.state != QUEUED and message is not None]
        size += sum(len(message.topic) + len(message.payload) for message in held)
        queue.restore(mine, count - in_page, size, row.given)


def _shared_name(name: str) -> tuple[str, str] | None:
    """The group and the filter that a queue is for; ``None`` for one with a name.

    Raises:
        MidgeError: it can be neither.
    """
    shared = None
    if name.startswith("$"):
        check_filter(name)
        shared = split_shared(name)
    if shared is None and name_fault(name):
        raise MidgeError(name_fault(name))
    return shared


def _subscribe(
    broker: Broker, keeper: Keeper, owner: Session, row: SubscriptionRow, now: float
) -> None:
    _, filter, qos, no_local, as_published, handling, identifier, owed = row
    made = Subscription(owner, filter, qos, no_local, as_published, handling, identifier)
    made.owed = owed
    try:
        check_filter(filter)
        name = queue_name(filter)
        if name is None:
            split_shared(filter)
        else:
            broker.queues.need(name)
    except MidgeError:
        keeper.lost += 1
        keeper.journal.drop_subscription(owner.key, filter)
    else:
        broker.router.restore(made, now)


def _session(broker: Broker, keeper: Keeper, row: SessionRow) -> Session:
    session = broker.sessions.durable(keeper, row.key, row.client_id)
    session.username = row.username
    session.expiry_s = row.expiry_s
    try:
        session.will = will_of(row)
    except (MidgeError, ValueError):
        keeper.lost += 1
    return session


def _restore_deliveries(keeper: Keeper, contents: Contents, by_key: dict[int, Session]) -> None:
    offset_s = keeper.journal.offset_s
    queued: dict[int, list[DeliveryRow]] = {}
    for row in contents.deliveries:
        session = by_key.get(row.session)
        if session is None:
            continue
        if row.state == QUEUED:
            queued.setdefault(row.session, []).append(row)
            continue
        outbox = session.outbox
        assert isinstance(outbox, DurableOutbox)
        message = contents.messages.get(row.message)
        delivery = None if message is None else read_delivery(row, message, offset_s)
        if delivery is None or row.state == HELD:  # which is for queues
            keeper.lost += 1
            keeper.journal.done(row.session, row.seq, row.message)
        else:
            outbox.take_in_flight(row, delivery)
    for key, (count, size) in contents.queued.items():
        session = by_key.get(key)
        if session is None:
            continue
        outbox = session.outbox
        assert isinstance(outbox, DurableOutbox)
        rows = queued.get(key, [])
        outbox.take_queue(
            [(row, contents.messages.get(row.message)) for row in rows], count, size, offset_s
        )


def _adopt(broker: Broker, session: Session, row: SessionRow, now: float, offset_s: float) -> None:
    # No later than if it had been left now: the limit may be a new one, and the clock of the system
    # may have been put back since.
    ends_at = broker.sessions.end_of(session, now)
    sooner = ends_at
    if not row.connected:
        sooner = NEVER if row.ends_at is None else row.ends_at - offset_s
    will_at = NEVER
    if session.will is not None:
        if row.connected or row.will_at is None:
            will_at = min(now + will_delay_s(session.will), ends_at, sooner)
        else:
            will_at = min(row.will_at - offset_s, now + will_delay_s(session.will))
    broker.sessions.adopt(session, will_at, min(ends_at, sooner))
    if ends_at < sooner:
        broker.sessions.note(session)  # or each start of the broker would put it off
