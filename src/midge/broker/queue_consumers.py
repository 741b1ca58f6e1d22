"""MQTT clients as consumers: of a named queue (``$queue/NAME``), or as members of a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.broker.consumer import DONE, TAKEN, UNFIT, Consumer
from midge.broker.delivery import Delivery
from midge.limits import OUTBOX_HOLD_BYTES
from midge.mqtt.reasons import Reason

if TYPE_CHECKING:
    from midge.broker.queue import Queue
    from midge.broker.queue_item import Item
    from midge.broker.session import Subscription


class MqttConsumer(Consumer):
    """A client that subscribed to a queue.

    At QoS 1 its PUBACK is its acknowledgement, and a reason code of 0x80 or more a refusal. At
    QoS 0 there is none: what was sent is done, and counted as ``unconfirmed``.

    Attributes:
        subscription: what it asked for.
    """

    __slots__ = ("subscription",)

    def __init__(self, queue: Queue, subscription: Subscription) -> None:
        super().__init__(queue, subscription.outbox)
        self.subscription = subscription

    def has_credit(self) -> bool:
        """See :meth:`Consumer.has_credit`."""
        outbox = self.subscription.outbox
        if not self.subscription.qos:
            return outbox.open and outbox.queue is None and outbox.used <= OUTBOX_HOLD_BYTES
        prefetch = self.queue.settings.prefetch
        return (not prefetch or self.unacknowledged < prefetch) and outbox.may_send()

    def is_there(self) -> bool:
        """See :meth:`Consumer.is_there`."""
        return self.subscription.outbox.link is not None

    def want(self) -> None:
        """See :meth:`Consumer.want`."""
        prefetch = self.queue.settings.prefetch
        if not prefetch or self.unacknowledged < prefetch or not self.subscription.qos:
            self.subscription.outbox.hungry = True

    def give(self, item: Item, now: float) -> int:
        """See :meth:`Consumer.give`."""
        subscription = self.subscription
        if item.deliveries > 1 or subscription.ids or not subscription.qos:
            item.address_to(subscription.qos, False, subscription.ids)
        if not subscription.qos:
            outbox = subscription.outbox
            dropped = outbox.dropped
            outbox.deliver(item, now)
            return DONE if outbox.dropped == dropped else UNFIT
        return TAKEN if subscription.outbox.send_item(item, now) else UNFIT

    def dismiss(self, why: str, now: float) -> None:
        """See :meth:`Consumer.dismiss`."""
        link = self.subscription.outbox.link
        if link is not None:
            link.end(int(Reason.ADMINISTRATIVE_ACTION), why)

    def who(self) -> str:
        """See :meth:`Consumer.who`."""
        return f"client {self.subscription.session.client_id}"


class Member(MqttConsumer):
    """A member of a shared subscription (section 4.8.2).

    It gets a message at the lower of its own and the publisher's QoS. What is given at QoS 1 stays
    the group's until it is acknowledged; at QoS 2 it becomes the member's own at once, since its
    exchange cannot be finished with anybody else.
    """

    __slots__ = ()

    def give(self, item: Item, now: float) -> int:
        """See :meth:`Consumer.give`."""
        subscription = self.subscription
        message = item.message
        qos = subscription.qos
        if message.qos < qos and not subscription.outbox.upgrades():
            qos = message.qos
        retain = message.retain and subscription.retain_as_published
        if qos == 1:
            if item.deliveries > 1 or retain or subscription.ids:
                item.address_to(1, retain, subscription.ids)
            return TAKEN if subscription.outbox.send_item(item, now) else DONE
        own = Delivery(message, qos, retain, subscription.ids)
        if item.stored and not message.stored:
            # It came from the store: the member's own entry is to name the same row.
            message.stored = item.stored
            subscription.outbox.deliver(own, now)
            message.stored = 0
        else:
            subscription.outbox.deliver(own, now)
        return DONE
