"""Packets as values: equal by their fields, and readable."""

from __future__ import annotations

import copy
import inspect

import pytest
from hypothesis import given

from midge.mqtt import packets as p
from midge.mqtt.connection import Violation
from midge.mqtt.properties import Properties
from tests.strategies import versions_and_packets

CLASSES = [
    cls
    for cls in (*vars(p).values(), Violation)
    if isinstance(cls, type) and issubclass(cls, p.Packet) and cls not in (p.Packet, p._Ack)
]


def test_each_packet_type_has_a_class_and_a_name() -> None:
    types = {cls.type: cls for cls in CLASSES if cls.type}
    assert sorted(types) == list(range(1, 16))
    for packet_type, cls in types.items():
        assert p.NAMES[packet_type] == cls.__name__.upper()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_fields_are_the_arguments_of_the_constructor(cls: type[p.Packet]) -> None:
    arguments = tuple(inspect.signature(cls).parameters) if "__init__" in dir(cls) else ()
    if cls in (p.Pingreq, p.Pingresp):
        arguments = ()
    assert cls.__match_args__ == arguments


@pytest.mark.source_only("it gives compiled code what its types do not allow")
@given(versions_and_packets)
def test_a_packet_equals_its_copy_until_any_field_differs(drawn: tuple[int, p.Packet]) -> None:
    _, packet = drawn
    assert packet == copy.deepcopy(packet)
    for name in packet.__match_args__:
        other = copy.deepcopy(packet)
        setattr(other, name, "something else")
        assert packet != other


def test_packets_with_the_same_fields_and_another_type_are_not_equal() -> None:
    assert p.Puback(1) != p.Pubrec(1)
    assert p.Pingreq() != p.Pingresp()
    assert p.Pingreq() == p.Pingreq()
    assert Violation(0x82, "a") != Violation(0x82, "b")
    assert p.Publish("t", properties=Properties.of(topic_alias=1)) != p.Publish("t")


@pytest.mark.parametrize("packet", [p.Pingreq(), p.Puback(1), p.Publish("t")], ids=repr)
def test_a_packet_is_not_for_sets(packet: p.Packet) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(packet)


def test_the_repr_is_the_call_that_makes_it() -> None:
    packet = p.Subscribe(7, [p.SubscribeTo("a/#", 1)], Properties.of(subscription_identifier=[3]))
    assert repr(packet) == (
        "Subscribe(packet_id=7, entries=[SubscribeTo(filter='a/#', qos=1, no_local=False, "
        "retain_as_published=False, retain_handling=0)], properties={subscription_identifier: [3]})"
    )
    assert repr(p.Pingreq()) == "Pingreq()"
    assert repr(p.Puback(1, 0x10)) == "Puback(packet_id=1, reason=16, properties=None)"


def test_a_packet_can_be_matched_by_its_fields() -> None:
    match p.Publish("t", b"x", 1, packet_id=7):
        case p.Publish(topic, payload, qos, packet_id=packet_id):
            assert (topic, payload, qos, packet_id) == ("t", b"x", 1, 7)
        case _:
            pytest.fail("a PUBLISH did not match itself")
