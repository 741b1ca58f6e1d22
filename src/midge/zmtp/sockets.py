"""Which socket type may talk to which (RFC 37, the Socket-Type property), as data.

A socket type is its name on the wire, ``"PUB"``. ZMTP 2.0 sent a number instead; it knew the first
eleven.
"""

from __future__ import annotations

from typing import Final

#: The peers that each socket type accepts.
PEERS: Final[dict[str, frozenset[str]]] = {
    "PAIR": frozenset({"PAIR"}),
    "PUB": frozenset({"SUB", "XSUB"}),
    "SUB": frozenset({"PUB", "XPUB"}),
    "XPUB": frozenset({"SUB", "XSUB"}),
    "XSUB": frozenset({"PUB", "XPUB"}),
    "REQ": frozenset({"REP", "ROUTER"}),
    "REP": frozenset({"REQ", "DEALER"}),
    "DEALER": frozenset({"REP", "DEALER", "ROUTER"}),
    "ROUTER": frozenset({"REQ", "DEALER", "ROUTER"}),
    "PUSH": frozenset({"PULL"}),
    "PULL": frozenset({"PUSH"}),
    "CLIENT": frozenset({"SERVER"}),
    "SERVER": frozenset({"CLIENT"}),
    "RADIO": frozenset({"DISH"}),
    "DISH": frozenset({"RADIO"}),
    "SCATTER": frozenset({"GATHER"}),
    "GATHER": frozenset({"SCATTER"}),
    "PEER": frozenset({"PEER"}),
    "CHANNEL": frozenset({"CHANNEL"}),
}

#: A socket type that is none: whatever fits the peer, for a server with one port for all of them.
ANY: Final = ""
#: What such a server is to each type of peer.
COUNTERPARTS: Final[dict[str, str]] = {
    "PUB": "SUB",
    "XPUB": "XSUB",
    "SUB": "PUB",
    "XSUB": "XPUB",
    "PUSH": "PULL",
    "PULL": "PUSH",
    "REQ": "ROUTER",
    "DEALER": "ROUTER",
    "REP": "DEALER",
    "ROUTER": "DEALER",
}

#: The numbers of ZMTP 2.0's greeting (RFC 15), by position.
NUMBERS_V2: Final = (
    "PAIR",
    "PUB",
    "SUB",
    "REQ",
    "REP",
    "DEALER",
    "ROUTER",
    "PULL",
    "PUSH",
    "XPUB",
    "XSUB",
)

#: Those that announce an identity in their metadata, as libzmq does.
WITH_IDENTITY: Final = frozenset({"REQ", "DEALER", "ROUTER"})
#: Those whose peers send subscriptions.
PUBLISHERS: Final = frozenset({"PUB", "XPUB"})


def fits(ours: str, theirs: str) -> bool:
    """Whether sockets of these types may be connected."""
    peers = PEERS.get(ours)
    return peers is not None and theirs in peers
