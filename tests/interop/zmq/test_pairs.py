"""Every pair of socket types, midge on one side and libzmq on the other, whoever binds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from midge.net.zeromq.blocking import BlockingEngine
from tests.interop.zmq.conftest import TIMEOUT_MS, Libzmq

MakeOurs = Callable[..., BlockingEngine]
MakeTheirs = Callable[[str], Libzmq]

#: Ours, theirs, and who sends: ">" we do, "<" they do.
PAIRS = [
    ("PUSH", "PULL", ">"),
    ("PULL", "PUSH", "<"),
    ("PAIR", "PAIR", "><"),
    ("DEALER", "DEALER", "><"),
    ("REQ", "REP", "?"),
    ("REP", "REQ", "!"),
    ("DEALER", "REP", "d"),
    ("DEALER", "ROUTER", "r"),
    ("ROUTER", "DEALER", "R"),
    ("PUB", "SUB", "p"),
    ("PUB", "XSUB", "p"),
    ("XPUB", "SUB", "p"),
    ("SUB", "PUB", "s"),
    ("SUB", "XPUB", "s"),
    ("XSUB", "XPUB", "s"),
]


def join(ours: BlockingEngine, theirs: Libzmq, who: str, transport: str, path: str) -> str:
    """Tie the two together."""
    wanted = f"ipc://{path}" if transport == "ipc" else "tcp://127.0.0.1:*"
    if who == "we bind":
        endpoint: str = ours.call(ours.engine.bind, wanted)
        theirs.connect(endpoint)
    else:
        endpoint = theirs.bind(wanted)
        ours.call(ours.engine.connect, endpoint)
    return endpoint


def get(ours: BlockingEngine) -> Any:
    """A message, as a list."""
    item = ours.receive(TIMEOUT_MS)
    assert item is not None, "nothing came"
    return item if type(item) is list else [item]


@pytest.mark.parametrize("who", ["we bind", "they bind"])
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
@pytest.mark.parametrize(("ours", "theirs", "way"), PAIRS)
def test_a_pair_talks(
    midge: MakeOurs,
    libzmq: MakeTheirs,
    tmp_path: Any,
    ours: str,
    theirs: str,
    way: str,
    transport: str,
    who: str,
) -> None:
    we = midge(ours)
    they = libzmq(theirs)
    if way == "p" and theirs == "SUB":
        they.set("SUBSCRIBE", "a")
    if way == "s":
        if ours == "SUB":
            we.call(we.engine.pattern.subscribe, b"a")
        else:
            we.send(b"\x01a")
    join(we, they, who, transport, str(tmp_path / "s"))
    if ">" in way:
        assert we.send(b"one", TIMEOUT_MS)
        assert we.send([b"two", b"", b"x" * 300], TIMEOUT_MS)
        assert they.receive() == ["one"]
        assert they.receive() == ["two", "", "x" * 300]
    if "<" in way:
        they.send(["uno"])
        they.send(["dos", "", "y" * 70_000])
        assert get(we) == [b"uno"]
        assert get(we) == [b"dos", b"", b"y" * 70_000]
    if way == "?":
        for number in (b"1", b"2"):
            assert we.send([b"ask", number], TIMEOUT_MS)
            assert they.receive() == ["ask", number.decode()]
            they.send(["answer"])
            assert get(we) == [b"answer"]
    if way == "!":
        for number in ("1", "2"):
            they.send(["ask", number])
            assert get(we) == [b"ask", number.encode()]
            assert we.send(b"answer", TIMEOUT_MS)
            assert they.receive() == ["answer"]
    if way == "d":
        assert we.send([b"", b"ask"], TIMEOUT_MS)
        assert they.receive() == ["ask"]
        they.send(["answer"])
        assert get(we) == [b"", b"answer"]
    if way == "r":
        assert we.send(b"hello", TIMEOUT_MS)
        name, text = they.receive()
        assert text == "hello"
        they.send([name, "back"])
        assert get(we) == [b"back"]
    if way == "R":
        they.send(["hello"])
        peer, body = get(we)
        assert body == b"hello"
        assert we.send([peer, b"back"], TIMEOUT_MS)
        assert they.receive() == ["back"]
    if way == "p":
        if theirs == "XSUB":
            they.send(["\x01a"])
        if ours == "XPUB":
            they.tell("receive_until_quiet", 500)
            assert get(we) == [b"\x01a"]
            assert they.hear() == []
        else:
            wait_subscribed(we, they)
        assert we.send(b"b no")
        assert we.send([b"a yes", b"more"])
        assert they.receive() == ["a yes", "more"]
    if way == "s":
        if theirs == "XPUB":
            assert they.receive() == ["\x01a"]
            they.send(["b no"])
            they.send(["a yes", "more"])
            assert get(we) == [b"a yes", b"more"]
        else:
            # A publisher tells nobody when it has a subscriber: send until it has.
            for _ in range(200):
                they.send(["b no"])
                they.send(["a yes", "more"])
                if we.poll(50):
                    break
            assert get(we) == [b"a yes", b"more"]


def wait_subscribed(we: BlockingEngine, they: Libzmq) -> None:
    for _ in range(200):
        if we.call(we.engine.pattern.subscriber_count):
            return
        # A bound subscriber of libzmq does nothing with a new peer until its program calls it.
        assert they.receive_until_quiet(10) == []
        we.poll(10, 0)
    raise AssertionError("nobody has subscribed")


@pytest.mark.parametrize("size", [0, 1, 255, 256, 8191, 8192, 1_000_000, 8 * 1024 * 1024])
def test_a_message_of_any_size_comes_and_goes_whole(
    midge: MakeOurs, libzmq: MakeTheirs, size: int
) -> None:
    we = midge("PAIR")
    they = libzmq("PAIR")
    join(we, they, "we bind", "tcp", "")
    they.tell("send_run", 3, size)
    bodies = [get(we)[0] for _ in range(3)]
    assert they.hear() is None
    assert [len(body) for body in bodies] == [size + 1] * 3
    assert [body[:1] for body in bodies] == [b"0", b"1", b"2"]
    for body in bodies:
        assert we.send(body + b"." if not size else body, TIMEOUT_MS)
    numbers, total = they.receive_run(3)
    assert numbers == [0, 1, 2]
    assert total == 3 * max(size + 1, 2)


@pytest.mark.parametrize("who", ["we bind", "they bind"])
def test_thousands_of_messages_arrive_once_and_in_order(
    midge: MakeOurs, libzmq: MakeTheirs, who: str
) -> None:
    count = 20_000
    we = midge("PAIR")
    they = libzmq("PAIR")
    join(we, they, who, "tcp", "")
    they.tell("send_run", count, 20)
    got = [int(get(we)[0].split(b".")[0]) for _ in range(count)]
    they.hear()
    assert got == list(range(count))
    they.tell("receive_run", count)
    for number in range(count):
        assert we.send(b"%d.%s" % (number, b"z" * (number % 300)), TIMEOUT_MS)
    we.flush()
    numbers, _ = they.hear()
    assert numbers == list(range(count))


def test_the_context_thread_sends_what_the_owner_left(midge: MakeOurs, libzmq: MakeTheirs) -> None:
    """Nobody calls the socket after the last send, and yet all of it arrives."""
    we = midge("PUSH")
    they = libzmq("PULL")
    join(we, they, "we bind", "tcp", "")
    for number in range(100):
        assert we.send(b"%d." % number, TIMEOUT_MS)
    numbers, _ = they.receive_run(100)
    assert numbers == list(range(100))
