"""What a socket can tell about itself: so that a lost message has an explanation.

::

    type            "PUSH"
    bound           endpoints that it listens at
    connecting      endpoints that it connects to: attempts, connections, connected, and
                    error (an errno) and why (words) of the last attempt, if it failed
    handshakes      accepted peers that are not ready yet
    cut_short       such that had to make room for others
    sent, received  messages, of the peers that are there now
    dropped         messages by cause, of all peers there ever were (midge.patterns)
    peers           one entry a peer: endpoint, address, socket_type, identity, user_id, ready,
                    connecting, sent, received, outgoing, in_flight, incoming, send_mark,
                    receive_mark, paused, dropped

All of it goes through ``json.dumps``. An ``identity`` is its text, or its bytes as ``0x`` and hex
where they are none that can be printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from midge.net.zeromq.engine import SocketEngine
    from midge.patterns.pipe import Pipe


def engine_stats(engine: SocketEngine) -> dict[str, Any]:
    """See the module."""
    pipes = engine.pattern.peers()
    return {
        "type": engine.type_name,
        "bound": engine.endpoints.bound,
        "connecting": [
            {
                "endpoint": one.endpoint,
                "attempts": one.attempts,
                "connections": one.connections,
                "connected": one.wire is not None and one.wire.ready,
                "error": one.error,
                "why": one.why,
            }
            for one in engine.endpoints.connectors
        ],
        "handshakes": engine.shaking.count,
        "cut_short": engine.shaking.cut_short,
        "sent": sum(pipe.sent for pipe in pipes),
        "received": sum(pipe.received for pipe in pipes),
        "dropped": dict(engine.pattern.dropped),
        "peers": [_peer_stats(pipe) for pipe in pipes],
    }


def _peer_stats(pipe: Pipe) -> dict[str, Any]:
    return {
        "endpoint": pipe.endpoint,
        "address": pipe.address,
        "socket_type": pipe.socket_type,
        "identity": readable(pipe.identity),
        "user_id": pipe.user_id,
        "ready": pipe.ready,
        "connecting": pipe.connecting,
        "sent": pipe.sent,
        "received": pipe.received,
        "outgoing": len(pipe.outgoing),
        "in_flight": pipe.in_flight,
        "incoming": len(pipe.incoming),
        "send_mark": pipe.send_mark,
        "receive_mark": pipe.receive_mark,
        "paused": pipe.paused,
        "dropped": dict(pipe.dropped),
    }


def readable(identity: bytes) -> str:
    """A routing id as text: programs choose words, and numbers of four or five bytes."""
    try:
        text = identity.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    return text if text.isprintable() and (text or not identity) else f"0x{identity.hex()}"
