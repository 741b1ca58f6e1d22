"""The same arguments to Mosquitto's commands and to ours: same output, same errors, same status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faces.cli.commands import Running, run
from tests.process import BrokerProcess

pytestmark = pytest.mark.peer("mosquitto_pub", "mosquitto_sub")

PUB = [
    "-m x -d",
    "-m x -d -q 1 -i me",
    "-m x -d -q 2 -i me -r",
    "-m x -d -V 31",
    "-m x -d -V mqttv5 -q 1",
    "-n -d -r",
    "-m -1 -d",
    "-m x -d -q 2 -V 5 --repeat 3",
    "-m x -d --repeat 3",
    "-m x -d -q 1 --repeat 2 --repeat-delay 0.05",
    "-m x -d -V 5 -D publish topic-alias 3 --repeat 2",
    "-m x -d -V 5 -q 1 -D publish topic-alias 3 --repeat 2 -k 5",
    "-m x -d -u bob -P secret --will-topic w --will-payload gone --will-qos 1 --will-retain",
    "-m x -d -c -i persistent",
    "-m x -d -x 5 -c -i persistent5",
    "-m x -d -M 1 -q 1",
    "-m x -d --nodelay --quiet",
    "-l -d",
    "-l -d -q 2 -V 5",
    "-s -d -q 1",
]
REFUSED_ARGUMENTS = [
    "",
    "-m",
    "-m x -l",
    "-m x -Z",
    "-m x stray",
    "-m x -q 5",
    "-m x -p 70000",
    "-m x -V 9",
    "-m x -k 70000",
    "-m x -i a -I b",
    "-m x -c",
    "-m x -P secret",
    "-m x --will-payload u",
    "-m x --will-retain",
    "-m x --will-topic w/#",
    "-m x -x soon",
    "-m x -M 0",
    "-m x --repeat 0",
    "-m x --repeat-delay -1",
    "-m x -D connect",
    "-m x -D publish user-property 4",
    "-m x -D connect content-type 4",
    "-m x -t a/+/b",
    "-m x -L mqtt://localhost",
    "-s",
]
#: Where Debian's older version says less than the newest does, which is what we follow.
SAID_BETTER = {"-m x -i a -I b"}


def last_line(error: bytes) -> bytes:
    """The line before the one that points to --help."""
    lines = [line for line in error.split(b"\n") if line and not line.startswith(b"Use 'midge")]
    return lines[-1] if lines else b""


@pytest.mark.parametrize("arguments", PUB)
def test_pub_does_what_mosquitto_pub_does(broker: BrokerProcess, arguments: str) -> None:
    words = ["-p", broker.port, "-t", "side/pub", *arguments.split()]
    stdin = b"one\n\ntwo"
    theirs = run("mosquitto", "pub", *words, stdin=stdin)
    ours = run("midge", "pub", *words, stdin=stdin)
    assert unordered(ours.comparable()) == unordered(theirs.comparable())
    assert ours.status == 0


def unordered(outcome: tuple[int, bytes, bytes]) -> tuple[int, list[bytes], bytes]:
    """Lines in any order: acknowledgements overtake what is read from standard input."""
    status, output, error = outcome
    return status, sorted(output.split(b"\n")), error


@pytest.mark.parametrize("arguments", REFUSED_ARGUMENTS)
def test_pub_refuses_what_mosquitto_pub_refuses(arguments: str) -> None:
    words = ["-t", "side/pub", *arguments.split()]
    theirs = run("mosquitto", "pub", *words)
    ours = run("midge", "pub", *words)
    assert ours.status == theirs.status == 1
    assert b"Error: " in ours.error
    if arguments not in SAID_BETTER:
        their_line = last_line(theirs.comparable()[2])
        # In the version that names what it does not know, that is all that is different.
        assert last_line(ours.comparable()[2]) == their_line


@pytest.mark.parametrize("verb", ["pub", "sub"])
@pytest.mark.parametrize("version", ["31", "311", "5"])
@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["", "quiet"])
def test_a_refusal_has_the_same_status_and_words(
    closed_broker: BrokerProcess, verb: str, version: str, quiet: list[str]
) -> None:
    words = ["-p", closed_broker.port, "-V", version, "-t", "a", *quiet]
    words += ["-m", "x"] if verb == "pub" else []
    theirs = run("mosquitto", verb, *words)
    ours = run("midge", verb, *words)
    assert ours.status == theirs.status == (135 if version == "5" else 5)
    assert ours.output == theirs.output == b""
    assert ours.comparable()[2].split(b"\n")[0] == theirs.comparable()[2].split(b"\n")[0]


@pytest.mark.parametrize("verb", ["pub", "sub"])
@pytest.mark.parametrize(
    "where",
    [["-p", 1], ["-h", "nowhere.invalid"], ["--unix", "/nonexistent/socket"]],
    ids=["port", "name", "path"],
)
def test_nobody_there_is_said_in_the_same_words(verb: str, where: list[object]) -> None:
    words = [*where, "-t", "a", *(["-m", "x"] if verb == "pub" else [])]
    theirs = run("mosquitto", verb, *words).comparable()
    ours = run("midge", verb, *words).comparable()
    assert ours[0] == theirs[0] == 1
    assert ours[2].replace(b").", b")") == theirs[2].replace(b".)", b")")


@pytest.fixture(scope="module")
def retained(broker: BrokerProcess) -> str:
    """Five retained messages under a topic, which is returned."""
    for name, payload in [("a", "one"), ("b", "two"), ("c", ""), ("d", "d\xfc"), ("e", "{}")]:
        run("midge", "pub", "-p", broker.port, "-t", f"side/r/{name}", "-m", payload, "-r", "-q", 1)
    return "side/r"


SUB = [
    "-t {r}/a -C 1",
    "-t {r}/a -C 1 -v",
    "-t {r}/a -C 1 -N",
    "-t {r}/a -C 1 -v -N",
    "-t {r}/d -C 1 -v -q 1 -V 5",
    "-t {r}/a -t {r}/b -C 2 -v -V 31",
    "-t {r}/+ -T {r}/a -T {r}/d -T {r}/e -C 1 -v",
    "-t {r}/a -R -W 1 -V 5",
    "-t {r}/x -t {r}/y -E -d -i s -q 2",
    "-t {r}/x -E -d -i s -V 5 -k 7 -c",
    "-t {r}/a --retain-as-published -C 1 -V 5",
    "-t {r}/a --retained-only -C 1",
    "-t {r}/x -W 1 -v -d -i s --quiet",
    "-L mqtt://127.0.0.1:{p}/{r}/b -C 1 -v",
    "-t {r}/a -C 1 -F %t|%p|%q|%r|%l|%x|%X",
    "-t {r}/a -C 1 -F %%@@\\n\\t\\\\",
    "-t {r}/e -C 1 -q 1 -F %m|%5m|%05m|%-5m|",
    "-t {r}/a -C 1 -F %t:%p -N",
    "-t {r}/a -C 1 -V 5 -F %A%C%E%F%R%S%D%P|",
    "-t {r}/#/x",
    "-t {r} -C 0",
    "-t {r} -W 0",
    "-t {r} -F %",
    "-t {r} -F %z",
    "-t {r} -F \\q",
    "-t {r} -c",
    "-T {r}",
    "-t",
    "-t a -r",
]


@pytest.mark.parametrize("arguments", SUB)
def test_sub_does_what_mosquitto_sub_does(
    broker: BrokerProcess, retained: str, arguments: str
) -> None:
    words = ["-p", broker.port]
    words += [word.format(r=retained, p=broker.port) for word in arguments.split()]
    theirs = run("mosquitto", "sub", *words).comparable()
    ours = run("midge", "sub", *words).comparable()
    if "specify a topic" in theirs[2].decode():
        # The newest version has more to say.
        theirs = (*theirs[:2], theirs[2].replace(b"to.", b"to"))
        ours = (*ours[:2], ours[2].replace(b" to (-t) or unsubscribe from (-U)", b" to"))
    assert ours == theirs


@pytest.mark.parametrize("version", ["31", "311", "5"])
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("receiver", ["midge", "mosquitto"])
def test_messages_go_from_each_to_the_other(
    broker: BrokerProcess, version: str, qos: int, receiver: str
) -> None:
    sender = "mosquitto" if receiver == "midge" else "midge"
    topic = f"side/both/{receiver}/{version}/{qos}/\u2603"
    common = ["-p", broker.port, "-V", version, "-q", qos, "-t", topic]
    with Running(receiver, "sub", *common, "-d", "-v", "-C", 1) as sub:
        sub.subscribed()
        assert run(sender, "pub", *common, "-m", "h\xe9llo").status == 0
        outcome = sub.finish()
    assert outcome.status == 0
    assert f"{topic} h\xe9llo\n".encode() in outcome.output


def test_the_content_of_a_file_arrives_as_it_is(broker: BrokerProcess, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096  # 1 MiB
    (tmp_path / "file").write_bytes(content)
    common = ["-p", broker.port, "-t", "side/file", "-q", 1]
    for receiver, sender in [("midge", "mosquitto"), ("mosquitto", "midge")]:
        with Running(receiver, "sub", *common, "-N", "-d", "-C", 1) as sub:
            sub.subscribed()
            assert run(sender, "pub", *common, "-f", tmp_path / "file").status == 0
            assert content in sub.finish().output


def test_properties_arrive_in_their_order(broker: BrokerProcess) -> None:
    common = ["-p", broker.port, "-t", "side/properties", "-V", 5]
    properties = [
        "-D",
        "publish",
        "user-property",
        "b",
        "2",
        "-D",
        "publish",
        "user-property",
        "a",
        "1",
    ]
    properties += [
        "-D",
        "publish",
        "content-type",
        "text",
        "-D",
        "publish",
        "correlation-data",
        "xyz",
    ]
    properties += [
        "-D",
        "publish",
        "response-topic",
        "r/t",
        "-D",
        "publish",
        "payload-format-indicator",
        "1",
    ]
    format = ["-F", "%P|%C|%D|%R|%F|%S|%p"]
    for receiver, sender in [("midge", "mosquitto"), ("mosquitto", "midge")]:
        words = [*common, *format, "-D", "subscribe", "subscription-identifier", 7]
        with Running(receiver, "sub", *words, "-d", "-C", 1) as sub:
            sub.subscribed()
            assert run(sender, "pub", *common, *properties, "-m", "x").status == 0
            assert b"b:2 a:1|text|xyz|r/t|1|7|x\n" in sub.finish().output
