"""Rows of the store as the broker's own values, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker.delivery import NO_IDS, Delivery
from midge.errors import MidgeError
from midge.message import NEVER, Message
from midge.mqtt import packets as p
from midge.mqtt.primitives import write_varint
from midge.mqtt.properties import WILL
from midge.mqtt.property_codec import decode_properties
from midge.store.base import SubscriptionRow
from midge.topics.names import check_topic

if TYPE_CHECKING:
    from midge.broker.session import Subscription
    from midge.mqtt.packets import Will
    from midge.store.base import DeliveryRow, MessageRow, SessionRow


def message_of(row: MessageRow, offset_s: float) -> Message:
    """The message of a row.

    Args:
        offset_s: between the broker's clock and the times of the store.

    Raises:
        MidgeError, ValueError: the row is damaged. A topic that is none would have each client that
            gets it end the connection, again and again.
    """
    check_topic(row.topic)
    properties = None
    if row.properties:
        data = write_varint(len(row.properties)) + row.properties
        properties, _ = decode_properties(data, 0, len(data), p.PUBLISH)
    expires_at = NEVER if row.expires_at is None else row.expires_at - offset_s
    return Message(row.topic, row.payload, row.qos, row.retain, properties, expires_at, row.origin)


def delivery_of(row: DeliveryRow, message: MessageRow, offset_s: float) -> Delivery:
    """The delivery of a row; see :func:`message_of`."""
    ids = tuple(map(int, row.ids.split(","))) if row.ids else NO_IDS
    return Delivery(message_of(message, offset_s), row.qos, row.retain, ids)


def read_delivery(row: DeliveryRow, message: MessageRow, offset_s: float) -> Delivery | None:
    """The delivery of a row; ``None`` where the row is damaged."""
    try:
        return delivery_of(row, message, offset_s)
    except (MidgeError, ValueError):
        return None


def will_of(row: SessionRow) -> Will | None:
    """The will of a session; see :func:`message_of`."""
    if row.will_topic is None:
        return None
    check_topic(row.will_topic)
    data = row.will_properties
    properties, _ = decode_properties(data, 0, len(data), WILL)
    return p.Will(row.will_topic, row.will_payload, row.will_qos, row.will_retain, properties)


def row_of(subscription: Subscription) -> SubscriptionRow:
    """The row of a subscription."""
    return SubscriptionRow(
        subscription.session.key,
        subscription.filter,
        subscription.qos,
        subscription.no_local,
        subscription.retain_as_published,
        subscription.retain_handling,
        subscription.ids[0] if subscription.ids else 0,
        subscription.owed,
    )
