"""One ZMTP connection, seen from either end, without a socket (RFC 37, 23; RFC 15 for 2.0 peers).

Bytes and the time go in, events come out (:mod:`midge.zmtp.events`); verbs queue bytes for the
peer. It does not matter who bound and who connected; who is the server matters to the mechanism
alone, and is in the settings. The way to READY is in :mod:`midge.zmtp.handshake`, PINGs in
:mod:`midge.zmtp.heartbeat`. What a message means to a socket type is the affair of
:mod:`midge.patterns`: here is only how it looks on the wire, subscriptions included, which 3.1
sends as commands and older versions as messages.

::

    GREETING --> SHAKING --> READY --> CLOSED
        `-----------`--------------------^      with HandshakeFailed, or Closed once it was ready

Whatever the peer sends, nothing is raised: the last event says why the connection is over. What is
queued then (an ERROR command, our READY) is still worth sending.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Final

from midge.limits import (
    ZMTP_BY_REFERENCE_BYTES,
    ZMTP_COMMAND_BYTES_MAX,
    ZMTP_SHORT_STRING_BYTES_MAX,
)
from midge.zmtp import commands
from midge.zmtp import events as ev
from midge.zmtp.errors import (
    MALFORMED_COMMAND,
    MALFORMED_MESSAGE,
    UNEXPECTED_COMMAND,
    UNSPECIFIED,
    NotReady,
    PeerRefused,
    ZmtpError,
)
from midge.zmtp.frames import (
    COMMAND,
    MORE,
    SHORT_LAST,
    Buffer,
    FrameReader,
    coalesce,
    encode_frame,
    encode_header,
    encode_many,
    message_pieces,
)
from midge.zmtp.greeting import OPENING
from midge.zmtp.handshake import Handshake
from midge.zmtp.heartbeat import Heartbeat
from midge.zmtp.mechanism import Mechanism
from midge.zmtp.settings import CURVE, Settings
from midge.zmtp.sockets import PUBLISHERS
from midge.zmtp.zap import ALLOWED, STATUSES

GREETING: Final = 0
SHAKING: Final = 1
READY: Final = 2
CLOSED: Final = 3

#: PONGs that may wait to be sent; the PINGs beyond that have the same answer coming.
_PONGS_MAX: Final = 16


class Connection:
    """The protocol state of one connection.

    Attributes:
        settings: what we say of ourselves; shared by the connections of a socket.
        state: one of the four above.
        version: what is spoken, ``(3, 1)``, ``(3, 0)`` or ``(2, 0)``; of the peer's greeting.
        plain: the connection is ready and what is sent is not encrypted, so that the bytes of an
            encoded message are the same for every such connection (:meth:`send_encoded`).
        socket_type: ours; known once the peer is, where the settings leave it open.
        out: pieces queued for the peer, in order.
    """

    __slots__ = (
        "_handshake",
        "_heard_at",
        "_heartbeat",
        "_items",
        "_pongs",
        "_reader",
        "_sealer",
        "_started",
        "out",
        "plain",
        "settings",
        "socket_type",
        "state",
        "version",
    )

    def __init__(
        self,
        settings: Settings,
        now: float,
        *,
        address: bytes = b"",
        random: Callable[[int], bytes] | None = None,
    ) -> None:
        """Queue the opening of our greeting.

        Args:
            settings: who we are.
            now: seconds, on the clock that all later calls use.
            address: the peer's, for ZAP.
            random: gives as many random bytes as it is asked for; CURVE needs it.
        """
        if settings.mechanism == CURVE and random is None:
            raise ValueError("CURVE needs a source of randomness")
        self.settings = settings
        self.socket_type = settings.socket_type
        self.state: int = GREETING
        self.version = (3, 1)
        self.plain = False
        self.out: list[Buffer] = [OPENING]
        self._reader = FrameReader(settings.message_bytes_max, settings.parts_bytes_max)
        self._handshake: Handshake | None = Handshake(
            settings, self._reader, self.out, address, random
        )
        self._sealer: Mechanism | None = None  # where the traffic is encrypted
        self._items: list[bytes | list[bytes]] = []  # messages read and not yet an event
        self._started = now
        self._heard_at = now
        self._heartbeat: Heartbeat | None = None
        self._pongs = 0

    # -- in ----------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> list[ev.Event]:
        """Read a chunk; returns what it means, in order."""
        events: list[ev.Event] = []
        if self.state == CLOSED:
            return events
        self.heard(now)
        try:
            if self._handshake is not None:
                self._shake(self._handshake, data, events)
            else:
                self._reader.feed(data)
            if self.state == READY:
                self._read_traffic(events)
        except ZmtpError as error:
            self._end(events, ev.PROTOCOL, error.code, str(error))
        except PeerRefused as refused:
            self._end_refused(events, refused)
        return events

    def receive_eof(self, now: float) -> list[ev.Event]:
        """The peer closed, or the connection was lost."""
        events: list[ev.Event] = []
        if self.state != CLOSED:
            self._end(events, ev.NO_DETAIL, errno.EPIPE, "the peer closed the connection")
        return events

    def zap_reply(
        self,
        status: int,
        now: float,
        user_id: str = "",
        metadata: dict[str, bytes] | None = None,
    ) -> list[ev.Event]:
        """Answer :class:`~midge.zmtp.events.ZapRequest`; an answer nobody waits for is ignored.

        Args:
            status: 200 lets the peer in; 300, 400 and 500 do not.
            now: see :meth:`receive_data`.
            user_id: who it is, for the peer's metadata.
            metadata: more of it.
        """
        events: list[ev.Event] = []
        handshake = self._handshake
        if self.state != SHAKING or handshake is None or not handshake.asking:
            return events
        if status not in STATUSES:
            status = 500
        self._heard_at = now
        try:
            handshake.decide(status, user_id, {} if metadata is None else metadata, events)
            if handshake.ready is not None:
                self._become_ready(handshake, handshake.ready, events)
        except ZmtpError as error:
            self._end(events, ev.PROTOCOL, error.code, str(error))
        if status != ALLOWED:
            self._end(events, ev.AUTH, status, f"ZAP refused the peer with status {status}")
        return events

    def heard(self, now: float) -> None:
        """The peer has said something, or would have if anybody had listened."""
        self._heard_at = now
        heartbeat = self._heartbeat
        if heartbeat is not None:
            heartbeat.heard_at = now
            heartbeat.timeout_at = heartbeat.ttl_at = None

    # -- handshake ---------------------------------------------------------------------------

    def _shake(self, handshake: Handshake, data: bytes, events: list[ev.Event]) -> None:
        """Go on with the handshake; what comes behind it is left to the reader."""
        if self.state == GREETING:
            data = handshake.greet(data, events)
            if handshake.version is None:
                return
            self.version = handshake.version
            self.state = SHAKING
        self._reader.feed(data)
        handshake.read_frames(events)
        if handshake.ready is not None:
            self._become_ready(handshake, handshake.ready, events)

    def _become_ready(self, handshake: Handshake, ready: ev.Ready, events: list[ev.Event]) -> None:
        self.state = READY
        self.socket_type = handshake.socket_type
        self._handshake = None
        mechanism = handshake.mechanism
        if mechanism is not None and mechanism.encrypts:
            self._sealer = mechanism
            # What a frame carries shows, and is checked, when it is decrypted.
            reader = self._reader
            largest = max(reader.frame_bytes_max, ZMTP_COMMAND_BYTES_MAX) + _curve_overhead()
            reader.frame_bytes_max = reader.command_bytes_max = largest
        else:
            self.plain = True
        if self.settings.heartbeat_s > 0 and self.version >= (3, 1):
            self._heartbeat = Heartbeat(self.settings, self._heard_at, pings=True)
        events.append(ready)

    # -- traffic -----------------------------------------------------------------------------

    def _read_traffic(self, events: list[ev.Event]) -> None:
        reader = self._reader
        try:
            if self.plain:
                while reader.read_messages(self._items):
                    self._heed_command(reader.command, events)
            else:
                self._read_sealed(events)
        finally:
            # Also what stood in front of a fault was sent, and is delivered.
            self._deliver(events)

    def _read_sealed(self, events: list[ev.Event]) -> None:
        reader = self._reader
        sealer = self._sealer
        assert sealer is not None
        bytes_max = self.settings.message_bytes_max
        while reader.next_frame() >= 0:
            flags, body = sealer.open(reader.command)
            if flags & COMMAND:
                if len(body) > ZMTP_COMMAND_BYTES_MAX:
                    raise ZmtpError("a command is larger than allowed", MALFORMED_COMMAND)
                self._heed_command(body, events)
            elif 0 <= bytes_max < len(body):
                raise ZmtpError("a message is larger than allowed", MALFORMED_MESSAGE)
            else:
                reader.take_part(flags, body, self._items)

    def _heed_command(self, body: bytes, events: list[ev.Event]) -> None:
        event = self._command(body)
        if event is not None:
            self._deliver(events)  # what was sent before it comes out before it
            events.append(event)

    def _deliver(self, events: list[ev.Event]) -> None:
        """Make events of the messages that have come."""
        items = self._items
        if not items:
            return
        self._items = []
        if self.socket_type not in PUBLISHERS:
            events.append(ev.Messages(items))
            return
        # The older form of subscriptions; libzmq takes it from 3.1 peers as well.
        batch: list[bytes | list[bytes]] = []
        for item in items:
            first = item if isinstance(item, bytes) else b""
            if not first or first[0] > 1:
                batch.append(item)
                continue
            if batch:
                events.append(ev.Messages(batch))
                batch = []
            prefix = first[1:]
            events.append(ev.Subscribe(prefix) if first[0] else ev.Cancel(prefix))
        if batch:
            events.append(ev.Messages(batch))

    def _command(self, body: bytes) -> ev.Event | None:
        """A command after the handshake; ``None`` when it is none of our owner's business."""
        name, data = commands.split_command(body)
        ours = self.socket_type
        if name == commands.PING:
            self._answer_ping(data)
        elif name == commands.SUBSCRIBE:
            return ev.Subscribe(data) if ours in PUBLISHERS else None
        elif name == commands.CANCEL:
            return ev.Cancel(data) if ours in PUBLISHERS else None
        elif name == commands.JOIN or name == commands.LEAVE:
            if len(data) > ZMTP_SHORT_STRING_BYTES_MAX:
                raise ZmtpError("the name of a group is too long", MALFORMED_COMMAND)
            if ours == "RADIO":
                return ev.Join(data) if name == commands.JOIN else ev.Leave(data)
        elif name == commands.ERROR:
            raise commands.read_error(data)
        elif name == commands.READY:
            raise ZmtpError("a second READY", UNEXPECTED_COMMAND)
        return None  # PONG, and what a later version may add

    def _answer_ping(self, data: bytes) -> None:
        ttl_s, context = commands.read_ping(data)
        if ttl_s:
            # As libzmq has it: any traffic ends the wait, the next PING begins it anew.
            if self._heartbeat is None:
                self._heartbeat = Heartbeat(self.settings, self._heard_at, pings=False)
            self._heartbeat.ttl_at = self._heard_at + ttl_s
        if self._pongs < _PONGS_MAX:
            self._pongs += 1
            self._send_frame(COMMAND, commands.PONG + context)

    # -- out ---------------------------------------------------------------------------------

    def send(self, body: Buffer) -> None:
        """Queue a message of one part.

        Raises:
            NotReady: the handshake is not done, or the connection is over.
        """
        if not self.plain:
            self._send_frame(0, body)
            return
        size = len(body)
        out = self.out
        out.append(SHORT_LAST[size] if size < 256 else encode_header(0, size))
        out.append(body)

    def send_multipart(self, parts: Sequence[Buffer]) -> None:
        """Queue a message of one or more parts; see :meth:`send`."""
        if self.plain:
            self.out += message_pieces(parts)
            return
        last = len(parts) - 1
        for index, part in enumerate(parts):
            self._send_frame(MORE if index < last else 0, part)

    def send_many(self, bodies: list[bytes]) -> None:
        """Queue messages of one part each; see :meth:`send`."""
        if not self.plain or not bodies or len(bodies[0]) >= ZMTP_BY_REFERENCE_BYTES:
            for body in bodies:
                self.send(body)
        else:
            self.out.append(encode_many(bodies))

    def send_encoded(self, data: bytes) -> None:
        """Queue what :func:`~midge.zmtp.frames.encode_message` made, for many connections at once.

        Raises:
            NotReady: the connection is not :attr:`plain`: encrypted, or not ready.
        """
        if not self.plain:
            raise NotReady("only a ready connection without encryption takes encoded messages")
        self.out.append(data)

    def subscribe(self, prefix: bytes) -> None:
        """Ask for messages that start with ``prefix``; see :meth:`send`."""
        self._send_wish(commands.SUBSCRIBE, b"\x01", prefix)

    def cancel(self, prefix: bytes) -> None:
        """Take one :meth:`subscribe` back; see :meth:`send`."""
        self._send_wish(commands.CANCEL, b"\x00", prefix)

    def _send_wish(self, command: bytes, old: bytes, prefix: bytes) -> None:
        if self.version >= (3, 1):
            self._send_frame(COMMAND, command + prefix)
        else:
            self._send_frame(0, old + prefix)

    def join(self, group: bytes) -> None:
        """Ask a RADIO for the messages of ``group``; see :meth:`send`.

        Raises:
            ValueError: the name has more than 255 bytes.
        """
        self._send_group(commands.JOIN, group)

    def leave(self, group: bytes) -> None:
        """Take a :meth:`join` back."""
        self._send_group(commands.LEAVE, group)

    def _send_group(self, command: bytes, group: bytes) -> None:
        if len(group) > ZMTP_SHORT_STRING_BYTES_MAX:
            raise ValueError("the name of a group has at most 255 bytes")
        self._send_frame(COMMAND, command + group)

    def ping(self, context: bytes = b"") -> None:
        """Send a PING now; heartbeats of the settings go by themselves.

        Raises:
            NotReady: see :meth:`send`.
            ValueError: the context has more than 16 bytes.
        """
        if len(context) > commands.CONTEXT_BYTES_MAX:
            raise ValueError("the context of a PING has at most 16 bytes")
        ttl_s = self.settings.heartbeat_ttl_s
        self._send_frame(COMMAND, commands.encode_ping(ttl_s, context))

    def _send_frame(self, flags: int, body: Buffer) -> None:
        if self.state != READY:
            raise NotReady("the connection is not ready to send")
        if self.plain:
            self.out.append(encode_header(flags, len(body)))
            self.out.append(body)
        else:
            assert self._sealer is not None
            self.out.append(encode_frame(0, self._sealer.seal(flags, body)))

    def data_to_send(self) -> list[Buffer]:
        """What is queued for the peer; the queue is empty afterwards.

        Small pieces come joined, bodies from 8 KiB on as the objects that they were given as.
        """
        out = self.out
        if not out:
            return []
        chunks = coalesce(out)
        out.clear()
        self._pongs = 0
        return chunks

    # -- the end -----------------------------------------------------------------------------

    def close(self) -> None:
        """We are done with the peer: nothing more is read or queued."""
        self.state = CLOSED
        self.plain = False
        self._handshake = None

    def _end(self, events: list[ev.Event], kind: int, code: int, text: str) -> None:
        if self.state == READY:
            events.append(ev.Closed(code if kind == ev.PROTOCOL else 0, text))
        elif self.state != CLOSED:
            events.append(ev.HandshakeFailed(kind, code, text))
        self.close()

    def _end_refused(self, events: list[ev.Event], error: PeerRefused) -> None:
        if error.reason in (b"300", b"400", b"500"):
            self._end(events, ev.AUTH, int(error.reason), str(error))
        else:
            self._end(events, ev.PROTOCOL, UNSPECIFIED, str(error))

    # -- time --------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When :meth:`tick` must be called at the latest, or ``None``."""
        if self.state == READY:
            return None if self._heartbeat is None else self._heartbeat.deadline()
        limit = self.settings.handshake_s
        return self._started + limit if limit > 0 and self.state != CLOSED else None

    def tick(self, now: float) -> list[ev.Event]:
        """Do what is due: send a PING, or give up on a silent peer."""
        events: list[ev.Event] = []
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return events
        heartbeat = self._heartbeat
        if heartbeat is None:
            complaint = f"no handshake within {self.settings.handshake_s:g} seconds"
        else:
            complaint = heartbeat.complaint(now)
            if not complaint:
                self.ping()
                heartbeat.pinged(now)
        if complaint:
            self._end(events, ev.NO_DETAIL, errno.ETIMEDOUT, complaint)
        return events


def _curve_overhead() -> int:
    from midge.zmtp.curve import MESSAGE_OVERHEAD

    return MESSAGE_OVERHEAD
