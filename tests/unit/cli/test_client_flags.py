"""What the flags of ``pub`` and ``sub`` mean, and which complaints they cause."""

from __future__ import annotations

import os

import pytest

from midge.cli import broker, pub, sub
from midge.cli.flags import FlagError, parse
from midge.cli.pub import PubOptions
from midge.cli.sub import SubOptions
from midge.mqtt import packets as p
from midge.mqtt.properties import Properties


def pub_options(*arguments: str) -> PubOptions:
    options = PubOptions()
    parse(pub.FLAGS, arguments, options)
    options.check()
    return options


def sub_options(*arguments: str) -> SubOptions:
    options = SubOptions()
    parse(sub.FLAGS, ("-t", "a", *arguments), options)
    options.check()
    return options


def test_the_defaults_are_those_of_mosquitto() -> None:
    options = pub_options()
    assert (options.host, options.port, options.qos) == ("localhost", 1883, 0)
    assert options.connect_packet() == p.Connect("", 4, True, 60)
    assert options.inflight_messages_max == 20


@pytest.mark.parametrize(
    ("text", "version"),
    [("31", 3), ("mqttv31", 3), ("311", 4), ("mqttv311", 4), ("5", 5), ("mqttv5", 5)],
)
@pytest.mark.parametrize("flag", ["-V", "--protocol-version"])
def test_versions(flag: str, text: str, version: int) -> None:
    assert pub_options(flag, text).connect_packet().version == version


def test_everything_about_the_connection_is_in_the_connect_packet() -> None:
    options = sub_options(
        *("-i", "me", "-k", "5", "-u", "bob", "-P", "secret", "-c"),
        *("--will-topic", "w", "--will-payload", "gone", "--will-qos", "2", "--will-retain"),
    )
    will = p.Will("w", b"gone", 2, True)
    assert options.connect_packet() == p.Connect("me", 4, False, 5, "bob", b"secret", will)


def test_an_id_prefix_is_completed_with_the_process_id() -> None:
    assert pub_options("-I", "x-").connect_packet().client_id == f"x-{os.getpid()}"


def test_version_31_always_has_an_id_of_its_own() -> None:
    first = pub_options("-V", "31").connect_packet().client_id
    second = pub_options("-V", "31").connect_packet().client_id
    assert first.startswith("midge-")
    assert len(first) <= 23
    assert first != second


@pytest.mark.parametrize(
    ("arguments", "expiry_s"),
    [
        (["-V", "5"], None),
        (["-V", "5", "-c", "-i", "me"], 0xFFFFFFFF),
        (["-x", "100"], 100),
        (["-x", "100", "-c"], 100),
        (["-x", "0", "-c"], None),
        (["-x", "-1", "-i", "me"], 0xFFFFFFFF),
        (["-x", "∞", "-i", "me"], 0xFFFFFFFF),
        (["-x", "4294967295", "-i", "me"], 0xFFFFFFFF),
        (["-D", "connect", "session-expiry-interval", "7"], 7),
    ],
)
def test_session_expiry(arguments: list[str], expiry_s: int | None) -> None:
    connect = sub_options(*arguments).connect_packet()
    assert connect.version == 5
    expected = None if expiry_s is None else Properties.of(session_expiry_interval=expiry_s)
    assert connect.properties == expected


def test_properties_go_to_their_packets() -> None:
    options = pub_options(
        *("-D", "connect", "user-property", "a", "1", "--will-topic", "w"),
        *("-D", "publish", "content-type", "text", "-D", "PUBLISH", "user-property", "b", "2"),
        *("-D", "will", "will-delay-interval", "9", "-D", "publish", "user-property", "c", "3"),
    )
    connect = options.connect_packet()
    assert connect.version == 5
    assert connect.properties == Properties(user=[("a", "1")])
    assert connect.will is not None
    assert connect.will.properties == Properties.of(will_delay_interval=9)
    assert options.properties["publish"] == Properties.of(
        content_type="text", user_property=[("b", "2"), ("c", "3")]
    )


def test_sub_asks_a_version_5_broker_for_no_more_than_it_takes() -> None:
    assert sub_options("-C", "3").connect_packet().properties is None
    connect = sub_options("-C", "3", "-V", "5").connect_packet()
    assert connect.properties == Properties.of(receive_maximum=3)
    assert sub_options("-C", "20", "-V", "5").connect_packet().properties is None


