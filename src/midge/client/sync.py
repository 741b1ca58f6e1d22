"""The blocking client: every call does its own network work, and returns when it is done.

::

    with connect("mqtt://localhost", client_id="lamp") as client:
        client.subscribe("lamp/set", qos=1)
        client.publish("lamp/state", "on", qos=1, retain=True)
        for message in client.messages():
            print(message.topic, message.payload)

There is no thread behind it: between two calls nothing is read, and no keep alive is sent. A
program that does other things for longer than its keep alive calls :meth:`Client.receive` now and
then, or turns keep alive off. It does not connect again by itself: a lost connection is an error
(:class:`~midge.errors.ConnectionLost`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from midge.client import core
from midge.client.events import (
    Connected,
    Disconnected,
    Published,
    Received,
    Refused,
    Subscribed,
    Unsubscribed,
)
from midge.client.url import parse_url
from midge.errors import ConnectionLost, ConnectionRefused, OperationTimeout, ProtocolError
from midge.message import Message
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import FAILURE
from midge.net.blocking import BlockingLink, connect_tcp

#: How long a call waits for the server, unless it is told otherwise.
TIMEOUT_S: Final = 10.0
#: QoS 0 messages that wait to be asked for; what comes beyond is dropped, and counted.
WAITING_MESSAGES_MAX: Final = 10_000


def connect(
    url: str = "mqtt://localhost",
    *,
    client_id: str = "",
    version: int = p.MQTT_5,
    clean_start: bool = True,
    keepalive_s: int = 60,
    username: str | None = None,
    password: str | bytes | None = None,
    will: p.Will | None = None,
    properties: Properties | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Client:
    """Connect to a broker.

    Args:
        url: ``mqtt://[user[:password]@]host[:port]``.
        client_id: empty to be given one.
        version: 3, 4 or 5, for MQTT 3.1, 3.1.1 or 5.0.
        clean_start: forget a session of that client id; false goes on with it.
        username: instead of the one in the URL.
        password: instead of the one in the URL.
        properties: those of CONNECT, in 5.0.
        timeout_s: how long each call of this client waits for the server.

    Raises:
        ValueError: the URL is not one.
        OSError: no connection.
        ConnectionRefused: the broker said no.
        ConnectionLost: it closed without an answer.
        OperationTimeout: it did not answer.
    """
    where = parse_url(url)
    if password is None and where.password is not None:
        password = where.password
    options = p.Connect(
        client_id=client_id,
        version=version,
        clean_start=clean_start,
        keepalive_s=keepalive_s,
        username=where.username if username is None else username,
        password=password.encode() if isinstance(password, str) else password,
        will=will,
        properties=properties,
    )
    sock = connect_tcp(where.host, where.port, timeout_s=timeout_s)
    return Client(BlockingLink(core.Client(options, auto_ack=False), sock), timeout_s)


class Client:
    """A connection to a broker; made by :func:`connect`.

    Attributes:
        timeout_s: how long a call waits for the server.
        session_present: the server still had our session.
        dropped: QoS 0 messages that came while too many waited to be asked for.
    """

    __slots__ = (
        "_answers",
        "_core",
        "_end",
        "_link",
        "_waiting",
        "dropped",
        "session_present",
        "timeout_s",
    )

    def __init__(self, link: BlockingLink, timeout_s: float = TIMEOUT_S) -> None:
        """Say hello over a link that is not used yet; raises as :func:`connect` does."""
        self.timeout_s = timeout_s
        self.dropped = 0
        self._link = link
        self._core = link.client
        self._core.auto_ack = False
        self._waiting: deque[Received] = deque()
        self._answers: list[core.Event] = []
        self._end: Disconnected | None = None
        self._core.connect(link.now())
        try:
            connected = self._await_connack()
        except BaseException:
            link.close()
            raise
        self.session_present = connected.session_present

    @property
    def client_id(self) -> str:
        """Ours, or the one that the server gave us."""
        return self._core.client_id

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.disconnect()

    # -- verbs ------------------------------------------------------------------------------

    def publish(
        self,
        topic: str,
        payload: str | bytes = b"",
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> int:
        """Publish a message; at QoS 1 and 2, wait until the server has acknowledged it.

        Returns:
            The reason code of the acknowledgement: 0, or 0x10 when nobody has subscribed.

        Raises:
            TopicError: the topic is not valid.
            ProtocolError: the server refused the message; ``reason`` says why.
            ConnectionLost: before it was acknowledged.
            OperationTimeout: it was not acknowledged in time.
        """
        self._check_open()
        data = payload.encode() if isinstance(payload, str) else payload
        token = self._core.publish(topic, data, self._link.now(), qos, retain, properties)
        if qos == 0:
            self._link.flush(self.timeout_s)
            return 0
        deadline = self._link.now() + self.timeout_s
        while True:
            for event in self._take_answers(deadline, f"acknowledge a message to {topic}"):
                if isinstance(event, Published) and event.token == token:
                    if event.reason >= FAILURE:
                        raise ProtocolError(
                            f"the server refused a message to {topic} "
                            f"with reason 0x{event.reason:02x}",
                            event.reason,
                        )
                    return event.reason

    def subscribe(
        self, *filters: str | p.SubscribeTo, qos: int = 0, properties: Properties | None = None
    ) -> list[int]:
        """Subscribe, and wait for the answer.

        Args:
            filters: topic filters at ``qos``, or entries with options of their own.

        Returns:
            For each filter the granted quality of service, or a reason code from 0x80 on.

        Raises:
            TopicError: a filter is not valid.
            ConnectionLost, OperationTimeout: there was no answer.
        """
        self._check_open()
        entries = [
            entry if isinstance(entry, p.SubscribeTo) else p.SubscribeTo(entry, qos)
            for entry in filters
        ]
        packet_id = self._core.subscribe(entries, self._link.now(), properties)
        return self._await_request(packet_id)

    def unsubscribe(self, *filters: str, properties: Properties | None = None) -> list[int]:
        """Unsubscribe, and wait for the answer: reason codes, none before 5.0.

        Raises as :meth:`subscribe`.
        """
        self._check_open()
        packet_id = self._core.unsubscribe(list(filters), self._link.now(), properties)
        return self._await_request(packet_id)

    def receive(self, timeout_s: float | None = None) -> Message:
        """The next message; a QoS 1 or 2 message is acknowledged as it is handed out.

        Args:
            timeout_s: how long to wait for one; ``None`` waits as long as the connection lasts.

        Raises:
            OperationTimeout: none came.
            ConnectionLost: the connection ended, and nothing is left to hand out.
        """
        deadline = None if timeout_s is None else self._link.now() + timeout_s
        while not self._waiting:
            self._check_open()
            self._turn(deadline)
            if self._waiting or self._end is not None:
                continue
            if deadline is not None and self._link.now() >= deadline:
                raise OperationTimeout(f"no message came within {timeout_s:g} seconds")
        packet = self._waiting.popleft()
        if packet.qos and self._end is None:
            self._core.acknowledge(packet, self._link.now())
            self._link.flush()
        return Message(packet.topic, packet.payload, packet.qos, packet.retain, packet.properties)

    def messages(self, timeout_s: float | None = None) -> Iterator[Message]:
        """Messages as they come, until none comes for ``timeout_s``; raises ConnectionLost."""
        while True:
            try:
                message = self.receive(timeout_s)
            except OperationTimeout:
                return
            yield message

    def disconnect(self, reason: int = 0, properties: Properties | None = None) -> None:
        """Say goodbye and close. Does nothing when the connection is over."""
        if not self._link.closed:
            self._core.disconnect(self._link.now(), reason, properties)
            deadline = self._link.now() + self.timeout_s
            while not self._link.closed and self._link.now() < deadline:
                self._turn(deadline)
            self._link.close()

    def close(self) -> None:
        """Close without a goodbye: the server publishes the will."""
        self._link.close()
        if self._end is None:
            self._end = Disconnected("client", 0, "closed")

    # -- waiting ------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._link.closed:
            raise ConnectionLost("not connected" if self._end is None else self._end.text)

    def _turn(self, deadline: float | None) -> None:
        for event in self._link.turn(deadline):
            if isinstance(event, Received):
                if event.qos or len(self._waiting) < WAITING_MESSAGES_MAX:
                    self._waiting.append(event)
                else:
                    self.dropped += 1
            elif isinstance(event, Disconnected):
                self._end = event
            else:
                self._answers.append(event)

    def _take_answers(self, deadline: float, what: str) -> list[core.Event]:
        """What came in one turn; the caller looks for its own and calls again."""
        self._check_open()
        self._turn(deadline)
        answers = self._answers
        self._answers = []
        if not answers and self._end is None and self._link.now() >= deadline:
            raise OperationTimeout(f"the server did not {what} within {self.timeout_s:g} seconds")
        return answers

    def _await_connack(self) -> Connected:
        deadline = self._link.now() + self.timeout_s
        while True:
            for event in self._take_answers(deadline, "answer CONNECT"):
                if isinstance(event, Connected):
                    return event
                if isinstance(event, Refused):
                    raise ConnectionRefused(
                        f"the server refused the connection with code {event.code}", event.code
                    )

    def _await_request(self, packet_id: int) -> list[int]:
        deadline = self._link.now() + self.timeout_s
        while True:
            for event in self._take_answers(deadline, "answer the request"):
                if isinstance(event, Subscribed | Unsubscribed) and event.packet_id == packet_id:
                    return event.reasons
