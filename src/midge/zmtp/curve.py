"""CURVE: authentication and encryption with Curve25519 (RFC 25, 26).

::

    client                                             server
    HELLO     C', proof that we know S          -->
                                                <--    WELCOME   S', cookie
    INITIATE  cookie, C, vouch, metadata        -->              (ZAP is asked about C)
                                                <--    READY     metadata
    MESSAGE   flags and body, both ways

C and S are long-term keys, C' and S' live for one connection. Nonces count up, and one that does
not rise is refused. MESSAGE goes out as a message frame, not as a command frame: that is what
libzmq sends and understands.

The arithmetic is libsodium's, by PyNaCl, loaded when the first CURVE connection is made. Keys and
nonces come from ``random``, which the owner passes in: this room has no randomness of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Final

from midge.zmtp import commands
from midge.zmtp.errors import (
    CRYPTOGRAPHIC,
    INVALID_SEQUENCE,
    KEY_EXCHANGE,
    MALFORMED_HELLO,
    MALFORMED_INITIATE,
    MALFORMED_MESSAGE,
    MALFORMED_READY,
    MALFORMED_WELCOME,
    UNEXPECTED_COMMAND,
    MissingCrypto,
    ZmtpError,
)
from midge.zmtp.frames import COMMAND, MORE, Buffer
from midge.zmtp.mechanism import ASKING, DONE, SHAKING, Mechanism, unexpected
from midge.zmtp.metadata import decode_metadata
from midge.zmtp.plain import HELLO, INITIATE, WELCOME
from midge.zmtp.settings import Settings

MESSAGE: Final = b"\x07MESSAGE"
#: How many bytes longer an encrypted frame is than what it carries: name, nonce, MAC, flags.
MESSAGE_OVERHEAD: Final = len(MESSAGE) + 8 + 16 + 1

_VERSION: Final = b"\x01\x00"
_HELLO_DATA_BYTES: Final = 194
_WELCOME_DATA_BYTES: Final = 160
_INITIATE_DATA_BYTES_MIN: Final = 96 + 8 + 16 + 128
_READY_DATA_BYTES_MIN: Final = 8 + 16
_COOKIE_BYTES: Final = 96
#: The bit of a command inside of a MESSAGE (RFC 26); it is not that of a frame.
_INNER_COMMAND: Final = 2
_CLIENT_NONCE: Final = b"CurveZMQMESSAGEC"
_SERVER_NONCE: Final = b"CurveZMQMESSAGES"


def load_sodium() -> ModuleType:
    """PyNaCl's bindings.

    Raises:
        MissingCrypto: PyNaCl is not installed.
    """
    try:
        import nacl.bindings
    except ImportError as error:
        raise MissingCrypto(
            "CURVE needs PyNaCl, which is not installed: pip install 'midge[curve]'"
        ) from error
    return nacl.bindings


def public_key(secret: bytes) -> bytes:
    """The public key that belongs to a secret one."""
    key: bytes = load_sodium().crypto_scalarmult_base(secret)
    return key


def key_pair(random: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    """A new public and secret key, 32 bytes each."""
    secret = random(32)
    return public_key(secret), secret


class CurveMechanism(Mechanism):
    """What both sides have: the short-term keys, and traffic."""

    __slots__ = (
        "_boxes",
        "_next_nonce",
        "_peer_nonce",
        "_random",
        "_shared",
        "_short_public",
        "_short_secret",
    )

    encrypts = True
    _nonce_out = b""
    _nonce_in = b""

    def __init__(self, settings: Settings, random: Callable[[int], bytes]) -> None:
        super().__init__(settings)
        self._boxes = load_sodium()
        self._random = random
        self._short_public, self._short_secret = key_pair(random)
        self._shared = b""  # of C' and S'
        self._next_nonce = 1
        self._peer_nonce = 0

    def _take_nonce(self) -> bytes:
        nonce = self._next_nonce
        self._next_nonce = nonce + 1
        return nonce.to_bytes(8, "big")

    def _heed_nonce(self, nonce: bytes) -> None:
        value = int.from_bytes(nonce, "big")
        if value <= self._peer_nonce:
            raise ZmtpError("a nonce does not rise: a replay, or a broken peer", INVALID_SEQUENCE)
        self._peer_nonce = value

    def _share(self, public: bytes) -> None:
        """Agree on the key of this connection with the peer's short-term ``public``."""
        try:
            self._shared = self._boxes.crypto_box_beforenm(public, self._short_secret)
        except Exception as error:
            raise ZmtpError("the peer's key cannot be used", KEY_EXCHANGE) from error

    def _box(self, plain: bytes, nonce: bytes, public: bytes, secret: bytes) -> bytes:
        try:
            box: bytes = self._boxes.crypto_box(plain, nonce, public, secret)
        except Exception as error:
            raise ZmtpError("the peer's key cannot be used", KEY_EXCHANGE) from error
        return box

    def _open_box(self, what: str, box: bytes, nonce: bytes, public: bytes, secret: bytes) -> bytes:
        # PyNaCl raises CryptoError for a forged box and others for keys that it refuses; whatever
        # it is, the peer sent it.
        try:
            plain: bytes = self._boxes.crypto_box_open(box, nonce, public, secret)
        except Exception as error:
            raise ZmtpError(f"the {what} does not open with our keys", CRYPTOGRAPHIC) from error
        return plain

    def seal(self, flags: int, body: Buffer) -> bytes:
        """See :meth:`Mechanism.seal`."""
        nonce = self._take_nonce()
        inner = flags & MORE | (_INNER_COMMAND if flags & COMMAND else 0)
        plain = bytes((inner,)) + body
        box: bytes = self._boxes.crypto_box_afternm(plain, self._nonce_out + nonce, self._shared)
        return b"".join((MESSAGE, nonce, box))

    def open(self, body: bytes) -> tuple[int, bytes]:
        """See :meth:`Mechanism.open`."""
        if not body.startswith(MESSAGE):
            raise ZmtpError("traffic that is not encrypted", UNEXPECTED_COMMAND)
        if len(body) < MESSAGE_OVERHEAD:
            raise ZmtpError("a MESSAGE is too short", MALFORMED_MESSAGE)
        nonce = body[8:16]
        try:
            plain: bytes = self._boxes.crypto_box_open_afternm(
                body[16:], self._nonce_in + nonce, self._shared
            )
        except Exception as error:
            raise ZmtpError("a MESSAGE does not open", CRYPTOGRAPHIC) from error
        # Only what is proven to be the peer's may move the counter.
        self._heed_nonce(nonce)
        inner = plain[0]
        return inner & MORE | (COMMAND if inner & _INNER_COMMAND else 0), plain[1:]


