"""PUBLISH: a client's message on its way to the router (sections 3.3, 4.3).

The steps of one message in their order: whether the store and the memory can take it, whether the
client may publish it, the router, the acknowledgement. A message that must wait for an answer, for
room in a queue or for the store has its client wait with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.auth.acl_rules import never_written
from midge.auth.base import ALLOW, ALLOWED_BY_RULES, PUBLISH, Authorizer, Decision, Pending
from midge.broker import control
from midge.broker.router import REPLY_PREFIX
from midge.limits import LINK_TOPICS_MAX
from midge.message import NEVER, Message
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.reasons import Reason
from midge.topics.filters import queue_name
from midge.topics.remap import fault_of_topic

if TYPE_CHECKING:
    from midge.broker.keeper import Keeper
    from midge.broker.session import Session
    from midge.links.mqtt import MqttLink

#: Where orders for queues go: they are taken even if nothing else can be.
_CONTROL: Final = control.TOPIC
_NO_SUBSCRIBERS: Final = 0x10


def publish(link: MqttLink, packet: p.Publish, session: Session, now: float) -> None:
    """A client has sent a message."""
    broker = link.broker
    keeper = broker.keeper
    if keeper is not None and keeper.full() and _is_kept(link, packet, session):
        _publish_later(link, packet, session, keeper)
        return
    metrics = broker.metrics
    if metrics.memory_full and (packet.qos or packet.retain) and packet.topic != _CONTROL:
        _refuse_for_memory(link, packet, session, now)
        return
    metrics.publish_received += 1
    metrics.publish_bytes_received += len(packet.payload)
    qos = packet.qos
    if qos > link.max_qos:
        link.fail(int(Reason.QOS_NOT_SUPPORTED), f"QoS {qos} is not allowed here", now)
        return
    if packet.retain and not broker.settings.retain_available:
        link.fail(int(Reason.RETAIN_NOT_SUPPORTED), "retain is not available", now)
        return
    if qos == 2 and packet.packet_id in session.incoming:
        # It was had, and passed on, before.
        link.ack_when_safe(p.PUBREC, packet.packet_id, 0, bool(session.key))
        return
    if link.asked or (packet.topic[0] == "$" and packet.topic not in broker.queues.topics):
        reason, text = _refusal(link, packet)
        if reason:
            _refuse(link, packet, session, text, reason)
            return
        if broker.authorizer is not None and not _is_reply(link, packet.topic):
            _permit(link, packet, session, now)
            return
    _pass_on(link, packet, session, now)


def _is_reply(link: MqttLink, topic: str) -> bool:
    """Whether the router gives it to one who waits for it, and not to subscribers."""
    return topic.startswith(REPLY_PREFIX) and bool(link.broker.router.replies)


def _permit(link: MqttLink, packet: p.Publish, session: Session, now: float) -> None:
    """Pass a message on if the rules let this client publish it, as soon as that is known."""
    authorizer = link.broker.authorizer
    if authorizer is None:
        _pass_on(link, packet, session, now)
        return
    assert link.identity is not None
    decision = authorizer.authorize(link.identity, PUBLISH, packet.topic)
    if isinstance(decision, Pending):
        if decision.settled is None:
            link.wait_for(
                decision,
                lambda made, now: _permitted(link, authorizer, packet, session, made, now),
            )
            return
        decision = decision.settled
    if decision is ALLOWED_BY_RULES:
        _note_allowed(link, packet.topic)
    _judged(link, packet, session, decision, now)


def _permitted(
    link: MqttLink,
    authorizer: Authorizer,
    packet: p.Publish,
    session: Session,
    decision: Decision,
    now: float,
) -> None:
    """The answer has come; if others decide by now, they are asked instead."""
    if authorizer is link.broker.authorizer:
        _judged(link, packet, session, decision, now)
    elif session.link is link:
        _permit(link, packet, session, now)


def _refuse_for_memory(link: MqttLink, packet: p.Publish, session: Session, now: float) -> None:
    """The memory is at its limit: take nothing that would have to be kept."""
    link.broker.metrics.refused_memory += 1
    text = "memory_limit is reached"
    if link.connection.version != 5:
        # 3.1.1 cannot refuse a message: without an acknowledgement, it will come again.
        link.fail(int(Reason.QUOTA_EXCEEDED), text, now)
    elif packet.qos == 2 and packet.packet_id in session.incoming:
        link.ack_when_safe(p.PUBREC, packet.packet_id, 0, bool(session.key))
    else:
        _refuse(link, packet, session, text, int(Reason.QUOTA_EXCEEDED))


def _note_allowed(link: MqttLink, topic: str) -> None:
    """The rules let it publish there: the fast lane need not ask."""
    allowed = link.allowed
    if allowed is not None and link.plain:
        if len(allowed) >= LINK_TOPICS_MAX:
            allowed.clear()
        allowed.add(topic.encode())


def _judged(
    link: MqttLink, packet: p.Publish, session: Session, decision: Decision, now: float
) -> None:
    """Whether it may be published was decided, at once or later."""
    if session.link is not link:
        return
    if decision.outcome == ALLOW:
        _pass_on(link, packet, session, now)
    else:
        text = decision.text or "not authorised"
        _refuse(link, packet, session, text, int(Reason.NOT_AUTHORIZED))


def _pass_on(link: MqttLink, packet: p.Publish, session: Session, now: float) -> None:
    """Give a message that may be published to the router, and acknowledge it."""
    qos = packet.qos
    router = link.broker.router
    if packet.topic[0] == "$" and packet.topic not in link.broker.queues.topics:
        name = queue_name(packet.topic)
        fault = "" if name is None else link.broker.queues.ensure(name)
        if fault:
            _refuse(link, packet, session, fault, int(Reason.TOPIC_NAME_INVALID))
            return
    if qos and link.broker.queues.full and _is_rejected(link, packet, session):
        return
    if qos == 2:
        # Not before: a client that leaves while it waits for leave or room sends it again.
        _take_incoming(link, packet, session)
    message = _message(link, packet, now)
    keeper = link.broker.keeper
    noted = 0 if keeper is None else keeper.journal.next_seq
    matched = router.publish(message, session, now)
    if router.crowded is not None:
        link.hold(router.crowded)
    if qos:
        link.ack_when_safe(
            p.PUBACK if qos == 1 else p.PUBREC,
            packet.packet_id,
            0 if matched else _NO_SUBSCRIBERS,
            # A topic that is retained no more has to be safe as well. (What is kept may be
            # a copy of the message, so its number says nothing. Orders have answers.)
            packet.retain
            or (qos == 2 and session.key > 0)
            or (
                keeper is not None and keeper.journal.next_seq != noted and packet.topic != _CONTROL
            ),
        )


def _take_incoming(link: MqttLink, packet: p.Publish, session: Session) -> None:
    """Note that a QoS 2 message was had: it may come again until its PUBREL does."""
    session.incoming.take(packet.packet_id)
    if session.key:
        link.journal().take_incoming(session.key, packet.packet_id)


def _message(link: MqttLink, packet: p.Publish, now: float) -> Message:
    properties = packet.properties
    expires_at = NEVER
    if properties is not None:
        expiry_s = properties.get_int(props.MESSAGE_EXPIRY_INTERVAL, -1)
        if expiry_s >= 0:
            expires_at = now + expiry_s
    return Message(
        packet.topic,
        packet.payload,
        packet.qos,
        packet.retain,
        properties,
        expires_at,
        link.client_id,
    )


def _refusal(link: MqttLink, packet: p.Publish) -> tuple[int, str]:
    """Why nobody may publish this: reason code and text; 0 when it may be asked further."""
    if link.mount:
        fault = fault_of_topic(link.mount, packet.topic)
        if fault:
            return int(Reason.TOPIC_NAME_INVALID), fault
    payload_max = link.broker.settings.payload_bytes_max
    if payload_max and len(packet.payload) > payload_max:
        return int(Reason.QUOTA_EXCEEDED), f"more than {payload_max} bytes of payload"
    text = never_written(packet.topic)
    return (int(Reason.NOT_AUTHORIZED), text) if text else (0, "")


def _refuse(link: MqttLink, packet: p.Publish, session: Session, text: str, reason: int) -> None:
    link.broker.metrics.refused_publishes += 1
    link.broker.hooks.denied(session.client_id, "publish", packet.topic, text)
    # 3.1.1 has no way to refuse a publish: it is acknowledged and goes nowhere (3.3.5).
    if link.connection.version != 5:
        reason = 0
    if packet.qos == 1:
        link.ack_when_safe(p.PUBACK, packet.packet_id, reason, False)
    elif packet.qos == 2:
        if not reason:
            _take_incoming(link, packet, session)
        link.ack_when_safe(p.PUBREC, packet.packet_id, reason, False)


def _is_kept(link: MqttLink, packet: p.Publish, session: Session) -> bool:
    """Whether a publish makes something to be written."""
    if not packet.qos:
        # Of retained topics only the last is collected, however many come.
        return link.broker.router.fills_stored_queue(packet.topic)
    if packet.retain or (packet.qos == 2 and session.key):
        return True
    if packet.topic == _CONTROL:
        return False  # orders are what may help when the disk is full
    receivers = link.broker.router.receivers(packet.topic)
    return bool(receivers.groups) or any(
        subscription.session.key for subscription in receivers.subscriptions
    )


def _is_rejected(link: MqttLink, packet: p.Publish, session: Session) -> bool:
    """Whether a full queue rejects a publish: with a reason, or by letting the client wait."""
    queue = link.broker.router.full_queue(packet.topic)
    if queue is None:
        return False
    queue.rejected += 1
    if link.connection.version == 5:
        text = f"the queue {queue.name} is full"
        _refuse(link, packet, session, text, int(Reason.QUOTA_EXCEEDED))
    else:
        link.wait_for(queue.wait_for_room(), lambda made, now: _pass_on(link, packet, session, now))
    return True


def _publish_later(link: MqttLink, packet: p.Publish, session: Session, keeper: Keeper) -> None:
    """The store does not follow, or cannot write: refuse, or let the client wait."""
    if keeper.journal.failing and link.connection.version == 5:
        if packet.qos == 2 and packet.packet_id in session.incoming:
            link.ack_when_safe(p.PUBREC, packet.packet_id, 0, bool(session.key))
            return
        text = "the store cannot be written"
        _refuse(link, packet, session, text, int(Reason.QUOTA_EXCEEDED))
        return
    # 3.1.1 cannot be told: it gets no acknowledgement, and is not read until it can have one.
    link.wait_for(keeper.wait(), lambda made, now: publish(link, packet, session, now))
