"""Node's zeromq in another process, and ``midge.zmq`` here: a pair of each pattern, whoever binds.

Its libzmq has the draft sockets and WebSockets, which the one in pyzmq's wheels has not: what those
say to a libzmq is shown here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import midge.zmq as zmq
import midge.zmq.asyncio
from tests.interop.zmq.conftest import TIMEOUT_MS, Libzmq

pytestmark = pytest.mark.peer("zeromq.js")

MakeTheirs = Callable[[str], Libzmq]
MakeOurs = Callable[..., Any]

BINDERS = ["we bind", "they bind"]
#: One part, several of them, an empty one, and 1 MiB in a long frame.
MESSAGES: list[list[bytes]] = [
    [b"one"],
    [b"two", b"", b"\0\xff" * 200],
    [b""],
    [b"x" * (1 << 20)],
    [b"last", b"y" * (1 << 20)],
]


@pytest.fixture
def ours() -> Iterator[MakeOurs]:
    """Makes sockets of ours; keyword arguments are options."""
    context = zmq.Context()
    kept = []

    def make(type_name: str, **options: Any) -> Any:
        made = context.socket(getattr(zmq, type_name))
        kept.append(made)
        made.rcvtimeo = made.sndtimeo = TIMEOUT_MS
        for name, value in options.items():
            setattr(made, name, value)
        return made

    yield make
    context.destroy(0)


def join(we: Any, they: Libzmq, who: str, wanted: str = "tcp://127.0.0.1:*") -> None:
    """Tie the two together."""
    if who == "we bind":
        we.bind(wanted)
        they.connect(we.last_endpoint.decode())
    else:
        we.connect(they.bind(wanted))


def text(parts: list[bytes]) -> list[str]:
    return [part.decode("latin-1") for part in parts]


def give(we: Any, they: Libzmq, messages: list[list[bytes]]) -> None:
    """They receive what we send."""
    for parts in messages:
        we.send_multipart(parts)
    for parts in messages:
        assert they.receive() == text(parts)


def take(we: Any, they: Libzmq, messages: list[list[bytes]]) -> None:
    """We receive what they send."""
    for parts in messages:
        they.send(text(parts))
    for parts in messages:
        assert we.recv_multipart() == parts


def wait_subscribed(we: Any, they: Libzmq, prefix: bytes) -> None:
    for _ in range(TIMEOUT_MS // 20):
        try:
            we.wait_subscribed(prefix, timeout=0.02)
            return
        except zmq.Again:
            they.poke()
    raise AssertionError("they did not subscribe")


@pytest.mark.parametrize("transport", ["tcp", "ipc", "ws"])
@pytest.mark.parametrize("who", BINDERS)
def test_push_and_pull(
    ours: MakeOurs, node: MakeTheirs, tmp_path: Path, who: str, transport: str
) -> None:
    place = f"ipc://{tmp_path}/" if transport == "ipc" else f"{transport}://127.0.0.1:*"
    we, they = ours("PUSH"), node("PULL")
    join(we, they, who, place + "one" * (transport == "ipc"))
    give(we, they, MESSAGES)
    we, they = ours("PULL"), node("PUSH")
    join(we, they, who, place + "two" * (transport == "ipc"))
    take(we, they, MESSAGES)


@pytest.mark.parametrize("who", BINDERS)
def test_thousands_of_messages_come_whole_and_in_order(
    ours: MakeOurs, node: MakeTheirs, who: str
) -> None:
    count, size = 20_000, 30
    we, they = ours("PUSH"), node("PULL")
    join(we, they, who)
    they.tell("receive_run", count)
    for number in range(count):
        we.send(b"%d" % number + b"." * size)
    numbers, _ = they.hear()
    assert numbers == list(range(count))
    we, they = ours("PULL"), node("PUSH")
    join(we, they, who)
    they.tell("send_run", count, size)
    assert [we.recv() for _ in range(count)] == [
        b"%d" % number + b"." * size for number in range(count)
    ]
    they.hear()


@pytest.mark.parametrize(("first", "second"), [("PAIR", "PAIR"), ("DEALER", "DEALER")])
@pytest.mark.parametrize("who", BINDERS)
def test_pair_and_dealer(
    ours: MakeOurs, node: MakeTheirs, who: str, first: str, second: str
) -> None:
    we, they = ours(first), node(second)
    join(we, they, who)
    give(we, they, MESSAGES)
    take(we, they, MESSAGES)


@pytest.mark.parametrize("who", BINDERS)
def test_request_and_reply(ours: MakeOurs, node: MakeTheirs, who: str) -> None:
    we, they = ours("REQ"), node("REP")
    join(we, they, who)
    for parts in MESSAGES:
        give(we, they, [parts])
        take(we, they, [parts[::-1]])
    we, they = ours("REP"), node("REQ")
    join(we, they, who)
    for parts in MESSAGES:
        take(we, they, [parts])
        give(we, they, [parts[::-1]])


@pytest.mark.parametrize("who", BINDERS)
def test_dealer_and_router(ours: MakeOurs, node: MakeTheirs, who: str) -> None:
    we, they = ours("DEALER", routing_id=b"ours"), node("ROUTER")
    join(we, they, who)
    for parts in MESSAGES:
        we.send_multipart(parts)
        assert they.receive() == ["ours", *text(parts)]
        they.send(["ours", *text(parts)])
        assert we.recv_multipart() == parts
    we, they = ours("ROUTER"), node("DEALER")
    they.set("routingId", "theirs")
    join(we, they, who)
    for parts in MESSAGES:
        they.send(text(parts))
        assert we.recv_multipart() == [b"theirs", *parts]
        we.send_multipart([b"theirs", *parts])
        assert they.receive() == text(parts)


@pytest.mark.parametrize("who", BINDERS)
def test_router_and_rep_and_router_and_req(ours: MakeOurs, node: MakeTheirs, who: str) -> None:
    we, they = ours("ROUTER"), node("REQ")
    join(we, they, who)
    they.send(["ask"])
    peer, empty, body = we.recv_multipart()
    assert (empty, body) == (b"", b"ask")
    we.send_multipart([peer, b"", b"answer"])
    assert they.receive() == ["answer"]
    we, they = ours("DEALER"), node("REP")
    join(we, they, who)
    we.send_multipart([b"", b"ask"])
    assert they.receive() == ["ask"]
    they.send(["answer"])
    assert we.recv_multipart() == [b"", b"answer"]


@pytest.mark.parametrize("theirs", ["SUB", "XSUB"])
@pytest.mark.parametrize("who", BINDERS)
def test_we_publish(ours: MakeOurs, node: MakeTheirs, who: str, theirs: str) -> None:
    we, they = ours("PUB"), node(theirs)
    join(we, they, who)
    if theirs == "SUB":
        they.subscribe("a", "last")
    else:
        they.send(["\x01a"])
        they.send(["\x01last"])
    wait_subscribed(we, they, b"last")
    for parts in ([b"b no"], [b"a yes", b"", b"z" * (1 << 20)], [b"A no"], [b"a"]):
        we.send_multipart(parts)
    assert they.receive() == ["a yes", "", "z" * (1 << 20)]
    assert they.receive() == ["a"]
    if theirs == "SUB":
        they.unsubscribe("a")
    else:
        they.send(["\x00a"])
    while we.topics_count != 1:
        assert not we.poll(10, zmq.POLLIN)
    give(we, they, [[b"last"]])


@pytest.mark.parametrize("mine", ["SUB", "XSUB"])
@pytest.mark.parametrize("who", BINDERS)
def test_they_publish(ours: MakeOurs, node: MakeTheirs, who: str, mine: str) -> None:
    we, they = ours(mine), node("XPUB")
    join(we, they, who)
    if mine == "SUB":
        we.subscribe(b"a")
    else:
        we.send(b"\x01a")
    assert they.receive() == ["\x01a"]
    they.send(["b no"])
    take(we, they, [[b"a yes", b"", b"z" * (1 << 20)], [b"a"]])
    if mine == "SUB":
        we.unsubscribe(b"a")
    else:
        we.send_multipart([b"user", b"message"])
        assert they.receive() == ["user", "message"]
        we.send(b"\x00a")
    assert they.receive() == ["\x00a"]


@pytest.mark.parametrize("who", BINDERS)
def test_xpub_hears_of_their_subscriptions(ours: MakeOurs, node: MakeTheirs, who: str) -> None:
    we, they = ours("XPUB"), node("XSUB")
    join(we, they, who)
    they.send(["\x01a"])
    wait_subscribed(we, they, b"a")
    assert we.recv() == b"\x01a"
    take(we, they, [[b"user", b"", b"message"]])
    give(we, they, [[b"a"]])
    they.send(["\x00a"])
    assert we.recv() == b"\x00a"


@pytest.mark.parametrize("only_first", [False, True])
@pytest.mark.parametrize("mine", ["XPUB", "XSUB"])
def test_wishes_among_the_parts_of_a_message(
    ours: MakeOurs, node: MakeTheirs, mine: str, only_first: bool
) -> None:
    """Both take the same for a subscription; ONLY_FIRST_SUBSCRIBE is a draft option of libzmq."""
    we, they = ours(mine), node("XSUB" if mine == "XPUB" else "XPUB")
    we.setsockopt(zmq.ONLY_FIRST_SUBSCRIBE, int(only_first))
    they.set_number(int(zmq.ONLY_FIRST_SUBSCRIBE), int(only_first))
    join(we, they, "we bind")
    if mine == "XSUB":
        we.wait_peers(1, timeout=TIMEOUT_MS / 1000)
    for parts in (
        ["\x01a", "\x01b"],
        ["u", "\x01c", "v"],
        ["\x00no", "tail"],
        ["\x01d", "u"],
        ["."],
    ):
        if mine == "XPUB":
            they.send(parts)
        else:
            we.send_multipart([part.encode() for part in parts])
    got: list[str] = []
    while "." not in got:
        got += text(we.recv_multipart()) if mine == "XPUB" else they.receive()
    assert got == ["\x01a", "\x01b", "u", "\x01c", "v", "tail", "\x01d", "u", "."]
    publish, hear = (we, they) if mine == "XPUB" else (they, we)
    for prefix in ("a", "b", "c", "d"):
        publish.send_string(prefix) if mine == "XPUB" else publish.send([prefix])
    for prefix in ("a", "b", "d") if only_first else ("a", "b", "c", "d"):
        assert hear.receive() == [prefix] if mine == "XPUB" else hear.recv_string() == prefix


def test_stream(ours: MakeOurs, node: MakeTheirs) -> None:
    """Plain TCP: an empty message when the other comes and goes."""
    we, they = ours("STREAM"), node("STREAM")
    join(we, they, "we bind")
    them, nothing = we.recv_multipart()
    us, nothing_either = they.receive()
    assert (nothing, nothing_either) == (b"", "")
    we.send_multipart([them, b"from us"])
    assert they.receive() == [us, "from us"]
    they.send([us, "from them"])
    assert we.recv_multipart() == [them, b"from them"]
    they.close()
    assert we.recv_multipart() == [them, b""]


@pytest.mark.parametrize("who", BINDERS)
def test_on_asyncio(node: MakeTheirs, who: str) -> None:
    async def talk() -> None:
        context = midge.zmq.asyncio.Context()
        we, they = context.socket(zmq.PAIR), node("PAIR")
        try:
            join(we, they, who)
            for parts in MESSAGES:
                await we.send_multipart(parts)
                assert await asyncio.to_thread(they.receive) == text(parts)
                they.send(text(parts))
                async with asyncio.timeout(TIMEOUT_MS / 1000):
                    assert await we.recv_multipart() == parts
        finally:
            context.destroy(0)

    asyncio.run(talk())


@pytest.mark.parametrize("who", BINDERS)
def test_curve(ours: MakeOurs, node: MakeTheirs, who: str) -> None:
    server, server_secret = zmq.curve_keypair()
    client, client_secret = zmq.curve_keypair()
    we, they = ours("PAIR"), node("PAIR")
    if who == "we bind":
        we.curve_server = True
        we.curve_secretkey = server_secret
        they.set("curveServerKey", server.decode())
        they.set("curvePublicKey", client.decode())
        they.set("curveSecretKey", client_secret.decode())
    else:
        they.set("curveServer", True)
        they.set("curveSecretKey", server_secret.decode())
        we.curve_serverkey = server
        we.curve_publickey, we.curve_secretkey = client, client_secret
    join(we, they, who)
    give(we, they, MESSAGES)
    take(we, they, MESSAGES)


# -- the draft sockets -----------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["tcp", "ws"])
@pytest.mark.parametrize("who", BINDERS)
def test_scatter_and_gather(ours: MakeOurs, node: MakeTheirs, who: str, transport: str) -> None:
    bodies = [[b"one"], [b""], [b"x" * (1 << 20)]]
    endpoint = f"{transport}://127.0.0.1:*"
    we, they = ours("SCATTER"), node("GATHER")
    join(we, they, who, endpoint)
    give(we, they, bodies)
    we, they = ours("GATHER"), node("SCATTER")
    join(we, they, who, endpoint)
    take(we, they, bodies)


@pytest.mark.parametrize("who", BINDERS)
def test_client_and_server(ours: MakeOurs, node: MakeTheirs, who: str) -> None:
    bodies = ["one", "", "x" * (1 << 20)]
    we, they = ours("CLIENT"), node("SERVER")
    join(we, they, who)
    for body in bodies:
        we.send(body.encode())
        got, peer = they.receive_with()
        assert got == body
        they.send_to(peer, body)
        assert we.recv() == body.encode()
    we, they = ours("SERVER"), node("CLIENT")
    join(we, they, who)
    for body in bodies:
        they.send([body])
        frame = we.recv(copy=False)
        assert frame.bytes == body.encode()
        assert frame.routing_id
        we.send(body.encode(), routing_id=frame.routing_id)
        assert they.receive() == [body]


@pytest.mark.parametrize("who", BINDERS)
def test_radio_and_dish(ours: MakeOurs, node: MakeTheirs, who: str) -> None:
    bodies = ["one", "", "x" * (1 << 20)]
    we, they = ours("DISH"), node("RADIO")
    we.join("news")
    join(we, they, who)
    # A publisher tells nobody when somebody listens: send until it is heard.
    for _ in range(TIMEOUT_MS // 20):
        they.send_group("news", "there?")
        if we.poll(20):
            break
    for body in bodies:
        they.send_group("gossip", body)
        they.send_group("news", body)
    got = []
    while len(got) < len(bodies):
        frame = we.recv(copy=False)
        assert frame.group == "news"
        if frame.bytes != b"there?":
            got.append(frame.bytes.decode())
    assert got == bodies


@pytest.mark.parametrize("who", BINDERS)
def test_our_radio_is_heard_by_their_dish(ours: MakeOurs, node: MakeTheirs, who: str) -> None:
    we, they = ours("RADIO"), node("DISH")
    join(we, they, who)
    they.join("news")
    wait_subscribed(we, they, b"news")
    for body in (b"one", b"", b"x" * (1 << 20)):
        we.send(body, group="gossip")
        we.send(body, group="news")
        assert they.receive_with() == [body.decode(), "news"]
