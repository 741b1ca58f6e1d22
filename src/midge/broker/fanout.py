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
from midge.broker.session import Session, Subscription
from midge.errors import MidgeError
from midge.limits import KNOWN_EXTRAS_MAX
from midge.message import Message
from midge.mqtt import packets as p
from midge.mqtt.property_codec import decode_properties

if TYPE_CHECKING:
    from midge.broker.pressure import Pressure
    from midge.broker.queue import Queue
    from midge.broker.router import Router
    from midge.config.settings import Settings

#: First byte of a PUBLISH at QoS 0 that is neither a duplicate nor retained.
_PLAIN: Final = 0x30
_NEW: Final = object()
#: The fast lane takes packets with at most two bytes of length: these, and three of header.
PLAIN_BYTES_MAX: Final = 0x4000 + 3


class Receivers:
    """Who is entitled to a topic.

    Attributes:
        subscriptions: the ordinary ones.
        groups: the shared ones, and queues.
        barred: members of them that may not have this topic.
        identity: by what the router finds this object again for another topic.
        mqtt3, mqtt5: their outboxes by wire form, once for each subscription.
        plain: all of them take a QoS 0 packet of up to ``PLAIN_BYTES_MAX`` as it is: there are no
            identifiers, own-message rules, aliases, mount points, groups or smaller maximum packet
            sizes, and nobody gets two copies (a run would change their order).
    """

    __slots__ = ("barred", "groups", "identity", "mqtt3", "mqtt5", "plain", "subscriptions")

    def __init__(
        self,
        subscriptions: list[Subscription],
        groups: list[Queue],
        identity: tuple[int, ...] = (),
        barred: frozenset[Session] = NOBODY,
    ) -> None:
        self.identity = identity
        self.barred = barred
        self.subscriptions = subscriptions
        self.groups = groups
        self.mqtt3: list[Outbox] = []
        self.mqtt5: list[Outbox] = []
        self.plain = not groups
        for subscription in subscriptions:
            outbox = subscription.outbox
            if subscription.ids or subscription.no_local or outbox.own:
                self.plain = False
            if outbox.form == ZMTP or 0 < outbox.packet_bytes_max <= PLAIN_BYTES_MAX:
                self.plain = False
            (self.mqtt5 if outbox.form == MQTT_5 else self.mqtt3).append(outbox)
        if len({id(subscription.outbox) for subscription in subscriptions}) < len(subscriptions):
            self.plain = False


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
        made: dict[int, Delivery] = {}  # one for all who get it in the same form
        delivery: Delivery | None = None
        last_variant = -1
        for subscription in receivers.subscriptions:
            if subscription.no_local and subscription.session is origin:
                continue
            qos = subscription.qos
            if message.qos < qos and not upgrade:
                qos = message.qos
            retain = message.retain and subscription.retain_as_published
            if subscription.ids:
                delivery = Delivery(message, qos, retain, subscription.ids)
                last_variant = -1
            else:
                variant = qos | retain << 2
                if variant != last_variant or delivery is None:
                    delivery = made.get(variant)
                    if delivery is None:
                        made[variant] = delivery = Delivery(message, qos, retain)
                    last_variant = variant
            outbox = subscription.outbox
            outbox.deliver(delivery, now)
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
        while pos + 4 < size and data[pos] == _PLAIN:
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
            if (
                topic == last_topic
                and receivers is not None
                and not (extra > 1 and receivers.mqtt3)
            ):
                # So they are the same again.
                prefix = data[pos : body + extra]
                step = end - pos
                first = pos
                pos = end
                last = size - step
                while pos <= last and data.startswith(prefix, pos):
                    pos += step
                repeats = (pos - first) // step
                count += repeats
                payload += repeats * (step - len(prefix))
                continue
            if allowed is not None and topic not in allowed:
                break
            found = routes.get(topic)
            if found is None:
                found = router.learn(topic)
                if found is None or not found.plain:
                    break
            if extra > 1 and found.mqtt3:
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


def _all_travel(section: bytes) -> bool:
    if section[0] >= 0x80 or len(section) != 1 + section[0]:
        return False  # long ones, and those that are cut off, take the long way
    try:
        properties, _ = decode_properties(section, 0, len(section), p.PUBLISH)
    except MidgeError:
        return False  # the long way says what is wrong
    return properties is not None and properties.forwarded is not None


def respell(run: bytes, version: int) -> bytes:
    """A run of plain packets of one version in the form of the other.

    The only difference is the byte of the property length, zero, between topic and payload.
    """
    pieces: list[bytes] = []
    pos = 0
    size = len(run)
    while pos < size:
        length = run[pos + 1]
        start = pos + 2
        if length >= 0x80:
            length = length & 0x7F | run[start] << 7
            start += 1
        end = start + length
        body = start + 2 + (run[start] << 8 | run[start + 1])
        if version == 5:
            pieces.append(_header(length - 1))
            pieces.append(run[start:body])
            pieces.append(run[body + 1 : end])
        else:
            pieces.append(_header(length + 1))
            pieces.append(run[start:body])
            pieces.append(b"\0" + run[body:end])
        pos = end
    return b"".join(pieces)


def _header(length: int) -> bytes:
    """The fixed header of a plain PUBLISH of up to 2 MiB."""
    if length < 0x80:
        return bytes((_PLAIN, length))
    if length < 0x4000:
        return bytes((_PLAIN, length & 0x7F | 0x80, length >> 7))
    return bytes((_PLAIN, length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14))
