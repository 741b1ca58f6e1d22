"""What can be wrong with a ZMTP peer, as numbers that a monitor may show.

The numbers are those of libzmq's ``ZMQ_PROTOCOL_ERROR_*``: programs that watch a socket's monitor
compare the value of a failed handshake with them. :class:`ZmtpError` is raised only inside this
room; :class:`~midge.zmtp.connection.Connection` turns it into an event.
"""

from __future__ import annotations

from typing import Final

from midge.errors import MidgeError

UNSPECIFIED: Final = 0x10000000
UNEXPECTED_COMMAND: Final = 0x10000001
INVALID_SEQUENCE: Final = 0x10000002
KEY_EXCHANGE: Final = 0x10000003
MALFORMED_COMMAND: Final = 0x10000011
MALFORMED_MESSAGE: Final = 0x10000012
MALFORMED_HELLO: Final = 0x10000013
MALFORMED_INITIATE: Final = 0x10000014
MALFORMED_ERROR: Final = 0x10000015
MALFORMED_READY: Final = 0x10000016
MALFORMED_WELCOME: Final = 0x10000017
INVALID_METADATA: Final = 0x10000018
CRYPTOGRAPHIC: Final = 0x11000001
MECHANISM_MISMATCH: Final = 0x11000002
ZAP_MALFORMED_REPLY: Final = 0x20000001
ZAP_BAD_REQUEST_ID: Final = 0x20000002
ZAP_BAD_VERSION: Final = 0x20000003
ZAP_INVALID_STATUS_CODE: Final = 0x20000004
ZAP_INVALID_METADATA: Final = 0x20000005
WS_UNSPECIFIED: Final = 0x30000000


class ZmtpError(MidgeError):
    """A peer broke ZMTP or its mechanism.

    Attributes:
        code: one of the numbers above.
    """

    def __init__(self, text: str, code: int = UNSPECIFIED) -> None:
        super().__init__(text)
        self.code = code


class PeerRefused(MidgeError):
    """The peer's ERROR command ended the handshake.

    Attributes:
        reason: the text of the command; a ZAP status code such as ``400`` where ZAP refused us.
    """

    def __init__(self, reason: bytes) -> None:
        super().__init__(f"the peer refused: {reason.decode('ascii', 'backslashreplace')}")
        self.reason = reason


class MissingCrypto(MidgeError):
    """CURVE was asked for and PyNaCl is not installed."""


class NotReady(MidgeError):
    """Something was to be sent before the handshake was done, or after the end."""
