"""One ZMTP connection, seen from either end, without a socket (RFC 37, 23; RFC 15 for 2.0 peers).

Bytes and the time go in, events come out (:mod:`midge.zmtp.events`); verbs queue bytes for the
peer. It does not matter who bound and who connected; who is the server matters to the mechanism
alone, and is in the settings. What a message means to a socket type is the affair of
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
    INVALID_METADATA,
    MALFORMED_COMMAND,
    MALFORMED_MESSAGE,
    MECHANISM_MISMATCH,
    UNEXPECTED_COMMAND,
    UNSPECIFIED,
    NotReady,
    PeerRefused,
    ZmtpError,
)
from midge.zmtp.frames import (
    COMMAND,
    LONG,
    MORE,
    SHORT_LAST,
    FrameReader,
    coalesce,
    encode_frame,
    encode_header,
    encode_many,
    message_pieces,
)
from midge.zmtp.greeting import OPENING, decode_greeting, peer_major, rest_of_greeting
from midge.zmtp.mechanism import ASKING, DONE, Mechanism, NullMechanism
from midge.zmtp.metadata import find_property
from midge.zmtp.plain import PlainClient, PlainServer
from midge.zmtp.settings import CURVE, NULL, PLAIN, Settings
from midge.zmtp.sockets import ANY, COUNTERPARTS, NUMBERS_V2, PUBLISHERS, fits
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
        "_address",
        "_asked",
        "_head",
        "_heard_at",
        "_items",
        "_mechanism",
        "_ping_at",
        "_pongs",
        "_random",
        "_reader",
        "_sent_rest",
        "_started",
        "_timeout_at",
        "_ttl_at",
        "_user_id",
        "_zap_metadata",
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
        self.out: list[bytes] = [OPENING]
        self._address = address
        self._random = random
        self._mechanism: Mechanism | None = None
        self._reader = FrameReader(settings.message_bytes_max)
        self._head = b""  # the peer's greeting, as far as it has come
        self._items: list[bytes | list[bytes]] = []  # messages read and not yet an event
        self._sent_rest = False
        self._asked = False
        self._user_id = ""
        self._zap_metadata: dict[str, bytes] = {}
        self._started = now
        self._heard_at = now
        self._ping_at: float | None = None
        self._timeout_at: float | None = None
        self._ttl_at: float | None = None
        self._pongs = 0

    # -- in ----------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> list[ev.Event]:
        """Read a chunk; returns what it means, in order."""
        events: list[ev.Event] = []
        if self.state == CLOSED:
            return events
        self._heard_at = now
        self._timeout_at = None
        self._ttl_at = None
        try:
            if self.state == GREETING:
                data = self._read_greeting(data, events)
            if self.state != GREETING:
                self._reader.feed(data)
                if self.state == SHAKING:
                    self._read_handshake(events)
                if self.state == READY:
                    self._read_traffic(events)
        except ZmtpError as error:
            self._end(events, ev.PROTOCOL, error.code, str(error))
        except PeerRefused as error:
            self._end_refused(events, error)
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
        mechanism = self._mechanism
        if self.state != SHAKING or mechanism is None or mechanism.state != ASKING:
            return events
        if status not in STATUSES:
            status = 500
        self._user_id = user_id
        self._zap_metadata = {} if metadata is None else metadata
        self._heard_at = now
        mechanism.decide(status)
        try:
            self._follow(mechanism, events)
        except ZmtpError as error:
            self._end(events, ev.PROTOCOL, error.code, str(error))
        if status != ALLOWED:
            self._end(events, ev.AUTH, status, f"ZAP refused the peer with status {status}")
        return events

    # -- greeting and handshake --------------------------------------------------------------

    def _read_greeting(self, data: bytes, events: list[ev.Event]) -> bytes:
        """Collect the peer's greeting and answer it; returns what stands behind it."""
        head = self._head = self._head + data
        if not self._sent_rest:
            major = peer_major(head)
            if major < 0:
                return b""
            self._sent_rest = True
            if major == 2:
                if self.socket_type != ANY:
                    self._greet_v2()
            else:
                settings = self.settings
                self.out.append(rest_of_greeting(settings.mechanism, settings.as_server))
        greeting = decode_greeting(head)
        if greeting is None:
            return b""
        self._head = b""
        self.version = greeting.version
        self.state = SHAKING
        if greeting.version == (2, 0):
            self._reader.allowed_flags = MORE | LONG
            if self.socket_type == ANY and greeting.socket_number < len(NUMBERS_V2):
                kind = NUMBERS_V2[greeting.socket_number]
                if kind not in COUNTERPARTS:
                    raise ZmtpError(f"a {kind} peer is not served here", INVALID_METADATA)
                self.socket_type = COUNTERPARTS[kind]
                self._greet_v2()
            if not (
                greeting.socket_number < len(NUMBERS_V2)
                and fits(self.socket_type, NUMBERS_V2[greeting.socket_number])
            ):
                raise ZmtpError("the socket type of the 2.0 peer does not fit", INVALID_METADATA)
            # Remembered as a 3.x peer would have said it.
            self._zap_metadata = {"Socket-Type": NUMBERS_V2[greeting.socket_number].encode("ascii")}
        else:
            self._start_mechanism(greeting.mechanism, greeting.as_server, events)
        return head[greeting.size :]

    def _greet_v2(self) -> None:
        settings = self.settings
        if settings.mechanism != NULL or settings.zap:
            # Such a peer cannot authenticate; to let it in would be a way around (RFC 37).
            raise ZmtpError("the peer speaks ZMTP 2.0, which has no security", MECHANISM_MISMATCH)
        if self.socket_type not in NUMBERS_V2:
            raise ZmtpError(f"ZMTP 2.0 has no {self.socket_type}", INVALID_METADATA)
        self.out.append(bytes((NUMBERS_V2.index(self.socket_type),)))
        self.out.append(encode_frame(0, settings.identity))

    def _start_mechanism(self, name: str, as_server: bool, events: list[ev.Event]) -> None:
        settings = self.settings
        if name != settings.mechanism:
            raise ZmtpError(
                f"the peer's mechanism is {name}, ours is {settings.mechanism}", MECHANISM_MISMATCH
            )
        # libzmq never says that it is the server, so only a yes means anything. Two clients find
        # out when each gets the other's HELLO.
        if name != NULL and as_server and settings.as_server:
            raise ZmtpError(f"both sides are the server of {name}", MECHANISM_MISMATCH)
        mechanism = self._mechanism = _new_mechanism(settings, self._random)
        mechanism.start()
        self._follow(mechanism, events)

    def _read_handshake(self, events: list[ev.Event]) -> None:
        reader = self._reader
        mechanism = self._mechanism
        while self.state == SHAKING:
            flags = reader.next_frame()
            if flags < 0:
                return
            if mechanism is None:
                self._read_identity_v2(flags, reader.command, events)
                return
            if not flags & COMMAND:
                raise ZmtpError("a message before the handshake was done", UNEXPECTED_COMMAND)
            name, data = commands.split_command(reader.command)
            mechanism.receive(name, data)
            self._follow(mechanism, events)

    def _follow(self, mechanism: Mechanism, events: list[ev.Event]) -> None:
        """Do what the mechanism has come to: send, ask, be ready."""
        for body in mechanism.out:
            self.out.append(encode_frame(COMMAND, body))
        mechanism.out.clear()
        if mechanism.state == ASKING and not self._asked:
            self._asked = True
            settings = self.settings
            events.append(
                ev.ZapRequest(
                    settings.zap_domain,
                    self._address,
                    settings.identity,
                    settings.mechanism,
                    mechanism.credentials,
                )
            )
        elif mechanism.state == DONE:
            self._become_ready(mechanism.peer, not mechanism.encrypts, events)

    def _read_identity_v2(self, flags: int, body: bytes, events: list[ev.Event]) -> None:
        if flags & MORE:
            raise ZmtpError("the identity of the 2.0 peer has more parts", INVALID_METADATA)
        self._become_ready({**self._zap_metadata, "Identity": body}, True, events)

    def _become_ready(self, peer: dict[str, bytes], plain: bool, events: list[ev.Event]) -> None:
        raw = find_property(peer, "Socket-Type") or b""
        socket_type = raw.decode("ascii", "replace")
        identity = find_property(peer, "Identity") or b""
        if self.socket_type == ANY:
            self.socket_type = COUNTERPARTS.get(socket_type, ANY)
        if not fits(self.socket_type, socket_type):
            raise ZmtpError(
                f"a {socket_type or 'socket without a type'} does not fit our "
                f"{self.socket_type or 'server'}",
                INVALID_METADATA,
            )
        if len(identity) > ZMTP_SHORT_STRING_BYTES_MAX:
            raise ZmtpError("the peer's identity is too long", INVALID_METADATA)
        metadata = {**peer, **self._zap_metadata}
        if self._user_id:
            metadata["User-Id"] = self._user_id.encode("utf-8")
        self.state = READY
        self.plain = plain
        if not plain:
            # What a frame carries shows, and is checked, when it is decrypted.
            reader = self._reader
            largest = max(reader.frame_bytes_max, ZMTP_COMMAND_BYTES_MAX) + _curve_overhead()
            reader.frame_bytes_max = reader.command_bytes_max = largest
        if self.settings.heartbeat_s > 0 and self.version >= (3, 1):
            self._ping_at = self._heard_at + self.settings.heartbeat_s
        events.append(ev.Ready(socket_type, identity, metadata, self._user_id, self.version))

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
        mechanism = self._mechanism
        assert mechanism is not None
        bytes_max = self.settings.message_bytes_max
        while reader.next_frame() >= 0:
            flags, body = mechanism.open(reader.command)
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
            self._ttl_at = self._heard_at + ttl_s
        if self._pongs < _PONGS_MAX:
            self._pongs += 1
            self._send_frame(COMMAND, commands.PONG + context)

    # -- out ---------------------------------------------------------------------------------

    def send(self, body: bytes) -> None:
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

    def send_multipart(self, parts: Sequence[bytes]) -> None:
        """Queue a message of one or more parts; see :meth:`send`."""
        if self.plain:
            self.out += message_pieces(parts)
            return
        last = len(parts) - 1
        for index, part in enumerate(parts):
            self._send_frame(MORE if index < last else 0, part)

    def send_many(self, bodies: Sequence[bytes]) -> None:
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

    def _send_frame(self, flags: int, body: bytes) -> None:
        if self.state != READY:
            raise NotReady("the connection is not ready to send")
        if self.plain:
            self.out.append(encode_header(flags, len(body)))
            self.out.append(body)
        else:
            assert self._mechanism is not None
            self.out.append(encode_frame(0, self._mechanism.seal(flags, body)))

    def data_to_send(self) -> list[bytes]:
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
        if self.state == CLOSED:
            return None
        if self.state != READY:
            limit = self.settings.handshake_s
            return self._started + limit if limit > 0 else None
        deadline: float | None = None
        for at in (self._ping_time(), self._timeout_at, self._ttl_at):
            if at is not None and (deadline is None or at < deadline):
                deadline = at
        return deadline

    def _ping_time(self) -> float | None:
        """When the next PING is due.

        Traffic of the peer shows that it lives and puts the PING off; but where the PING's time to
        live also tells the peer that *we* live, it is due in any case.
        """
        if self._ping_at is None or self.settings.heartbeat_ttl_s:
            return self._ping_at
        return max(self._ping_at, self._heard_at + self.settings.heartbeat_s)

    def tick(self, now: float) -> list[ev.Event]:
        """Do what is due: send a PING, or give up on a silent peer."""
        events: list[ev.Event] = []
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return events
        settings = self.settings
        if self.state != READY:
            text = f"no handshake within {settings.handshake_s:g} seconds"
            self._end(events, ev.NO_DETAIL, errno.ETIMEDOUT, text)
        elif self._timeout_at is not None and now >= self._timeout_at:
            text = f"no sign of life for {settings.heartbeat_timeout_s:g} seconds after a PING"
            self._end(events, ev.NO_DETAIL, errno.ETIMEDOUT, text)
        elif self._ttl_at is not None and now >= self._ttl_at:
            text = "no traffic within the time to live of the peer's PING"
            self._end(events, ev.NO_DETAIL, errno.ETIMEDOUT, text)
        else:
            self.ping()
            self._ping_at = now + settings.heartbeat_s
            if self._timeout_at is None:
                self._timeout_at = now + settings.heartbeat_timeout_s
        return events


def _new_mechanism(settings: Settings, random: Callable[[int], bytes] | None) -> Mechanism:
    if settings.mechanism == NULL:
        return NullMechanism(settings)
    if settings.mechanism == PLAIN:
        return PlainServer(settings) if settings.as_server else PlainClient(settings)
    # Imported here, so that who does not use CURVE does not pay for it.
    from midge.zmtp.curve import CurveClient, CurveServer

    assert random is not None
    return CurveServer(settings, random) if settings.as_server else CurveClient(settings, random)


def _curve_overhead() -> int:
    from midge.zmtp.curve import MESSAGE_OVERHEAD

    return MESSAGE_OVERHEAD
