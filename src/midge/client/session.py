"""What a client's session holds beyond one connection: the state of messages on their way.

Messages to the server wait in a bounded queue until the connection and its window have room, then
stand in the table of those in flight until they are settled. When a connection is resumed, what was
in flight is sent again in its order; when the server has lost the session, it is sent as new.

It sends nothing itself: :class:`~midge.client.core.Client` asks what is next, and sends.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from midge.limits import PACKET_ID_MAX
from midge.mqtt.inflight import Incoming, Outbound, Outgoing
from midge.mqtt.packets import Publish

#: SUBSCRIBE and UNSUBSCRIBE that may be unanswered at a time. They share the packet identifiers
#: with messages: the window is kept this much smaller than what identifiers there are.
REQUESTS_MAX: Final = 1024


class Pending(Outbound):
    """A message for the server.

    Attributes:
        packet: what to send, with neither identifier nor DUP nor topic alias: those belong to one
            sending of it.
        token: its publisher's handle.
    """

    __slots__ = ("packet", "token")

    def __init__(self, packet: Publish, token: int) -> None:
        super().__init__(packet.qos)
        self.packet = packet
        self.token = token


class ClientSession:
    """The messages of one client, both ways.

    Attributes:
        outgoing: QoS 1 and 2 messages in flight to the server.
        incoming: QoS 2 identifiers taken from the server and not yet released.
        queue: messages that were not sent yet, oldest first.
        unsent: identifiers in flight that the present connection has not seen yet.
        held: messages given to the owner that it has not acknowledged: identifier to QoS.
    """

    __slots__ = ("_completing", "held", "incoming", "outgoing", "queue", "unsent")

    def __init__(self) -> None:
        self.outgoing: Outgoing[Pending] = Outgoing()
        self.incoming = Incoming()
        self.queue: deque[Pending] = deque()
        self.unsent: deque[int] = deque()
        self.held: dict[int, int] = {}
        self._completing: dict[int, int] = {}  # released identifiers: the token of each

    def idle(self) -> bool:
        """Whether no message of ours is queued or in flight."""
        return not self.queue and not len(self.outgoing)

    def room(self) -> int:
        """How many more messages the window lets out now (section 4.9)."""
        return self.outgoing.room() + len(self.unsent)

    def set_window(self, size: int) -> None:
        """Bound the messages in flight."""
        self.outgoing.window = min(size, PACKET_ID_MAX - REQUESTS_MAX)

    def take_qos_0(self) -> list[Pending]:
        """Take the QoS 0 messages out of the queue, in their order."""
        taken = [item for item in self.queue if item.qos == 0]
        if taken:
            self.queue = deque(item for item in self.queue if item.qos)
        return taken

    # -- acknowledgements -------------------------------------------------------------------

    def acknowledged(self, packet_id: int) -> int:
        """PUBACK came: the token of the message, 0 when none waits for it."""
        item = self.outgoing.puback(packet_id)
        self._seen(packet_id)
        return 0 if item is None else item.token

    def received(self, packet_id: int, failed: bool) -> int:
        """PUBREC came: the token of the message whose first it was, else 0."""
        item = self.outgoing.pubrec(packet_id, failed)
        self._seen(packet_id)
        if item is None:
            return 0
        if not failed:
            self._completing[packet_id] = item.token
        return item.token

    def completed(self, packet_id: int) -> int:
        """PUBCOMP came: the token of the message, 0 when none waits for it."""
        self._seen(packet_id)
        if not self.outgoing.pubcomp(packet_id):
            return 0
        return self._completing.pop(packet_id, 0)

    def _seen(self, packet_id: int) -> None:
        # An answer to what an earlier connection sent: no need to send it again.
        if self.unsent and packet_id in self.unsent:
            self.unsent.remove(packet_id)

    # -- a new connection -------------------------------------------------------------------

    def resume(self) -> None:
        """The server kept the session: send again what is in flight, in its order (4.4, 4.6).

        First the messages that it already has and that only miss their release.
        """
        self.unsent = deque(self.outgoing.released)
        self.unsent.extend(self.outgoing.waiting)

    def lost(self) -> list[tuple[int, int]]:
        """The server has no session: forget ours [MQTT-3.2.2-5], but not the messages.

        What was in flight is to be sent as new, before what is queued. The server may have taken it
        before it forgot, so without a session "exactly once" is "at least once". Messages that
        waited for PUBCOMP were taken for certain: their identifiers and tokens are returned.
        """
        taken = [(packet_id, self._completing[packet_id]) for packet_id in self.outgoing.released]
        again = self.outgoing.clear()
        self.queue.extendleft(reversed(again))
        self.unsent.clear()
        self._completing.clear()
        self.incoming.clear()
        self.held.clear()
        return taken
