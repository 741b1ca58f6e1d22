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
    made.__name__.upper(): made
    for made in (
        Channel,
        Client,
        Dealer,
        Dish,
        Gather,
        Pair,
        Peer,
        Pub,
        Pull,
        Push,
        Radio,
        Rep,
        Req,
        Router,
        Scatter,
        Server,
        Stream,
        Sub,
        XPub,
        XSub,
    )
}
