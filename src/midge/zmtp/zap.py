"""ZAP: asking somebody whether a peer may come in (RFC 27).

Requests and replies as values and as the frames that they are between a socket and a handler at
``inproc://zeromq.zap.01``. A handler inside the program needs no frames: it answers
:class:`~midge.zmtp.events.ZapRequest` with a :class:`ZapReply`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from midge.zmtp.errors import (
    ZAP_BAD_REQUEST_ID,
    ZAP_BAD_VERSION,
    ZAP_INVALID_METADATA,
    ZAP_INVALID_STATUS_CODE,
    ZAP_MALFORMED_REPLY,
    ZmtpError,
)
from midge.zmtp.events import ZapRequest
from midge.zmtp.metadata import decode_metadata, encode_metadata

VERSION: Final = b"1.0"
ALLOWED: Final = 200
#: Not now: the connection is closed without a word, so that the peer tries again.
TEMPORARY: Final = 300
REFUSED: Final = 400
INTERNAL: Final = 500
STATUSES: Final = (ALLOWED, TEMPORARY, REFUSED, INTERNAL)


class ZapReply:
    """A decision.

    Attributes:
        status: 200, 300, 400 or 500.
        user_id: who the peer is.
        metadata: properties to add to the peer's own.
        text: for the log.
    """

    __slots__ = ("metadata", "status", "text", "user_id")

    def __init__(
        self,
        status: int,
        user_id: str = "",
        metadata: dict[str, bytes] | None = None,
        text: str = "",
    ) -> None:
        self.status = status
        self.user_id = user_id
        self.metadata = {} if metadata is None else metadata
        self.text = text


def encode_request(request: ZapRequest, request_id: bytes) -> list[bytes]:
    """The frames of a request, without the envelope."""
    return [
        VERSION,
        request_id,
        request.domain,
        request.address,
        request.identity,
        request.mechanism.encode("ascii"),
        *request.credentials,
    ]


def decode_request(frames: Sequence[bytes]) -> tuple[ZapRequest, bytes]:
    """A handler's view of a request: the request and its id.

    Raises:
        ZmtpError: these are not the frames of a request.
    """
    if len(frames) < 6:
        raise ZmtpError("a ZAP request has fewer than six frames", ZAP_MALFORMED_REPLY)
    if frames[0] != VERSION:
        raise ZmtpError("a ZAP request has an unknown version", ZAP_BAD_VERSION)
    mechanism = frames[5].decode("ascii", "replace")
    request = ZapRequest(frames[2], frames[3], frames[4], mechanism, list(frames[6:]))
    return request, frames[1]


def encode_reply(reply: ZapReply, request_id: bytes) -> list[bytes]:
    """The frames of a reply, without the envelope."""
    return [
        VERSION,
        request_id,
        b"%d" % reply.status,
        reply.text.encode("utf-8"),
        reply.user_id.encode("utf-8"),
        encode_metadata(reply.metadata.items()),
    ]


def decode_reply(frames: Sequence[bytes], request_id: bytes) -> ZapReply:
    """The decision in the frames that a handler sent.

    Raises:
        ZmtpError: they are no reply to the request with this id.
    """
    if len(frames) != 6:
        raise ZmtpError(f"a ZAP reply has {len(frames)} frames, not 6", ZAP_MALFORMED_REPLY)
    version, answered, status, text, user_id, metadata = frames
    if version != VERSION:
        raise ZmtpError("a ZAP reply has an unknown version", ZAP_BAD_VERSION)
    if answered != request_id:
        raise ZmtpError("a ZAP reply answers another request", ZAP_BAD_REQUEST_ID)
    if status not in (b"200", b"300", b"400", b"500"):
        raise ZmtpError("a ZAP reply has an unknown status", ZAP_INVALID_STATUS_CODE)
    return ZapReply(
        int(status),
        user_id.decode("utf-8", "replace"),
        decode_metadata(metadata, ZAP_INVALID_METADATA),
        text.decode("utf-8", "replace"),
    )
