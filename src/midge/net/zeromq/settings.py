"""From a socket's options to what its connections say and accept."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from midge.patterns.errors import SocketError
from midge.zmtp.settings import CURVE, NULL, PLAIN, Settings

if TYPE_CHECKING:
    from midge.patterns.options import Options


def connection_settings(type_name: str, options: Options) -> Settings:
    """What connections made from now on say of this socket.

    Raises:
        SocketError: EINVAL where the options do not go together, such as CURVE without keys.
    """
    mechanism = options.mechanism
    as_server = {
        NULL: False,
        PLAIN: options.plain_server,
        CURVE: options.curve_server,
    }[mechanism]
    try:
        return Settings(
            type_name,
            mechanism=mechanism,
            as_server=as_server,
            identity=options.routing_id,
            metadata=tuple(options.metadata),
            username=options.plain_username.encode("utf-8"),
            password=options.plain_password.encode("utf-8"),
            curve_public=options.curve_public_key,
            curve_secret=options.curve_secret_key,
            curve_server=options.curve_server_key,
            zap=_asks_zap(options, mechanism, as_server),
            zap_domain=options.zap_domain.encode("utf-8"),
            message_bytes_max=options.message_bytes_max,
            handshake_s=options.handshake_ms / 1000,
            heartbeat_s=options.heartbeat_interval_ms / 1000,
            heartbeat_timeout_s=max(options.heartbeat_timeout_ms, 0) / 1000,
            heartbeat_ttl_s=options.heartbeat_ttl_ms / 1000,
        )
    except ValueError as error:
        raise SocketError(errno.EINVAL, str(error)) from None


def _asks_zap(options: Options, mechanism: str, as_server: bool) -> bool:
    """Whether a handler, if there is one, decides about peers.

    NULL asks where a domain was set, a server of CURVE always: whether somebody must answer is
    seen when a peer comes. (A server of PLAIN asks in any case.)
    """
    if mechanism == NULL:
        return bool(options.zap_domain)
    return as_server