class CurveClient(CurveMechanism):
    """The side that knows the server's key beforehand."""

    __slots__ = ("_expected",)

    _nonce_out = _CLIENT_NONCE
    _nonce_in = _SERVER_NONCE

    def __init__(self, settings: Settings, random: Callable[[int], bytes]) -> None:
        super().__init__(settings, random)
        self._expected = WELCOME

    def start(self) -> None:
        """See :meth:`Mechanism.start`."""
        nonce = self._take_nonce()
        box = self._box(
            bytes(64),
            b"CurveZMQHELLO---" + nonce,
            self.settings.curve_server,
            self._short_secret,
        )
        # 72 bytes of nothing: an answer is never larger than what was asked (RFC 26).
        self.out.append(b"".join((HELLO, _VERSION, bytes(72), self._short_public, nonce, box)))

    def receive(self, name: bytes, data: bytes) -> None:
        """See :meth:`Mechanism.receive`."""
        if name == commands.ERROR:
            raise commands.read_error(data)
        if name != self._expected:
            raise unexpected(name)
        if name == WELCOME:
            self._receive_welcome(data)
        else:
            self._receive_ready(data)

    def _receive_welcome(self, data: bytes) -> None:
        if len(data) != _WELCOME_DATA_BYTES:
            raise ZmtpError("the WELCOME is malformed", MALFORMED_WELCOME)
        settings = self.settings
        plain = self._open_box(
            "WELCOME",
            data[16:],
            b"WELCOME-" + data[:16],
            settings.curve_server,
            self._short_secret,
        )
        server_short, cookie = plain[:32], plain[32:]
        self._share(server_short)
        vouch_nonce = self._random(16)
        vouch = self._box(
            self._short_public + settings.curve_server,
            b"VOUCH---" + vouch_nonce,
            server_short,
            settings.curve_secret,
        )
        nonce = self._take_nonce()
        plain = b"".join((settings.curve_public, vouch_nonce, vouch, settings.own_metadata))
        box = self._boxes.crypto_box_afternm(plain, b"CurveZMQINITIATE" + nonce, self._shared)
        self.out.append(b"".join((INITIATE, cookie, nonce, box)))
        self._expected = commands.READY

    def _receive_ready(self, data: bytes) -> None:
        if len(data) < _READY_DATA_BYTES_MIN:
            raise ZmtpError("the READY is malformed", MALFORMED_READY)
        nonce = data[:8]
        try:
            plain = self._boxes.crypto_box_open_afternm(
                data[8:], b"CurveZMQREADY---" + nonce, self._shared
            )
        except Exception as error:
            raise ZmtpError("the READY does not open", CRYPTOGRAPHIC) from error
        self._heed_nonce(nonce)
        self.peer = decode_metadata(plain)
        self.state = DONE


