"""All socket types by name."""

from __future__ import annotations

from typing import Final

from midge.patterns.draft import Client, Dish, Peer, Radio, Server
from midge.patterns.pair import Channel, Pair
from midge.patterns.pattern import Pattern
from midge.patterns.pipeline import Gather, Pull, Push, Scatter
from midge.patterns.pubsub import Pub, Sub
from midge.patterns.reqrep import Rep, Req
from midge.patterns.router import Dealer, Router
from midge.patterns.stream import Stream
from midge.patterns.xpubsub import XPub, XSub

TYPES: Final[dict[str, type[Pattern]]] = {
    "CHANNEL": Channel,
    "CLIENT": Client,
    "DEALER": Dealer,
    "DISH": Dish,
    "GATHER": Gather,
    "PAIR": Pair,
    "PEER": Peer,
    "PUB": Pub,
    "PULL": Pull,
    "PUSH": Push,
    "RADIO": Radio,
    "REP": Rep,
    "REQ": Req,
    "ROUTER": Router,
    "SCATTER": Scatter,
    "SERVER": Server,
    "STREAM": Stream,
    "SUB": Sub,
    "XPUB": XPub,
    "XSUB": XSub,
}
