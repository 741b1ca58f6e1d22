"""Hypothesis strategies for everything that stands in an MQTT packet, and for the packets.

What is drawn here is valid: encoder and decoder must take it. ``packets(version)`` draws any packet
of a version; the function of one packet, such as ``publishes(version)``, draws only that one.
Values are kept short, so that a failing example is readable; the lengths where an encoding changes
are a matter for tables in the tests themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from midge.limits import VARINT_MAX
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import ALLOWED

VERSIONS: Final = (p.MQTT_31, p.MQTT_311, p.MQTT_5)

#: A few characters that matter to topics and UTF-8, and any other that MQTT allows.
_characters = st.one_of(
    st.sampled_from("ab /$\ufeff\u00e9\u20ac\U0001f41d\x7f"),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
)

versions: Final = st.sampled_from(VERSIONS)
texts: Final = st.text(_characters, max_size=12)
binaries: Final = st.binary(max_size=20)
packet_ids: Final = st.integers(1, 65_535)
qualities: Final = st.integers(0, 2)
user_properties: Final = st.lists(st.tuples(texts, texts), max_size=3)

#: A level of a topic: the empty one is one, too.
_levels = st.text(
    st.one_of(
        st.sampled_from("ab$ \ufeff\u00e9"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0+#/"),
    ),
    max_size=4,
)
topics: Final = st.lists(_levels, min_size=1, max_size=4).map("/".join).filter(bool)
plain_filters: Final = (
    st.tuples(st.lists(_levels | st.just("+"), min_size=1, max_size=4), st.booleans())
    .map(lambda drawn: "/".join([*drawn[0], "#"] if drawn[1] else drawn[0]))
    .filter(lambda filter: filter and not filter.startswith("$share/"))
)
shared_filters: Final = st.builds(
    "$share/{}/{}".format, _levels.filter(bool), plain_filters.filter(bool)
)
filters: Final = plain_filters | shared_filters

#: Integers that need one to four bytes, those at the borders more often than others.
varints: Final = st.one_of(
    st.sampled_from([0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, VARINT_MAX]),
    st.integers(0, VARINT_MAX),
)

_VALUES: Final[dict[int, SearchStrategy[int | str | bytes]]] = {
    props.BYTE: st.integers(0, 1),
    props.TWO_BYTES: st.integers(0, 0xFFFF),
    props.FOUR_BYTES: st.integers(0, 0xFFFF_FFFF),
    props.STRING: texts,
    props.BINARY: binaries,
}


def _value(identifier: int, kind: int) -> SearchStrategy[int | str | bytes]:
    if identifier == props.RESPONSE_TOPIC:
        return topics
    if identifier in props.NOT_ZERO:
        return _VALUES[kind].filter(bool)
    return _VALUES[kind]


@functools.cache  # strategies are slow to make, and `flatmap` makes them again for each example
def properties(
    packet_type: int, required: tuple[int, ...] = (), without: tuple[int, ...] = ()
) -> SearchStrategy[Properties | None]:
    """Properties that may stand in a packet; ``None`` for none at all, and never empty.

    Args:
        packet_type: whose they are; ``props.WILL`` for those of a will.
        required: identifiers of those that always stand there.
        without: identifiers of those that never do.
    """
    places = {row[0]: row[3] for row in props.TABLE}
    single = {
        identifier: _value(identifier, kind)
        for identifier, _, kind, _ in props.TABLE
        if kind not in (props.PAIR, props.VARINT)
        and packet_type in places[identifier]
        and identifier not in without
    }
    ids: SearchStrategy[list[int]] = st.just([])
    if packet_type in places[props.SUBSCRIPTION_IDENTIFIER]:
        most = 1 if packet_type == p.SUBSCRIBE else 3
        ids = st.lists(varints.filter(bool), max_size=most)
    values = st.fixed_dictionaries(
        {key: single[key] for key in required},
        optional={key: single[key] for key in single if key not in required},
    )
    return st.builds(_properties, values, user_properties, ids)


def _properties(
    values: dict[int, int | str | bytes], user: list[tuple[str, str]], ids: list[int]
) -> Properties | None:
    if props.AUTHENTICATION_METHOD not in values:
        values.pop(props.AUTHENTICATION_DATA, None)
    return Properties(values, user, ids) or None


def _extras(version: int, packet_type: int) -> SearchStrategy[Properties | None]:
    return properties(packet_type) if version == p.MQTT_5 else st.none()


def _reasons(version: int, packet_type: int) -> SearchStrategy[int]:
    return st.sampled_from(sorted(ALLOWED[packet_type])) if version == p.MQTT_5 else st.just(0)


# -- coming and going ----------------------------------------------------------------------------


def wills(version: int) -> SearchStrategy[p.Will]:
    """The will of a CONNECT."""
    return st.builds(
        p.Will, topics, binaries, qualities, st.booleans(), _extras(version, props.WILL)
    )


def connects(version: int) -> SearchStrategy[p.Connect]:
    """CONNECT."""
    usernames = st.none() | texts
    credentials = st.tuples(usernames, st.none() | binaries)
    if version != p.MQTT_5:
        # A password without a user name is for 5.0 only.
        credentials = credentials.filter(lambda drawn: drawn[0] is not None or drawn[1] is None)
    return st.builds(
        lambda credentials, **named: p.Connect(
            username=credentials[0], password=credentials[1], **named
        ),
        credentials,
        client_id=texts,
        version=st.just(version),
        clean_start=st.booleans(),
        keepalive_s=st.integers(0, 65_535),
        will=st.none() | wills(version),
        properties=_extras(version, p.CONNECT),
        bridge=st.booleans() if version != p.MQTT_5 else st.just(False),
    )


def connacks(version: int) -> SearchStrategy[p.Connack]:
    """CONNACK; one that refuses never has a session present."""
    reasons = _reasons(version, p.CONNACK) if version == p.MQTT_5 else st.integers(0, 5)
    return st.builds(
        lambda reason, present, properties: p.Connack(reason, present and not reason, properties),
        reasons,
        st.booleans(),
        _extras(version, p.CONNACK),
    )


def disconnects(version: int) -> SearchStrategy[p.Disconnect]:
    """DISCONNECT."""
    return st.builds(p.Disconnect, _reasons(version, p.DISCONNECT), _extras(version, p.DISCONNECT))


def auths() -> SearchStrategy[p.Auth]:
    """AUTH, 5.0 only."""
    return st.just(p.Auth()) | st.builds(
        p.Auth,
        _reasons(p.MQTT_5, p.AUTH),
        properties(p.AUTH, required=(props.AUTHENTICATION_METHOD,)),
    )


# -- messages ----------------------------------------------------------------------------------


@functools.cache
def publishes(version: int) -> SearchStrategy[p.Publish]:
    """PUBLISH, in 5.0 with and without a topic alias."""
    with_topic = st.builds(
        _publish,
        topics,
        binaries,
        qualities,
        st.booleans(),
        st.booleans(),
        packet_ids,
        _extras(version, p.PUBLISH),
    )
    if version != p.MQTT_5:
        return with_topic
    return with_topic | st.builds(
        _publish,
        st.just(""),
        binaries,
        qualities,
        st.booleans(),
        st.booleans(),
        packet_ids,
        properties(p.PUBLISH, required=(props.TOPIC_ALIAS,)),
    )


def _publish(
    topic: str,
    payload: bytes,
    qos: int,
    retain: bool,
    dup: bool,
    packet_id: int,
    properties: Properties | None,
) -> p.Publish:
    if not qos:
        return p.Publish(topic, payload, 0, retain, properties=properties)
    return p.Publish(topic, payload, qos, retain, dup, packet_id, properties)


def acks(version: int) -> SearchStrategy[p.Packet]:
    """PUBACK, PUBREC, PUBREL and PUBCOMP."""
    classes: list[tuple[int, type[p.Puback | p.Pubrec | p.Pubrel | p.Pubcomp]]] = [
        (p.PUBACK, p.Puback),
        (p.PUBREC, p.Pubrec),
        (p.PUBREL, p.Pubrel),
        (p.PUBCOMP, p.Pubcomp),
    ]
    drawn: list[SearchStrategy[p.Packet]] = [
        st.builds(cls, packet_ids, _reasons(version, packet_type), _extras(version, packet_type))
        for packet_type, cls in classes
    ]
    return st.one_of(drawn)


# -- subscriptions --------------------------------------------------------------------------------


def subscription_entries(version: int) -> SearchStrategy[p.SubscribeTo]:
    """One entry of a SUBSCRIBE; No Local is never set for a shared subscription."""
    if version != p.MQTT_5:
        return st.builds(p.SubscribeTo, filters, qualities)
    flags = (st.booleans(), st.integers(0, 2))
    return st.builds(p.SubscribeTo, plain_filters, qualities, st.booleans(), *flags) | st.builds(
        p.SubscribeTo, shared_filters, qualities, st.just(False), *flags
    )


def subscribes(version: int) -> SearchStrategy[p.Subscribe]:
    """SUBSCRIBE."""
    entries = st.lists(subscription_entries(version), min_size=1, max_size=3)
    return st.builds(p.Subscribe, packet_ids, entries, _extras(version, p.SUBSCRIBE))


def subacks(version: int) -> SearchStrategy[p.Suback]:
    """SUBACK."""
    reasons = (
        _reasons(version, p.SUBACK) if version == p.MQTT_5 else st.sampled_from([0, 1, 2, 0x80])
    )
    return st.builds(
        p.Suback,
        packet_ids,
        st.lists(reasons, min_size=1, max_size=4),
        _extras(version, p.SUBACK),
    )


def unsubscribes(version: int) -> SearchStrategy[p.Unsubscribe]:
    """UNSUBSCRIBE."""
    wanted = st.lists(filters, min_size=1, max_size=3)
    return st.builds(p.Unsubscribe, packet_ids, wanted, _extras(version, p.UNSUBSCRIBE))


def unsubacks(version: int) -> SearchStrategy[p.Unsuback]:
    """UNSUBACK, which has reason codes in 5.0 only."""
    if version != p.MQTT_5:
        return st.builds(p.Unsuback, packet_ids)
    reasons = st.lists(_reasons(version, p.UNSUBACK), min_size=1, max_size=4)
    return st.builds(p.Unsuback, packet_ids, reasons, _extras(version, p.UNSUBACK))


# -- any ----------------------------------------------------------------------------------------

_BY_VERSION: Final[tuple[Callable[[int], SearchStrategy[p.Packet]], ...]] = (
    connects,
    connacks,
    publishes,
    acks,
    subscribes,
    subacks,
    unsubscribes,
    unsubacks,
    disconnects,
)


@functools.cache
def packets(version: int) -> SearchStrategy[p.Packet]:
    """Any packet of a version, from either side."""
    drawn = [strategy(version) for strategy in _BY_VERSION]
    drawn += [st.just(p.Pingreq()), st.just(p.Pingresp())]
    if version == p.MQTT_5:
        drawn.append(auths())
    return st.one_of(drawn)


@functools.cache
def client_packets(version: int) -> SearchStrategy[p.Packet]:
    """A packet that a connected client may send, as far as its type goes."""
    drawn: list[SearchStrategy[p.Packet]] = [
        publishes(version),
        acks(version),
        subscribes(version),
        unsubscribes(version),
        st.just(p.Pingreq()),
    ]
    return st.one_of(drawn)


#: A version, and any packet of it.
versions_and_packets: Final = st.one_of(
    [st.tuples(st.just(version), packets(version)) for version in VERSIONS]
)