class CurveServer(CurveMechanism):
    """The side whose key is known to its clients."""

    __slots__ = ("_client_short", "_cookie", "_expected")

    _nonce_out = _SERVER_NONCE
    _nonce_in = _CLIENT_NONCE

    def __init__(self, settings: Settings, random: Callable[[int], bytes]) -> None:
        super().__init__(settings, random)
        self._expected = HELLO
        self._client_short = b""
        self._cookie = b""

    def start(self) -> None:
        """See :meth:`Mechanism.start`."""

    def receive(self, name: bytes, data: bytes) -> None:
        """See :meth:`Mechanism.receive`."""
        if name == commands.ERROR:
            raise commands.read_error(data)
        if name != self._expected or self.state != SHAKING:
            raise unexpected(name)
        if name == HELLO:
            self._receive_hello(data)
        else:
            self._receive_initiate(data)

    def _receive_hello(self, data: bytes) -> None:
        if len(data) != _HELLO_DATA_BYTES or data[:2] != _VERSION:
            raise ZmtpError("the HELLO is malformed", MALFORMED_HELLO)
        client = data[74:106]
        nonce = data[106:114]
        secret = self.settings.curve_secret
        self._open_box("HELLO", data[114:], b"CurveZMQHELLO---" + nonce, client, secret)
        self._heed_nonce(nonce)
        self._client_short = client
        # A connection keeps its state, so the cookie need not carry it for us: random bytes that
        # must come back as they are prove the same, and there is no cookie key to lose.
        self._cookie = self._random(_COOKIE_BYTES)
        box_nonce = self._random(16)
        box = self._box(self._short_public + self._cookie, b"WELCOME-" + box_nonce, client, secret)
        self.out.append(b"".join((WELCOME, box_nonce, box)))
        self._expected = INITIATE

    def _receive_initiate(self, data: bytes) -> None:
        if len(data) < _INITIATE_DATA_BYTES_MIN:
            raise ZmtpError("the INITIATE is malformed", MALFORMED_INITIATE)
        if data[:_COOKIE_BYTES] != self._cookie:
            raise ZmtpError("the cookie of the INITIATE is not ours", CRYPTOGRAPHIC)
        nonce = data[96:104]
        plain = self._open_box(
            "INITIATE",
            data[104:],
            b"CurveZMQINITIATE" + nonce,
            self._client_short,
            self._short_secret,
        )
        self._heed_nonce(nonce)
        client = plain[:32]
        vouch = self._open_box(
            "vouch", plain[48:128], b"VOUCH---" + plain[32:48], client, self._short_secret
        )
        own_public: bytes = self._boxes.crypto_scalarmult_base(self.settings.curve_secret)
        if vouch != self._client_short + own_public:
            raise ZmtpError("the vouch is for another connection or server", KEY_EXCHANGE)
        self.peer = decode_metadata(plain[128:])
        self._share(self._client_short)
        self.credentials = [client]
        if self.settings.zap:
            self.state = ASKING
        else:
            self._go_on()

    def _go_on(self) -> None:
        nonce = self._take_nonce()
        box = self._boxes.crypto_box_afternm(
            self.settings.metadata_for(self.peer), b"CurveZMQREADY---" + nonce, self._shared
        )
        self.out.append(b"".join((commands.READY, nonce, box)))
        self.state = DONE
