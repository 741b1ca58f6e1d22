"""A client and a model of a server over a breaking wire: nothing is lost, nothing comes twice."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from midge.client.core import Client, Event
from midge.client.events import Published, Received
from midge.mqtt import packets as p
from tests.unit.client.server import ModelServer

CUTS = st.one_of(st.none(), st.integers(0, 60))


class ClientOverABreakingWire(RuleBasedStateMachine):
    """Both sides publish; the wire breaks between and within packets; at the end all is settled."""

    @initialize(
        receive_maximum=st.integers(1, 5),
        auto_ack=st.booleans(),
        version=st.sampled_from([4, 5]),
    )
    def start(self, receive_maximum: int, auto_ack: bool, version: int) -> None:
        self.client = Client(
            p.Connect("c", version, clean_start=False, keepalive_s=0),
            inflight_messages_max=receive_maximum,
            auto_ack=auto_ack,
        )
        self.server = ModelServer(self.client, receive_maximum)
        self.tokens: dict[int, bytes] = {}
        self.settled: list[int] = []
        self.published: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
        self.sent_to_client: dict[int, list[bytes]] = {1: [], 2: []}
        self.received: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
        self.unacknowledged: list[p.Publish] = []
        self.server.connect()

    @rule(qos=st.integers(0, 2))
    def client_publishes(self, qos: int) -> None:
        payload = f"{qos}-{len(self.published[qos])}".encode()
        self.published[qos].append(payload)
        token = self.client.publish("t", payload, self.server.now, qos)
        if token:
            self.tokens[token] = payload

    @rule(qos=st.integers(1, 2))
    def server_publishes(self, qos: int) -> None:
        payload = f"{qos}-{len(self.sent_to_client[qos])}".encode()
        self.sent_to_client[qos].append(payload)
        self.server.publish(payload, qos)

    @rule()
    def bytes_reach_the_server(self) -> None:
        self.server.client_to_server()

    @rule()
    def bytes_reach_the_client(self) -> None:
        self.note(self.server.server_to_client())

    @rule(to_server=CUTS, to_client=CUTS)
    def the_wire_breaks(self, to_server: int | None, to_client: int | None) -> None:
        self.server.client_to_server(to_server)
        self.note(self.server.server_to_client(to_client))
        self.server.lose()
        self.server.connect()

    @precondition(lambda self: self.unacknowledged)
    @rule(data=st.data())
    def owner_acknowledges(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.unacknowledged) - 1))
        self.client.acknowledge(self.unacknowledged.pop(index), self.server.now)

    def note(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received):
                self.received[event.qos].append(event.payload)
                if not self.client.auto_ack:
                    self.unacknowledged.append(event)
            elif isinstance(event, Published):
                assert event.reason == 0
                self.settled.append(event.token)

    @invariant()
    def the_server_never_has_more_than_it_allows(self) -> None:
        if hasattr(self, "server"):
            assert self.server.most_in_hand <= self.server.receive_maximum

    def teardown(self) -> None:
        if not hasattr(self, "server"):
            return
        for _ in range(1000):
            self.server.client_to_server()
            self.note(self.server.server_to_client())
            while self.unacknowledged:
                self.client.acknowledge(self.unacknowledged.pop(0), self.server.now)
            if self.client.session.idle() and self.server.idle() and self.client.connected:
                break
        else:
            raise AssertionError("the exchange does not come to an end")
        taken = {
            qos: [payload for payload in self.server.taken if payload.startswith(b"%d-" % qos)]
            for qos in range(3)
        }
        assert taken[2] == self.published[2]
        assert first_of_each(taken[1]) == self.published[1]
        assert is_subsequence(taken[0], self.published[0])
        assert self.received[2] == self.sent_to_client[2]
        assert first_of_each(self.received[1]) == self.sent_to_client[1]
        assert sorted(self.settled) == sorted(self.tokens)


def first_of_each(payloads: list[bytes]) -> list[bytes]:
    """Payloads in order, without those that came again."""
    return list(dict.fromkeys(payloads))


def is_subsequence(some: list[bytes], all_: list[bytes]) -> bool:
    """Whether ``some`` is ``all_`` with parts missing."""
    rest = iter(all_)
    return all(payload in rest for payload in some)


TestClientOverABreakingWire = ClientOverABreakingWire.TestCase
TestClientOverABreakingWire.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None
)
