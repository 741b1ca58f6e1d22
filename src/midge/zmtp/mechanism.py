"""Security mechanisms: what every one of them is, and NULL (RFC 37).

A mechanism gets the commands of the handshake and queues its own in ``out``; it knows neither
frames nor time. It moves through four states::

    SHAKING --> ASKING --> SHAKING --> DONE        (ASKING: ZAP is to decide, ``credentials`` say
                   `-----> REFUSED                  on what; it is left by ``decide``)

What is wrong with the peer is raised as :class:`~midge.zmtp.errors.ZmtpError`, an ERROR of the
peer as :class:`~midge.zmtp.errors.PeerRefused`; the connection ends it then.
"""

from __future__ import annotations

from typing import Final

from midge.zmtp import commands
from midge.zmtp.errors import UNEXPECTED_COMMAND, ZmtpError
from midge.zmtp.frames import Buffer
from midge.zmtp.metadata import decode_metadata
from midge.zmtp.settings import Settings
from midge.zmtp.sockets import ANY
from midge.zmtp.zap import ALLOWED, TEMPORARY

SHAKING: Final = 0
ASKING: Final = 1
DONE: Final = 2
REFUSED: Final = 3


class Mechanism:
    """The handshake of one connection.

    Attributes:
        state: one of the four above.
        out: bodies of commands to send, in order.
        credentials: what ZAP is asked about.
        peer: the metadata of the peer, once it was received.
        encrypts: traffic goes through :meth:`seal` and :meth:`open`.
    """

    __slots__ = ("credentials", "out", "peer", "settings", "state")

    encrypts = False
    _error_spelling = commands.ERROR

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state: int = SHAKING
        self.out: list[bytes] = []
        self.credentials: list[bytes] = []
        self.peer: dict[str, bytes] = {}

    def start(self) -> None:
        """The greetings fit: begin."""
        raise NotImplementedError

    def receive(self, name: bytes, data: bytes) -> None:
        """Take a command of the peer.

        Raises:
            ZmtpError: it is wrong, or wrong now.
            PeerRefused: it is an ERROR.
        """
        raise NotImplementedError

    def decide(self, status: int) -> None:
        """ZAP has decided: go on, or refuse."""
        if status == ALLOWED:
            self.state = SHAKING
            self._go_on()
            return
        if status != TEMPORARY:  # a peer that hears nothing tries again, RFC 27
            self.out.append(commands.encode_error(b"%d" % status, self._error_spelling))
        self.state = REFUSED

    def _go_on(self) -> None:
        """Do what waited for the decision."""
        raise NotImplementedError

    def seal(self, flags: int, body: Buffer) -> bytes:
        """Encrypt a frame of traffic; returns the body of the frame that carries it."""
        raise NotImplementedError

    def open(self, body: bytes) -> tuple[int, bytes]:
        """Decrypt what :meth:`seal` made: flags and body.

        Raises:
            ZmtpError: it was not made by the peer, or not now.
        """
        raise NotImplementedError


def unexpected(name: bytes) -> ZmtpError:
    """The command is not allowed now."""
    text = name[1:].decode("ascii", "backslashreplace")
    return ZmtpError(f"the command {text} is not expected now", UNEXPECTED_COMMAND)


class NullMechanism(Mechanism):
    """READY both ways. With ZAP, ours waits until the decision is made.

    Where we are what fits the peer, it also waits until the peer has said what it is.
    """

    __slots__ = ("_admitted", "_received", "_sent")

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._admitted = False
        self._sent = False
        self._received = False

    def start(self) -> None:
        """See :meth:`Mechanism.start`."""
        if self.settings.zap:
            self.state = ASKING
        else:
            self._go_on()

    def receive(self, name: bytes, data: bytes) -> None:
        """See :meth:`Mechanism.receive`."""
        if name == commands.ERROR:
            raise commands.read_error(data)
        if name != commands.READY or self._received:
            raise unexpected(name)
        self.peer = decode_metadata(data)
        self._received = True
        if self._sent:
            self.state = DONE
        elif self._admitted:
            self._go_on()

    def _go_on(self) -> None:
        self._admitted = True
        if self.settings.socket_type == ANY and not self._received:
            return
        self.out.append(commands.READY + self.settings.metadata_for(self.peer))
        self._sent = True
        if self._received:
            self.state = DONE