@pytest.mark.parametrize(
    ("arguments", "entry"),
    [
        (["-q", "2"], p.SubscribeTo("a", 2)),
        (["-R"], p.SubscribeTo("a")),
        (["-R", "-V", "5"], p.SubscribeTo("a", retain_handling=2)),
        (["--retain-handling", "new", "-V", "5"], p.SubscribeTo("a", retain_handling=1)),
        (["--retain-handling", "always", "-V", "5"], p.SubscribeTo("a")),
        (["--retain-as-published", "-V", "5"], p.SubscribeTo("a", retain_as_published=True)),
        (["--retain-as-published"], p.SubscribeTo("a")),
    ],
)
def test_subscription_options(arguments: list[str], entry: p.SubscribeTo) -> None:
    assert sub_options(*arguments).entries() == [entry]


def test_several_topics() -> None:
    options = sub_options("-t", "b/#", "-T", "b/c", "-T", "+", "-U", "d")
    assert [entry.filter for entry in options.entries()] == ["a", "b/#"]
    assert options.filter_out == ["b/c", "+"]
    assert options.unsubscribe == ["d"]


def test_the_message_may_be_anything() -> None:
    assert pub_options("-m", "-t").payload == b"-t"
    assert pub_options("-m", "\udcff").payload == b"\xff"
    assert pub_options("-n").payload == b""


def test_a_url_has_it_all() -> None:
    options = pub_options("-L", "mqtt://bob:pw@[::1]:1999/a/b")
    assert (options.host, options.port) == ("::1", 1999)
    assert (options.username, options.password) == ("bob", b"pw")
    assert options.topics == ["a/b"]
    assert sub_options("-L", "mqtt://h/a/#").topics == ["a", "a/#"]


COMPLAINTS = [
    (["-p", "70000"], "Error: Invalid port given: 70000"),
    (["-p", "x"], "Error: Invalid port given: x"),
    (["-q", "3"], "Error: Invalid QoS given: 3"),
    (["-q", "-1"], "Error: Invalid QoS given: -1"),
    (["-V", "9"], "Error: Invalid protocol version argument given."),
    (["-V"], "Error: -V argument given but no version specified."),
    (
        ["-k", "4"],
        "Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.",
    ),
    (["-i", "a", "-I", "b"], "Error: -i and -I argument cannot be used together."),
    (["-i", ""], "Error: Invalid id."),
    (["-c"], "Error: You must provide a client id if you are using the -c option."),
    (
        ["-c", "-V", "5"],
        "Error: You must provide a client id if you are using an infinite session expiry interval.",
    ),
    (["-P", "secret"], "Error: Problem setting username and/or password."),
    (["--will-payload", "x"], "Error: Will payload given, but no will topic given."),
    (["--will-retain"], "Error: Will retain given, but no will topic given."),
    (["--will-topic", "a/#"], "Error: Invalid will topic 'a/#', does it contain '+' or '#'?"),
    (["--will-topic", "w", "--will-qos", "3"], "Error: Invalid will QoS 3."),
    (["-x", "soon"], "Error: session-expiry-interval not a number."),
    (["-x", "-2"], "Error: session-expiry-interval out of range."),
    (["-x", "4294967296"], "Error: session-expiry-interval out of range."),
    (["-M", "0"], "Error: Maximum inflight messages must be greater than 0."),
    (
        ["-D", "connect", "receive-maximum"],
        "Error: --property argument given but not enough arguments specified.",
    ),
    (
        ["-D", "publish", "user-property", "a"],
        "Error: --property argument given but not enough arguments specified.",
    ),
    (
        ["-D", "connack", "user-property", "a", "b"],
        "Error: Invalid command connack given in --property argument.",
    ),
    (
        ["-D", "connect", "nonsense", "1"],
        "Error: Invalid property name nonsense given in --property argument.",
    ),
    (
        ["-D", "connect", "content-type", "x"],
        "Error: content-type property not allowed for connect in --property argument.",
    ),
    (
        ["-D", "connect", "receive-maximum", "65536"],
        "Error: Property value (65536) out of range for property receive-maximum.",
    ),
    (
        ["-D", "publish", "content-type", "x" * 65536],
        "Error: Property value too long for property content-type.",
    ),
    (
        ["-D", "publish", "content-type", "x", "-V", "311"],
        "Error: Properties (-D, -x) need -V 5, which is their default.",
    ),
    (["-L", "http://h/t"], "Error: Unsupported URL scheme."),
    (["-L", "mqtt://h"], "Error: Invalid URL for -L argument specified - topic missing."),
    (["--cafile", "x"], "Error: Unknown option '--cafile'."),
]
PUB_COMPLAINTS = [
    (["-t", "a/+"], "Error: Invalid publish topic 'a/+', does it contain '+' or '#'?"),
    (["-t", "\udcff"], "Error: Malformed UTF-8 in -t argument."),
    (["-m", "x", "-l"], "Error: Only one type of message can be sent at once."),
    (["-m", "x", "-m", "y"], "Error: Only one type of message can be sent at once."),
    (["-m"], "Error: -m argument given but no message specified."),
    (["-f"], "Error: -f argument given but no file specified."),
    (["--repeat", "0"], "Error: --repeat argument must be >0."),
    (["--repeat-delay", "-1"], "Error: --repeat-delay argument must be >=0.0."),
    (["--repeat-delay", "nan"], "Error: --repeat-delay argument must be >=0.0."),
    (["-v"], "Error: Unknown option '-v'."),
]
SUB_COMPLAINTS = [
    (
        ["-t", "a/#/b"],
        "Error: Invalid subscription topic 'a/#/b', are all '+' and '#' wildcards correct?",
    ),
    (["-T", "a+"], "Error: Invalid filter topic 'a+', are all '+' and '#' wildcards correct?"),
    (["-C", "0"], 'Error: Invalid message count "0".'),
    (["-W", "0"], 'Error: Invalid timeout "0".'),
    (["--retain-handling", "x"], "Error: Unknown value 'x' for --retain-handling."),
    (["-R", "--retained-only"], "Error: Combining '-R' and '--retained-only' makes no sense."),
    (["-r"], "Error: Unknown option '-r'."),
    (["-l"], "Error: Unknown option '-l'."),
]


