"""The handshake of one connection: the greetings, and what the mechanism says until both are ready.

::

    greeting --> mechanism (NULL, PLAIN, CURVE) --> ready          a peer of 3.x
        `------> identity --------------------------^              a peer of 2.0 (RFC 15)

It uses the frame reader and the queue of its connection, which forgets it once :attr:`ready` is
there. It knows no time. What is wrong with the peer is raised, as in :mod:`midge.zmtp.mechanism`.
"""

from __future__ import annotations

from collections.abc import Callable

from midge.limits import ZMTP_SHORT_STRING_BYTES_MAX
from midge.zmtp import commands
from midge.zmtp import events as ev
from midge.zmtp.errors import (
    INVALID_METADATA,
    MECHANISM_MISMATCH,
    UNEXPECTED_COMMAND,
    ZmtpError,
)
from midge.zmtp.frames import COMMAND, LONG, MORE, Buffer, FrameReader, encode_frame
from midge.zmtp.greeting import decode_greeting, peer_major, rest_of_greeting
from midge.zmtp.mechanism import ASKING, DONE, Mechanism, NullMechanism
from midge.zmtp.metadata import find_property
from midge.zmtp.plain import PlainClient, PlainServer
from midge.zmtp.settings import NULL, PLAIN, Settings
from midge.zmtp.sockets import ANY, COUNTERPARTS, NUMBERS_V2, fits


