"""The client's Maximum Packet Size against every packet that the broker sends (5.0 3.1.2.11.4).

The statements forbid reason strings and user properties that would make a packet too large. What
can be seen from outside is that no packet of any kind ever is, for every limit from the smallest,
and that what has to come still comes where it fits.
"""

from __future__ import annotations

import pytest

from midge.auth.base import ALLOWED, PUBLISH, Decision, Identity, deny
from midge.mqtt import packets as p
from midge.mqtt.decode import packet_length
from midge.testing.pair import Peer, World
from tests.conformance.support import having


class Explains:
    """Forbids what begins with ``secret``, at length."""

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        return deny("because " * 20) if topic.startswith("secret") else ALLOWED

    def authenticate(self, client: Identity, password: bytes | None) -> Decision:
        return ALLOWED if password is None else deny("because " * 20)


def sizes(peer: Peer) -> list[int]:
    """The lengths of the packets that came."""
    data = peer.raw()
    found = []
    pos = 0
    while pos < len(data):
        _, end = packet_length(data, pos)
        found.append(end - pos)
        pos = end
    return found


def limited(world: World, limit: int, problem_information: int = 1) -> Peer:
    """A connected client that takes packets of ``limit`` bytes."""
    client = world.connect(
        "c",
        properties=having(
            maximum_packet_size=limit,
            request_problem_information=problem_information,
            session_expiry_interval=3600,
        ),
    )
    assert client.connack is not None
    assert client.connack.reason == 0
    return client


ACKNOWLEDGED: dict[str, list[p.Packet]] = {
    "PUBACK": [p.Publish("t", qos=1, packet_id=1), p.Publish("secret", qos=1, packet_id=2)],
    "PUBREC": [p.Publish("t", qos=2, packet_id=1), p.Publish("secret", qos=2, packet_id=2)],
    "PUBREL": [p.Pubrec(7), p.Pubrec(8)],
    "PUBCOMP": [p.Pubrel(7), p.Pubrel(8)],
    "SUBACK": [p.Subscribe(1, [p.SubscribeTo("t"), p.SubscribeTo("secret")])],
    "UNSUBACK": [p.Unsubscribe(1, ["t", "secret", "u"])],
}


def smallest_limit() -> int:
    """The smallest Maximum Packet Size that a client can connect with: its CONNACK must fit."""
    for limit in range(1, 100):
        peer = World().connect("c", properties=having(maximum_packet_size=limit))
        if not peer.closed:
            return limit
    raise AssertionError("nobody can connect")


@pytest.mark.spec("MQTT-3.1.2-24", "MQTT-3.4.2-2", "MQTT-3.4.2-3", "MQTT-3.5.2-2", "MQTT-3.5.2-3")
@pytest.mark.spec("MQTT-3.6.2-2", "MQTT-3.6.2-3", "MQTT-3.7.2-2", "MQTT-3.7.2-3")
@pytest.mark.spec("MQTT-3.9.2-1", "MQTT-3.9.2-2", "MQTT-3.11.2-1", "MQTT-3.11.2-2")
@pytest.mark.parametrize("kind", ACKNOWLEDGED)
def test_no_answer_is_larger_than_the_client_takes(kind: str) -> None:
    smallest = smallest_limit()
    for limit in [*range(smallest, smallest + 30), 100, 200, 300]:
        client = limited(World(authorizer=Explains()), limit)
        client.send(*ACKNOWLEDGED[kind])
        found = sizes(client)
        assert len(found) == len(ACKNOWLEDGED[kind])
        assert all(size <= limit for size in found)
        assert not client.closed


@pytest.mark.spec("MQTT-3.1.2-24", "MQTT-3.9.2-1", "MQTT-3.11.2-1")
@pytest.mark.parametrize("kind", ["SUBACK", "UNSUBACK"])
def test_an_answer_that_cannot_fit_even_so_is_not_sent(kind: str) -> None:
    limit = smallest_limit()
    for count in range(1, limit + 10):
        client = limited(World(), limit)
        if kind == "SUBACK":
            client.send(p.Subscribe(1, [p.SubscribeTo(str(n)) for n in range(count)]))
        else:
            client.send(p.Unsubscribe(1, [str(n) for n in range(count)]))
        found = sizes(client)
        assert all(size <= limit for size in found)
        if count <= limit - 5:  # two bytes of header, the identifier, the property length
            assert found == [5 + count]
        else:
            assert client.closed, "a request was swallowed"


@pytest.mark.spec("MQTT-3.2.2-19", "MQTT-3.2.2-20", "MQTT-3.1.2-24")
@pytest.mark.parametrize("refused", [False, True])
def test_a_connack_is_not_larger_than_the_client_takes(refused: bool) -> None:
    largest = 0
    for limit in [*range(1, 60), 300]:
        world = World(authenticator=Explains())
        peer = world.peer(5)
        peer.send(
            p.Connect(
                "c",
                username="u",
                password=b"p" if refused else None,
                properties=having(maximum_packet_size=limit),
            )
        )
        found = sizes(peer)
        assert all(size <= limit for size in found), f"{found} with a limit of {limit}"
        assert len(found) <= 1
        if refused:
            assert peer.closed
            assert found or limit < 5
        largest = max(largest, *found, 0)
    assert largest > (20 if refused else 5), "the long form was never sent"


@pytest.mark.spec("MQTT-3.1.2-29")
@pytest.mark.parametrize("asked", [0, 1])
def test_without_problem_information_only_connack_disconnect_and_publish_explain(
    asked: int,
) -> None:
    world = World(authorizer=Explains())
    client = limited(world, 2000, asked)
    client.subscribe("forwarded", 1)
    for packets in ACKNOWLEDGED.values():
        client.send(*packets)
    user = having(user=[("a", "b")])
    world.connect("pub").publish("forwarded", b"x", 1, properties=user)
    packets = client.take()
    assert {type(packet) for packet in packets} >= {
        p.Puback,
        p.Pubrec,
        p.Pubrel,
        p.Pubcomp,
        p.Suback,
        p.Unsuback,
        p.Publish,
    }
    for packet in packets:
        properties = getattr(packet, "properties", None)
        if isinstance(packet, p.Publish):
            assert properties == user
        elif properties is not None and asked == 0:
            assert 0x1F not in properties.values
            assert not properties.user


def test_the_authorizer_of_these_tests_forbids_something() -> None:
    identity = Identity("c")
    assert Explains().authorize(identity, PUBLISH, "secret/x").outcome != ALLOWED.outcome