@pytest.mark.parametrize(("arguments", "complaint"), COMPLAINTS + PUB_COMPLAINTS)
def test_complaints_of_pub(arguments: list[str], complaint: str) -> None:
    with pytest.raises(FlagError) as caught:
        pub_options(*arguments)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(("arguments", "complaint"), COMPLAINTS + SUB_COMPLAINTS)
def test_complaints_of_sub(arguments: list[str], complaint: str) -> None:
    with pytest.raises(FlagError) as caught:
        sub_options(*arguments)
    assert str(caught.value) == complaint


def test_sub_needs_something_to_do() -> None:
    with pytest.raises(FlagError, match="must specify a topic"):
        SubOptions().check()


EVERYDAY = """
-h -p -t -q -i -k -u -P -V -c -d -I -M -D -x -A -L --unix --nodelay --quiet --host --port --topic
--qos --id --keepalive --username --pw --protocol-version --disable-clean-session --debug
--id-prefix --property --url --will-topic --will-payload --will-qos --will-retain
"""
PUB_ONLY = """
-m -n -f -l -s -r --message --file --null-message --stdin-line --stdin-file --retain --repeat
--repeat-delay
"""
SUB_ONLY = """
-v -C -W -N -R -E -T -U -F --verbose --filter-out --unsubscribe --pretty --retained-only
--remove-retained --retain-as-published --retain-handling
"""
BROKER = "-p --port -c --config-file -v -d -q --test-config -h"


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (pub.FLAGS, EVERYDAY + PUB_ONLY),
        (sub.FLAGS, EVERYDAY + SUB_ONLY),
        (broker.FLAGS, BROKER),
    ],
    ids=["pub", "sub", "broker"],
)
def test_every_everyday_flag_is_there_once(flags: tuple[pub.Flag, ...], wanted: str) -> None:
    names = [name for flag in flags for name in flag.names]
    assert sorted(set(names)) == sorted(names)
    assert set(wanted.split()) <= set(names)