class Handshake:
    """See the module.

    Attributes:
        socket_type: ours; known once the peer's is, where the settings leave it open.
        version: what is spoken, of the peer's greeting; ``None`` while that is not whole.
        mechanism: none for a peer of 2.0.
        ready: it is done, and this is what there is to say of the peer.
    """

    __slots__ = (
        "_address",
        "_asked",
        "_head",
        "_metadata",
        "_out",
        "_random",
        "_reader",
        "_sent_rest",
        "_settings",
        "_user_id",
        "mechanism",
        "ready",
        "socket_type",
        "version",
    )

    def __init__(
        self,
        settings: Settings,
        reader: FrameReader,
        out: list[Buffer],
        address: bytes,
        random: Callable[[int], bytes] | None,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._out = out
        self._address = address
        self._random = random
        self._head = b""  # the peer's greeting, as far as it has come
        self._sent_rest = False
        self._asked = False
        self._user_id = ""
        self._metadata: dict[str, bytes] = {}  # of the peer, but not by its READY
        self.socket_type = settings.socket_type
        self.version: tuple[int, int] | None = None
        self.mechanism: Mechanism | None = None
        self.ready: ev.Ready | None = None

    # -- greeting ----------------------------------------------------------------------------

    def greet(self, data: bytes, events: list[ev.Event]) -> bytes:
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
                settings = self._settings
                self._out.append(rest_of_greeting(settings.mechanism, settings.as_server))
        greeting = decode_greeting(head)
        if greeting is None:
            return b""
        self._head = b""
        self.version = greeting.version
        if greeting.version == (2, 0):
            self._reader.allowed_flags = MORE | LONG
            self._fit_v2(greeting.socket_number)
        else:
            self._start_mechanism(greeting.mechanism, greeting.as_server, events)
        return head[greeting.size :]

    def _fit_v2(self, number: int) -> None:
        """See whether a 2.0 peer's socket type will do, and remember it."""
        peer = NUMBERS_V2[number] if number < len(NUMBERS_V2) else ""
        if peer and self.socket_type == ANY:
            if peer not in COUNTERPARTS:
                raise ZmtpError(f"a {peer} peer is not served here", INVALID_METADATA)
            self.socket_type = COUNTERPARTS[peer]
            self._greet_v2()
        if not fits(self.socket_type, peer):
            raise ZmtpError("the socket type of the 2.0 peer does not fit", INVALID_METADATA)
        # Remembered as a 3.x peer would have said it.
        self._metadata = {"Socket-Type": peer.encode("ascii")}

    def _greet_v2(self) -> None:
        settings = self._settings
        if settings.mechanism != NULL or settings.zap:
            # Such a peer cannot authenticate; to let it in would be a way around (RFC 37).
            raise ZmtpError("the peer speaks ZMTP 2.0, which has no security", MECHANISM_MISMATCH)
        if self.socket_type not in NUMBERS_V2:
            raise ZmtpError(f"ZMTP 2.0 has no {self.socket_type}", INVALID_METADATA)
        self._out.append(bytes((NUMBERS_V2.index(self.socket_type),)))
        self._out.append(encode_frame(0, settings.identity))

    def _start_mechanism(self, name: str, as_server: bool, events: list[ev.Event]) -> None:
        settings = self._settings
        if name != settings.mechanism:
            raise ZmtpError(
                f"the peer's mechanism is {name}, ours is {settings.mechanism}", MECHANISM_MISMATCH
            )
        # libzmq never says that it is the server, so only a yes means anything. Two clients find
        # out when each gets the other's HELLO.
        if name != NULL and as_server and settings.as_server:
            raise ZmtpError(f"both sides are the server of {name}", MECHANISM_MISMATCH)
        mechanism = self.mechanism = _new_mechanism(settings, self._random)
        mechanism.start()
        self._follow(mechanism, events)

    # -- mechanism ---------------------------------------------------------------------------

    def read_frames(self, events: list[ev.Event]) -> None:
        """Take what the reader has, up to the frame that ends the handshake."""
        reader = self._reader
        mechanism = self.mechanism
        while self.ready is None:
            flags = reader.next_frame()
            if flags < 0:
                return
            if mechanism is None:
                self._read_identity_v2(flags, reader.command)
                return
            if not flags & COMMAND:
                raise ZmtpError("a message before the handshake was done", UNEXPECTED_COMMAND)
            name, data = commands.split_command(reader.command)
            mechanism.receive(name, data)
            self._follow(mechanism, events)

    @property
    def asking(self) -> bool:
        """ZAP is to decide."""
        return self.mechanism is not None and self.mechanism.state == ASKING

    def decide(
        self, status: int, user_id: str, metadata: dict[str, bytes], events: list[ev.Event]
    ) -> None:
        """ZAP has decided; where the status refuses, what is queued may still be sent."""
        mechanism = self.mechanism
        assert mechanism is not None
        self._user_id = user_id
        self._metadata = metadata
        mechanism.decide(status)
        self._follow(mechanism, events)

    def _follow(self, mechanism: Mechanism, events: list[ev.Event]) -> None:
        """Do what the mechanism has come to: send, ask, be ready."""
        for body in mechanism.out:
            self._out.append(encode_frame(COMMAND, body))
        mechanism.out.clear()
        if mechanism.state == ASKING and not self._asked:
            self._asked = True
            settings = self._settings
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
            self._become_ready(mechanism.peer)

    def _read_identity_v2(self, flags: int, body: bytes) -> None:
        if flags & MORE:
            raise ZmtpError("the identity of the 2.0 peer has more parts", INVALID_METADATA)
        self._become_ready({**self._metadata, "Identity": body})

    def _become_ready(self, peer: dict[str, bytes]) -> None:
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
        metadata = {**peer, **self._metadata}
        if self._user_id:
            metadata["User-Id"] = self._user_id.encode("utf-8")
        assert self.version is not None
        self.ready = ev.Ready(socket_type, identity, metadata, self._user_id, self.version)


def _new_mechanism(settings: Settings, random: Callable[[int], bytes] | None) -> Mechanism:
    if settings.mechanism == NULL:
        return NullMechanism(settings)
    if settings.mechanism == PLAIN:
        return PlainServer(settings) if settings.as_server else PlainClient(settings)
    # Imported here, so that who does not use CURVE does not pay for it.
    from midge.zmtp.curve import CurveClient, CurveServer

    assert random is not None
    return CurveServer(settings, random) if settings.as_server else CurveClient(settings, random)
