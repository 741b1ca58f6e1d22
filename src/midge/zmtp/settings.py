"""What a socket tells each of its connections. One value is shared by all of them."""

from __future__ import annotations

from collections.abc import Sequence

from midge.limits import ZMTP_HANDSHAKE_S, ZMTP_SHORT_STRING_BYTES_MAX
from midge.zmtp.metadata import encode_metadata, find_property
from midge.zmtp.sockets import ANY, COUNTERPARTS, PEERS, WITH_IDENTITY

NULL = "NULL"
PLAIN = "PLAIN"
CURVE = "CURVE"


class Settings:
    """How a connection presents itself and what it accepts.

    Attributes:
        socket_type: our own, ``"PUB"``; :data:`~midge.zmtp.sockets.ANY` for what fits the peer.
        mechanism: ``"NULL"``, ``"PLAIN"`` or ``"CURVE"``.
        as_server: we are the server of PLAIN or CURVE, whoever binds.
        identity: our routing id; sent by REQ, DEALER and ROUTER.
        metadata: application properties of our READY, for the peer.
        username, password: of a PLAIN client.
        curve_public, curve_secret: our long-term keys, 32 bytes each; a server needs the secret.
        curve_server: the server's public key, for a client.
        zap: ask (:class:`~midge.zmtp.events.ZapRequest`) before a peer is let in. A PLAIN server
            always asks: there is nobody else who could know a password.
        zap_domain: handed on in the request.
        message_bytes_max: the largest part that is accepted (``MAXMSGSIZE``); -1: any.
        parts_bytes_max: the largest message of several parts, headers included; -1: any. It is
            kept in memory until its last part is there, so without this a peer that sends many
            parts is bounded by nothing but their number.
        handshake_s: ``HANDSHAKE_IVL``; 0: no limit.
        heartbeat_s: ``HEARTBEAT_IVL``, time between PINGs; 0: none.
        heartbeat_timeout_s: silence after a PING that ends the connection; 0: ``heartbeat_s``.
        heartbeat_ttl_s: silence after which the peer shall give up on us; 0: it need not.
        own_metadata: our properties on the wire.
    """

    __slots__ = (
        "as_server",
        "curve_public",
        "curve_secret",
        "curve_server",
        "handshake_s",
        "heartbeat_s",
        "heartbeat_timeout_s",
        "heartbeat_ttl_s",
        "identity",
        "mechanism",
        "message_bytes_max",
        "metadata",
        "own_metadata",
        "parts_bytes_max",
        "password",
        "socket_type",
        "username",
        "zap",
        "zap_domain",
    )

    def __init__(
        self,
        socket_type: str,
        *,
        mechanism: str = NULL,
        as_server: bool = False,
        identity: bytes = b"",
        metadata: Sequence[tuple[str, bytes]] = (),
        username: bytes = b"",
        password: bytes = b"",
        curve_public: bytes = b"",
        curve_secret: bytes = b"",
        curve_server: bytes = b"",
        zap: bool = False,
        zap_domain: bytes = b"",
        message_bytes_max: int = -1,
        parts_bytes_max: int = -1,
        handshake_s: float = ZMTP_HANDSHAKE_S,
        heartbeat_s: float = 0.0,
        heartbeat_timeout_s: float = 0.0,
        heartbeat_ttl_s: float = 0.0,
    ) -> None:
        """Raises ValueError for a value that no connection could use."""
        if socket_type not in PEERS and socket_type != ANY:
            raise ValueError(f"{socket_type!r} is no socket type of ZMTP")
        if mechanism not in (NULL, PLAIN, CURVE):
            raise ValueError(f"{mechanism!r} is no mechanism that is spoken here")
        if max(len(identity), len(username), len(password)) > ZMTP_SHORT_STRING_BYTES_MAX:
            raise ValueError("identity, user name and password have at most 255 bytes")
        self.socket_type = socket_type
        self.mechanism = mechanism
        self.as_server = as_server and mechanism != NULL
        self.identity = identity
        self.metadata = tuple(metadata)
        self.username = username
        self.password = password
        self.curve_public = curve_public
        self.curve_secret = curve_secret
        self.curve_server = curve_server
        if mechanism == CURVE:
            self._check_keys()
        self.zap = zap or (mechanism == PLAIN and as_server)
        self.zap_domain = zap_domain
        self.message_bytes_max = message_bytes_max
        self.parts_bytes_max = parts_bytes_max
        self.handshake_s = handshake_s
        self.heartbeat_s = heartbeat_s
        self.heartbeat_timeout_s = heartbeat_timeout_s or heartbeat_s
        self.heartbeat_ttl_s = heartbeat_ttl_s
        self.own_metadata = self._metadata_as(socket_type)

    def _metadata_as(self, socket_type: str) -> bytes:
        properties = [("Socket-Type", socket_type.encode("ascii"))]
        if socket_type in WITH_IDENTITY:
            properties.append(("Identity", self.identity))
        return encode_metadata([*properties, *self.metadata])

    def metadata_for(self, peer: dict[str, bytes]) -> bytes:
        """Our properties for a peer with these: what fits it, where we have no type of our own.

        A peer that nothing fits is told no type; the connection ends then.
        """
        if self.socket_type != ANY:
            return self.own_metadata
        raw = find_property(peer, "Socket-Type") or b""
        return self._metadata_as(COUNTERPARTS.get(raw.decode("ascii", "replace"), ""))

    def _check_keys(self) -> None:
        needed = [("curve_secret", self.curve_secret)]
        if not self.as_server:
            needed += [("curve_public", self.curve_public), ("curve_server", self.curve_server)]
        for name, key in needed:
            if len(key) != 32:
                raise ValueError(f"{name} must have 32 bytes, not {len(key)}")
