"""Options of sockets and contexts: how they are set, read and refused."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from tests.faces.zmq.conftest import Bench

#: Options with their default and another value that they take.
NUMBERS = [
    ("AFFINITY", 0, 1),
    ("BACKLOG", 100, 7),
    ("CONFLATE", 0, 1),
    ("CONNECT_TIMEOUT", 0, 50),
    ("HANDSHAKE_IVL", 30_000, 0),
    ("HEARTBEAT_IVL", 0, 100),
    ("IMMEDIATE", 0, 1),
    ("IPV6", 0, 1),
    ("LINGER", -1, 5),
    ("MAXMSGSIZE", -1, 1000),
    ("MULTICAST_HOPS", 1, 2),
    ("PLAIN_SERVER", 0, 1),
    ("RATE", 100, 10),
    ("RCVBUF", -1, 1000),
    ("RCVHWM", 1000, 0),
    ("RCVTIMEO", -1, 0),
    ("RECONNECT_IVL", 100, -1),
    ("RECONNECT_IVL_MAX", 0, 10),
    ("SNDBUF", -1, 1000),
    ("SNDHWM", 1000, 1),
    ("SNDTIMEO", -1, 1),
    ("TCP_KEEPALIVE", -1, 1),
    ("TOS", 0, 8),
]
TEXTS = [
    ("ROUTING_ID", b"", b"me"),
    ("IDENTITY", b"", b"me"),
    ("PLAIN_USERNAME", b"", b"user"),
    ("PLAIN_PASSWORD", b"", b"secret"),
    ("ZAP_DOMAIN", b"", b"global"),
    ("SOCKS_PROXY", b"", b"127.0.0.1:1080"),
]


def fresh(bench: Bench, kind: str = "DEALER") -> Any:
    """A socket whose options nobody has set."""
    made = bench.context.socket(getattr(bench.zmq, kind))
    bench._made.append(made)
    return made


@pytest.mark.parametrize(("name", "default", "value"), NUMBERS, ids=[row[0] for row in NUMBERS])
def test_a_number_is_set_and_read_in_every_way(
    bench: Bench, name: str, default: int, value: int
) -> None:
    option = getattr(bench.zmq, name)
    assert fresh(bench).get(option) == default
    made = fresh(bench)
    made.set(option, value)
    assert made.get(option) == value
    made = fresh(bench)
    made.setsockopt(option, value)
    assert made.getsockopt(option) == value
    for key in (name, name.lower()):
        made = fresh(bench)
        assert getattr(made, key) == default
        setattr(made, key, value)
        assert getattr(made, key) == value
    with pytest.raises(TypeError):
        made.set(option, "5")
    assert made.get(option) == value


@pytest.mark.parametrize(("name", "default", "value"), TEXTS, ids=[row[0] for row in TEXTS])
def test_bytes_are_set_and_read_in_every_way(
    bench: Bench, name: str, default: bytes, value: bytes
) -> None:
    option = getattr(bench.zmq, name)
    made = fresh(bench)
    assert made.get(option) == default
    made.set(option, value)
    assert made.get(option) == value
    made = fresh(bench)
    made.set_string(option, value.decode())
    assert made.get_string(option) == value.decode()
    with pytest.raises(TypeError):
        made.set(option, "text")
    with pytest.raises(TypeError):
        made.set_string(option, b"bytes")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SNDHWM", -1),
        ("RCVHWM", -1),
        ("LINGER", -2),
        ("IMMEDIATE", 2),
        ("IPV6", 5),
        ("ROUTING_ID", b"x" * 256),
        ("MULTICAST_HOPS", 0),
        ("RATE", 0),
        ("BACKLOG", -1),
    ],
)
def test_a_value_out_of_range_is_refused_and_changes_nothing(
    bench: Bench, name: str, value: Any
) -> None:
    zmq = bench.zmq
    made = fresh(bench)
    before = made.get(getattr(zmq, name))
    with pytest.raises(zmq.ZMQError) as refused:
        made.set(getattr(zmq, name), value)
    assert refused.value.errno == zmq.Errno.EINVAL
    assert made.get(getattr(zmq, name)) == before


def test_an_option_that_there_is_not_is_refused(bench: Bench) -> None:
    zmq = bench.zmq
    made = fresh(bench)
    with pytest.raises(zmq.ZMQError) as refused:
        made.set(9999, 5)
    assert refused.value.errno == zmq.Errno.EINVAL
    with pytest.raises(zmq.ZMQError) as refused:
        made.get(9999)
    assert refused.value.errno == zmq.Errno.EINVAL
    with pytest.raises(AttributeError):
        made.no_such_option = 5
    with pytest.raises(AttributeError):
        _ = made.no_such_option


@pytest.mark.parametrize("name", ["TYPE", "RCVMORE", "EVENTS", "FD", "MECHANISM"])
def test_what_only_a_socket_knows_cannot_be_set(bench: Bench, name: str) -> None:
    with pytest.raises(bench.zmq.ZMQError):
        fresh(bench).set(getattr(bench.zmq, name), 1)


@pytest.mark.parametrize("name", ["subscribe", "SUBSCRIBE", "unsubscribe"])
def test_subscriptions_cannot_be_read(bench: Bench, name: str) -> None:
    with pytest.raises(bench.zmq.ZMQError) as refused:
        fresh(bench, "SUB").get(getattr(bench.zmq, name.upper()))
    assert refused.value.errno == bench.zmq.Errno.EINVAL


def test_a_socket_that_does_not_subscribe_says_so(bench: Bench) -> None:
    with pytest.raises(bench.zmq.ZMQError) as refused:
        fresh(bench, "PUSH").set(bench.zmq.SUBSCRIBE, b"")
    assert refused.value.errno == bench.zmq.Errno.EINVAL


def test_hwm_is_both_marks(bench: Bench) -> None:
    made = fresh(bench)
    made.hwm = 7
    assert (made.sndhwm, made.rcvhwm, made.hwm, made.get_hwm()) == (7, 7, 7, 7)
    made.set_hwm(8)
    assert (made.SNDHWM, made.RCVHWM) == (8, 8)


def test_a_socket_knows_its_type_and_mechanism(bench: Bench) -> None:
    zmq = bench.zmq
    for name in (
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
        "STREAM",
    ):
        made = fresh(bench, name)
        assert made.type == made.get(zmq.TYPE) == getattr(zmq, name)
        assert made.mechanism == zmq.NULL
    assert zmq.SocketType(made.type).name == "STREAM"


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_last_endpoint_tells_where_a_wildcard_led(bench: Bench, transport: str) -> None:
    made = fresh(bench)
    assert made.last_endpoint in (b"", b"\x00")
    made.bind("tcp://127.0.0.1:*" if transport == "tcp" else "ipc://*")
    endpoint = made.get_string(bench.zmq.LAST_ENDPOINT).rstrip("\x00")
    assert endpoint.startswith(f"{transport}://")
    assert "*" not in endpoint
    made.unbind(endpoint)


def test_a_free_port_is_found(bench: Bench) -> None:
    zmq = bench.zmq
    made = fresh(bench)
    port = made.bind_to_random_port("tcp://127.0.0.1")
    assert made.last_endpoint.rstrip(b"\x00") == b"tcp://127.0.0.1:%d" % port
    with pytest.raises(zmq.ZMQBindError):
        fresh(bench).bind_to_random_port("tcp://127.0.0.1", port, port + 1, max_tries=2)


@pytest.mark.parametrize(
    ("endpoint", "number"),
    [
        ("nonsense", "EINVAL"),
        ("tcp://127.0.0.1", "EINVAL"),
        ("tcp://127.0.0.1:99999", "EINVAL"),
        ("carrier-pigeon://here", "EPROTONOSUPPORT"),
    ],
)
def test_endpoints_that_cannot_be_are_refused(bench: Bench, endpoint: str, number: str) -> None:
    zmq = bench.zmq
    made = fresh(bench)
    for verb in (made.bind, made.connect):
        if zmq.__name__ == "zmq" and "99999" in endpoint:
            continue  # libzmq takes the lower 16 bits for the port
        with pytest.raises(zmq.ZMQError) as refused:
            verb(endpoint)
        assert refused.value.errno == getattr(zmq.Errno, number)
        assert endpoint in str(refused.value)
    for wrong in (None, 5, 1.5):
        with pytest.raises(TypeError):
            made.bind(wrong)


def test_an_endpoint_belongs_to_one(bench: Bench) -> None:
    zmq = bench.zmq
    first, second = fresh(bench), fresh(bench)
    for endpoint in ("tcp://127.0.0.1:*", "inproc://mine"):
        first.bind(endpoint)
        with pytest.raises(zmq.ZMQError) as refused:
            second.bind(first.last_endpoint.decode().rstrip("\x00"))
        assert refused.value.errno == zmq.Errno.EADDRINUSE


def test_only_what_was_bound_or_connected_can_be_given_up(bench: Bench) -> None:
    zmq = bench.zmq
    made = fresh(bench)
    for verb in (made.unbind, made.disconnect):
        with pytest.raises(zmq.ZMQError) as refused:
            verb("tcp://127.0.0.1:5")
        assert refused.value.errno == errno.ENOENT


def test_bind_and_connect_are_taken_back_by_with(bench: Bench) -> None:
    zmq = bench.zmq
    pull, push = bench.socket("PULL"), bench.socket("PUSH")
    with pull.bind("inproc://for-a-while"), push.connect("inproc://for-a-while"):
        push.send(b"x")
        assert pull.recv() == b"x"
    with pytest.raises(zmq.Again):
        push.send(b"y", zmq.DONTWAIT)
    pull.bind("inproc://for-a-while")


# -- contexts ---------------------------------------------------------------------------------


def test_options_set_on_a_context_are_those_of_its_next_sockets(bench: Bench) -> None:
    zmq = bench.zmq
    before = fresh(bench)
    bench.context.linger = 7
    bench.context.setsockopt(zmq.SUBSCRIBE, b"")  # for SUB only; others do not mind
    bench.context.sndhwm = 3
    after = fresh(bench)
    assert (before.linger, after.linger, after.sndhwm) == (-1, 7, 3)
    assert bench.context.linger == bench.context.getsockopt(zmq.LINGER) == 7
    del bench.context.linger
    assert fresh(bench).linger == -1


@pytest.mark.parametrize(
    ("name", "default", "value"), [("IO_THREADS", 1, 2), ("MAX_SOCKETS", 1023, 5)]
)
def test_a_context_has_options_of_its_own(
    bench: Bench, name: str, default: int, value: int
) -> None:
    option = getattr(bench.zmq, name)
    assert bench.context.get(option) == getattr(bench.context, name.lower()) == default
    bench.context.set(option, value)
    assert bench.context.get(option) == value
    with pytest.raises(bench.zmq.ZMQError):
        bench.context.set(option, -5)


def test_a_context_has_no_more_sockets_than_it_may(bench: Bench) -> None:
    zmq = bench.zmq
    bench.context.max_sockets = 3
    made = [fresh(bench) for _ in range(3)]
    with pytest.raises(zmq.ZMQError) as refused:
        fresh(bench)
    assert refused.value.errno == errno.EMFILE
    made[0].close()


#: Those that some types of socket have and others refuse.
TYPED = {
    "CONNECT_ROUTING_ID": b"x",
    "ONLY_FIRST_SUBSCRIBE": 1,
    "PROBE_ROUTER": 1,
    "REQ_CORRELATE": 1,
    "REQ_RELAXED": 1,
    "ROUTER_HANDOVER": 1,
    "ROUTER_MANDATORY": 1,
    "ROUTER_RAW": 1,
    "STREAM_NOTIFY": 0,
    "XPUB_MANUAL": 1,
    "XPUB_MANUAL_LAST_VALUE": 1,
    "XPUB_NODROP": 1,
    "XPUB_VERBOSE": 1,
    "XPUB_VERBOSER": 1,
    "XPUB_WELCOME_MSG": b"x",
}
KINDS = [
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
    "STREAM",
]


@pytest.mark.peer("pyzmq")
@pytest.mark.parametrize("name", sorted(TYPED))
def test_an_option_of_other_types_is_refused_as_by_libzmq(name: str) -> None:
    import zmq

    import midge.zmq

    def verdicts(module: Any) -> dict[str, int]:
        found = {}
        with module.Context() as context:
            for kind in KINDS:
                with context.socket(getattr(module, kind)) as made:
                    try:
                        made.setsockopt(getattr(module, name), TYPED[name])
                    except module.ZMQError as error:
                        found[kind] = error.errno
                    else:
                        found[kind] = 0
        return found

    ours = verdicts(midge.zmq)
    assert ours == verdicts(zmq)
    assert set(ours.values()) == {0, errno.EINVAL}


def test_options_of_a_context_pass_by_the_sockets_that_do_not_have_them(bench: Bench) -> None:
    bench.context.setsockopt(bench.zmq.ROUTER_MANDATORY, 1)
    bench.context.setsockopt(bench.zmq.SNDHWM, 7)
    assert fresh(bench, "PUSH").sndhwm == 7
    router = fresh(bench, "ROUTER")
    with pytest.raises(bench.zmq.ZMQError) as caught:
        router.send_multipart([b"nobody", b"hello"], bench.zmq.DONTWAIT)
    assert caught.value.errno == errno.EHOSTUNREACH


@pytest.mark.parametrize("kind", KINDS)
def test_subscribers_do_not_linger(bench: Bench, kind: str) -> None:
    assert fresh(bench, kind).linger == (0 if kind in ("SUB", "XSUB") else -1)
