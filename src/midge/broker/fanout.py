"""One message to many receivers: encode once per wire form, append to many outboxes.

:class:`Receivers` is who gets what is published to a topic, sorted for that: the router remembers
one for each topic it has seen, and one object serves all topics with the same receivers.

:meth:`Fanout.forward_plain` is the fast lane: a chunk of plain QoS 0 packets is forwarded without
looking at them one by one as messages. It is the only place that skips stops of a message's way;
with it off everything behaves the same, slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midge.broker.delivery import MQTT_5, ZMTP, Delivery
from midge.broker.link import Link
from midge.broker.metrics import Metrics
from midge.broker.outbox import Outbox
from midge.broker.permission import NOBODY
from midge.broker.plain_run import PLAIN, PLAIN_BYTES_MAX, repeats, respell
from midge.broker.session import Session, Subscription
from midge.errors import MidgeError
from midge.limits import KNOWN_EXTRAS_MAX
from midge.message import Message
from midge.mqtt import packets as p
from midge.mqtt.property_codec import decode_properties

if TYPE_CHECKING:
    from midge.broker.pressure import Pressure
    from midge.broker.router import Router
    from midge.broker.taker import Taker
    from midge.config.settings import Settings

_NEW: Final = object()


class Receivers:
    """Who is entitled to a topic.

    Attributes:
        subscriptions: the ordinary ones.
        groups: the shared ones, and queues.
        barred: members of them that may not have this topic.
        identity: by what the router finds this object again for another topic.
        mqtt3, mqtt5: the outboxes of the ordinary ones by wire form, once for each subscription.
        bare: some of all these know no properties.
        plain: all of them take a QoS 0 packet of up to ``PLAIN_BYTES_MAX`` as it is: there are no
            identifiers, own-message rules, aliases, mount points, queues or smaller maximum packet
            sizes, and nobody gets two copies (a run would change their order).
    """

    __slots__ = (
        "bare",
        "barred",
        "groups",
        "identity",
        "mqtt3",
        "mqtt5",
        "plain",
        "subscriptions",
    )

    def __init__(
        self,
        subscriptions: list[Subscription],
        groups: list[Taker],
        identity: tuple[int, ...] = (),
        barred: frozenset[Session] = NOBODY,
    ) -> None:
        self.identity = identity
        self.barred = barred
        self.subscriptions = subscriptions
        self.groups = groups
        self.mqtt3: list[Outbox] = []
        self.mqtt5: list[Outbox] = []
        for subscription in subscriptions:
            outbox = subscription.outbox
            (self.mqtt5 if outbox.form == MQTT_5 else self.mqtt3).append(outbox)
        everybody = [*subscriptions]
        for group in groups:
            everybody += group.members
        self.bare = any(one.outbox.form != MQTT_5 for one in everybody)
        self.plain = (
            not barred
            and all(group.shares_runs for group in groups)
            and all(map(_is_plain, everybody))
            and len({id(one.outbox) for one in everybody}) == len(everybody)
        )


def _is_plain(subscription: Subscription) -> bool:
    """Whether it takes plain packets as they are."""
    outbox = subscription.outbox
    return not (
        subscription.ids
        or subscription.no_local
        or outbox.own
        or outbox.form == ZMTP
        or 0 < outbox.packet_bytes_max <= PLAIN_BYTES_MAX
    )


class Fanout:
    """Distributes messages to outboxes."""

    __slots__ = ("_known_extras", "_metrics", "_settings")

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        #: Property sections by their bytes: whether they travel unchanged; ``None``: seen once.
        self._known_extras: dict[bytes, bool | None] = {}

    def deliver(
        self, message: Message, receivers: Receivers, origin: Session | None, now: float
    ) -> Pressure | None:
        """Give ``message`` to all receivers; returns what its publisher should wait for."""
        crowded: Pressure | None = None
        upgrade = self._settings.upgrade_outgoing_qos
        # One for all who get it in the same form; nearly always it is the same for everybody.
        delivery: Delivery | None = None
        last_variant = -1
        made: dict[int, Delivery] | None = None
        for subscription in receivers.subscriptions:
            if subscription.no_local and subscription.session is origin:
                continue
            qos = subscription.qos
            if message.qos < qos and not upgrade:
                qos = message.qos
            retain = message.retain and subscription.retain_as_published
            if subscription.ids:
                given = Delivery(message, qos, retain, subscription.ids)
            else:
                variant = qos | retain << 2
                if delivery is None:
                    delivery = Delivery(message, qos, retain)
                elif variant != last_variant:
                    if made is None:
                        made = {last_variant: delivery}
                    delivery = made.get(variant)
                    if delivery is None:
                        made[variant] = delivery = Delivery(message, qos, retain)
                last_variant = variant
                given = delivery
            outbox = subscription.outbox
            outbox.deliver(given, now)
            if outbox.crowded and not outbox.stalled:
                crowded = outbox
        for group in receivers.groups:
            pressed = group.take(message, receivers.barred, now)
            if pressed is not None:
                crowded = pressed
        return crowded

    def forward_plain(
        self, data: bytes, version: int, router: Router, link: Link, now: float
    ) -> int:
        """Forward the plain packets at the beginning of ``data``; returns how far it came.

        It stops before the first packet that is not a QoS 0 PUBLISH without any extra but known
        properties, that is incomplete or longer than ``PLAIN_BYTES_MAX``, whose receivers need more
        than its bytes, or whose publisher must be asked about.
        Consecutive packets to the same receivers go out as one slice of ``data``; where a topic
        comes twice running, the packets that begin with the same bytes as the one before them have
        its length and topic, and need no further look.
        """
        size = len(data)
        routes = router.plain_routes
        allowed = link.allowed
        receivers: Receivers | None = None
        topic = b""
        pos = run_start = 0
        count = payload = 0  # packets of the run so far, and their bytes of payload
        extra = 0  # bytes between topic and payload: in 5.0 the properties, with their length
        while pos + 4 < size and data[pos] == PLAIN:
            length = data[pos + 1]
            start = pos + 2
            if length >= 0x80:
                length = length & 0x7F | data[start] << 7
                start += 1
                if length >= 0x4000 or length < 0x80:
                    break  # three bytes and more, or an overlong form
            end = start + length
            if end > size:
                break
            body = start + 2 + (data[start] << 8 | data[start + 1])
            if version == 5:
                if body >= end:
                    break
                extra = data[body] + 1
            if body + extra > end:
                break
            if extra > 1 and not self._travels(data[body : body + extra]):
                break
            last_topic = topic
            topic = data[start + 2 : body]
            if topic == last_topic and receivers is not None and not (extra > 1 and receivers.bare):
                # So they are the same again.
                prefix = data[pos : body + extra]
                step = end - pos
                like = 1 + repeats(data, prefix, end, step)
                pos += like * step
                count += like
                payload += like * (step - len(prefix))
                continue
            if allowed is not None and topic not in allowed:
                break
            found = routes.get(topic)
            if found is None:
                found = router.learn(topic)
                if found is None or not found.plain:
                    break
            if extra > 1 and found.bare:
                break  # who has no properties gets another packet
            if found is not receivers:
                if receivers is not None:
                    self._append_run(
                        receivers, data[run_start:pos], count, payload, version, link, now
                    )
                    count = payload = 0
                receivers = found
                run_start = pos
            count += 1
            payload += end - body - extra
            pos = end
        if receivers is not None:
            self._append_run(receivers, data[run_start:pos], count, payload, version, link, now)
        return pos

    def _travels(self, section: bytes) -> bool:
        """Whether these properties, with their length, are known to be right and go on unchanged.

        A section that came before is looked into once: many publishers send the same with each
        message, and those whose sections differ each time need not be looked into twice.
        """
        known = self._known_extras
        found = known.get(section, _NEW)
        if found is _NEW:
            if len(known) >= KNOWN_EXTRAS_MAX:
                known.clear()
            known[section] = None
            return False
        if found is None:
            found = known[section] = _all_travel(section)
        return bool(found)

    def _append_run(
        self,
        receivers: Receivers,
        run: bytes,
        count: int,
        payload: int,
        version: int,
        link: Link,
        now: float,
    ) -> None:
        metrics = self._metrics
        metrics.publish_received += count
        metrics.packets_received += count
        metrics.publish_bytes_received += payload
        if receivers.mqtt3:
            data = run if version != 5 else respell(run, 5)
            for outbox in receivers.mqtt3:
                outbox.append_run(data, count, payload, now)
                if outbox.crowded and not outbox.stalled:
                    link.hold(outbox)
        if receivers.mqtt5:
            data = run if version == 5 else respell(run, 4)
            for outbox in receivers.mqtt5:
                outbox.append_run(data, count, payload, now)
                if outbox.crowded and not outbox.stalled:
                    link.hold(outbox)
        for group in receivers.groups:
            group.take_run(run, count, payload, version, link, now)


def _all_travel(section: bytes) -> bool:
    if section[0] >= 0x80 or len(section) != 1 + section[0]:
        return False  # long ones, and those that are cut off, take the long way
    try:
        properties, _ = decode_properties(section, 0, len(section), p.PUBLISH)
    except MidgeError:
        return False  # the long way says what is wrong
    return properties is not None and properties.forwarded is not None
