"""SUBSCRIBE and UNSUBSCRIBE: what a client wants to hear (sections 3.8 to 3.11).

The entries of a SUBSCRIBE are decided one after the other, which may take a while; then all of them
are acted on, and answered, at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midge.auth.base import ALLOW, ALLOWED, SUBSCRIBE, Authorizer, Decision, Pending
from midge.broker.permission import why_not_get
from midge.limits import RETAINED_OWED_MAX, SUBSCRIPTIONS_MAX
from midge.mqtt import packets as p
from midge.mqtt.reasons import Reason
from midge.topics.filters import queue_name, split_shared
from midge.topics.remap import fault_of_filter, mounted_filter

if TYPE_CHECKING:
    from midge.broker.session import Session
    from midge.links.mqtt import MqttLink


def subscribe(link: MqttLink, packet: p.Subscribe, session: Session, now: float) -> None:
    """A client wants to hear of something."""
    if link.mount:
        for entry in packet.entries:
            entry.filter = mounted_filter(link.mount, entry.filter)
    _permit_all(link, packet, session, now)


def _permit_all(link: MqttLink, packet: p.Subscribe, session: Session, now: float) -> None:
    authorizer = link.broker.authorizer
    if authorizer is None:
        _subscribed(link, packet, session, [ALLOWED] * len(packet.entries), now)
        return
    _ask(link, authorizer, packet, session, [], now)


def _ask(
    link: MqttLink,
    authorizer: Authorizer,
    packet: p.Subscribe,
    session: Session,
    made: list[Decision],
    now: float,
) -> None:
    """Have the entries of a SUBSCRIBE decided one after the other, then act on all of them."""
    assert link.identity is not None
    while len(made) < len(packet.entries):
        filter = packet.entries[len(made)].filter
        shared = split_shared(filter)
        decision = authorizer.authorize(
            link.identity, SUBSCRIBE, filter if shared is None else shared[1]
        )
        if isinstance(decision, Pending):
            if decision.settled is None:
                link.wait_for(
                    decision,
                    lambda late, now: _answered(
                        link, authorizer, packet, session, [*made, late], now
                    ),
                )
                return
            decision = decision.settled
        made.append(decision)
    if session.link is link:
        _subscribed(link, packet, session, made, now)


def _answered(
    link: MqttLink,
    authorizer: Authorizer,
    packet: p.Subscribe,
    session: Session,
    made: list[Decision],
    now: float,
) -> None:
    """An answer has come; if others decide by now, they are asked instead, about all of it."""
    if authorizer is link.broker.authorizer:
        _ask(link, authorizer, packet, session, made, now)
    elif session.link is link:
        _permit_all(link, packet, session, now)


def _subscribed(
    link: MqttLink, packet: p.Subscribe, session: Session, decisions: list[Decision], now: float
) -> None:
    identifier = 0
    if packet.properties is not None and packet.properties.subscription_ids:
        identifier = packet.properties.subscription_ids[0]
    reasons = [
        _grant(link, entry, session, decision)
        for entry, decision in zip(packet.entries, decisions, strict=True)
    ]
    # SUBACK first, so that no client gets a message before it knows its subscription; unless
    # the subscription is to last: then it is granted when it is safe.
    answer = p.Suback(packet.packet_id, reasons)
    if not session.key:
        link.connection.send(answer, now)
    for entry, reason in zip(packet.entries, reasons, strict=True):
        link.broker.hooks.subscribed(session.client_id, entry.filter, reason)
        if reason < 0x80:
            link.broker.router.subscribe(session, entry, identifier, reason, now)
    if session.key:
        link.send_when_safe(answer, now)


def _grant(link: MqttLink, entry: p.SubscribeTo, session: Session, decision: Decision) -> int:
    """The QoS that a subscription is granted, or why not."""
    if decision.outcome != ALLOW:
        link.broker.hooks.denied(session.client_id, "subscribe", entry.filter, decision.text)
        return int(Reason.NOT_AUTHORIZED) if link.connection.version == 5 else 0x80
    fault = fault_of_filter(link.mount, entry.filter) if link.mount else ""
    if fault:
        link.broker.hooks.denied(session.client_id, "subscribe", entry.filter, fault)
        return int(Reason.TOPIC_FILTER_INVALID) if link.connection.version == 5 else 0x80
    if len(session.subscriptions) >= SUBSCRIPTIONS_MAX and (
        entry.filter not in session.subscriptions
    ):
        text = f"it has {SUBSCRIPTIONS_MAX} subscriptions"
    elif session.outbox.owed > RETAINED_OWED_MAX:
        text = f"more than {RETAINED_OWED_MAX} retained messages wait for it to be read"
    else:
        name = queue_name(entry.filter)
        if name is None:
            return min(entry.qos, link.max_qos)
        text = why_not_get(link.broker.authorizer, session, entry.filter)
        if text:
            link.broker.hooks.denied(session.client_id, "subscribe", entry.filter, text)
            return int(Reason.NOT_AUTHORIZED) if link.connection.version == 5 else 0x80
        text = link.broker.queues.ensure(name)
        if not text:
            # Who takes a message may have had it before: there is no "exactly once" here.
            return min(entry.qos, link.max_qos, 1)
    link.broker.hooks.denied(session.client_id, "subscribe", entry.filter, text)
    return int(Reason.QUOTA_EXCEEDED) if link.connection.version == 5 else 0x80


def unsubscribe(link: MqttLink, packet: p.Unsubscribe, session: Session, now: float) -> None:
    """A client wants to hear no more of something."""
    reasons = []
    for filter in packet.filters:
        if link.mount:
            filter = mounted_filter(link.mount, filter)
        existed = link.broker.router.unsubscribe(session, filter, now)
        reasons.append(0 if existed else int(Reason.NO_SUBSCRIPTION_EXISTED))
        link.broker.hooks.unsubscribed(session.client_id, filter)
    if link.connection.version != 5:
        reasons = []
    answer = p.Unsuback(packet.packet_id, reasons)
    if session.key:
        link.send_when_safe(answer, now)
    else:
        link.connection.send(answer, now)
