"""Passwords and rules as people use them: with Mosquitto's own clients, against Mosquitto too.

Each case runs with midge and, where the peer is there, with Mosquitto itself: same results.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from midge.cli.main import main
from midge.mqtt import packets as p
from midge.mqtt.connection import CLIENT, Connection
from midge.mqtt.reasons import Reason
from tests import peers
from tests.process import BrokerProcess

USERS = {"bob": "secret", "eve": "other", "admin": "root"}
RULES = """\
# clients without a name
topic read public/#

user bob
topic readwrite house/+/state
topic deny house/safe/state
topic read public/#

user admin
topic #
topic read $SYS/#

pattern readwrite dev/%c/#
pattern read own/%u
"""

Start = Callable[[str], BrokerProcess]


class Mosquitto(BrokerProcess):
    """Mosquitto in the place of midge."""

    def __init__(self, directory: Path, extra: str) -> None:
        super().__init__(directory, extra + "user root\n")
        program = peers.program("mosquitto")
        assert program is not None
        self._command = [program, "-v", *self._command[self._command.index("-c") :]]


@pytest.fixture(params=["midge", pytest.param("mosquitto", marks=pytest.mark.peer("mosquitto"))])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts a broker with the users and rules above and more configuration."""
    passwords, rules = tmp_path / "passwords", tmp_path / "acl"
    passwords.touch(mode=0o600)
    for name, password in USERS.items():
        assert main(["passwd", "-b", str(passwords), name, password]) == 0
    rules.write_text(RULES)
    rules.chmod(0o600)
    with contextlib.ExitStack() as stack:

        def start(extra: str) -> BrokerProcess:
            kind = Mosquitto if request.param == "mosquitto" else BrokerProcess
            extra = extra.format(passwords=passwords, rules=rules)
            return stack.enter_context(kind(tmp_path, extra))

        yield start


FILES = "allow_anonymous false\npassword_file {passwords}\nacl_file {rules}\n"


def publish(broker: BrokerProcess, topic: str, text: str, *flags: str) -> int:
    """What mosquitto_pub ends with."""
    program = peers.program("mosquitto_pub")
    assert program is not None
    command = [program, "-p", str(broker.port), "-t", topic, "-m", text, *flags]
    return subprocess.run(command, capture_output=True, timeout=20).returncode


@contextlib.contextmanager
def subscribed(broker: BrokerProcess, *flags: str) -> Iterator[list[str]]:
    """Runs mosquitto_sub until the marker ``end`` comes to ``public/end``; fills the lines."""
    program = peers.program("mosquitto_sub")
    assert program is not None
    command = [program, "-d", "-p", str(broker.port), "-F", "%t %p", *flags, "-t", "public/end"]
    process = subprocess.Popen(
        ["stdbuf", "-oL", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "received SUBACK" in line:
                break
        yield lines
        assert publish(broker, "public/end", "end", "-u", "admin", "-P", "root") == 0
        for line in process.stdout:
            if line.startswith("public/end"):
                break
            if not line.startswith(("Client", "Subscribed")):
                lines.append(line.rstrip("\n"))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:  # some releases hang in their signal handler
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


BOB = ("-u", "bob", "-P", "secret")
pytestmark = pytest.mark.peer("mosquitto_pub", "mosquitto_sub")


def test_who_comes_in(start: Start) -> None:
    broker = start(FILES)
    for flags, comes_in in (
        (BOB, True),
        (("-u", "eve", "-P", "other"), True),
        (("-u", "bob", "-P", "other"), False),
        (("-u", "bob", "-P", "Secret"), False),
        (("-u", "bob"), False),
        (("-u", "nobody", "-P", "secret"), False),
        ((), False),
    ):
        for version in ("mqttv311", "mqttv5"):
            status = publish(broker, "x", "y", "-V", version, *flags)
            assert (status == 0) == comes_in, (flags, version)


def test_anonymous_clients_come_in_where_they_may_but_a_wrong_name_does_not(start: Start) -> None:
    broker = start(FILES.replace("false", "true"))
    assert publish(broker, "x", "y") == 0
    assert publish(broker, "x", "y", *BOB) == 0
    assert publish(broker, "x", "y", "-u", "bob", "-P", "wrong") != 0
    assert publish(broker, "x", "y", "-u", "nobody", "-P", "wrong") != 0


def test_what_a_user_is_given_is_what_the_rules_let_it_read(start: Start) -> None:
    broker = start(FILES)
    admin = ("-u", "admin", "-P", "root")
    for topic in ("house/old/state", "house/safe/state", "private/old"):
        assert publish(broker, topic, "kept", "-r", *admin) == 0
    with subscribed(broker, *BOB, "-i", "bobs", "-t", "#", "-t", "$SYS/broker/version") as heard:
        for topic in (
            *("house/door/state", "house/safe/state", "house/door/lock", "private/x", "public/x"),
            *("dev/bobs/x", "dev/other/x", "own/bob", "own/eve"),
        ):
            assert publish(broker, topic, "new", *admin) == 0
    assert sorted(heard) == sorted(
        [
            "house/old/state kept",
            *(f"{topic} new" for topic in ("house/door/state", "public/x")),
            *(f"{topic} new" for topic in ("dev/bobs/x", "own/bob")),
        ]
    )


def test_what_a_user_writes_arrives_where_the_rules_let_it_write(start: Start) -> None:
    broker = start(FILES)
    with subscribed(broker, "-u", "admin", "-P", "root", "-t", "#") as heard:
        for topic in (
            *("house/door/state", "house/safe/state", "private/x", "public/x", "dev/c/x"),
            *("dev/d/x", "own/bob", "$SYS/broker/x"),
        ):
            assert publish(broker, topic, "x", "-q", "1", "-i", "c", *BOB) == 0
    assert sorted(heard) == ["dev/c/x x", "house/door/state x"]


def test_a_client_with_a_wildcard_in_its_id_gets_nothing_from_patterns(start: Start) -> None:
    broker = start(FILES)
    with subscribed(broker, *BOB, "-i", "#", "-t", "dev/#") as heard:
        for topic in ("dev/x", "dev/#x/y"):
            publish(broker, topic.replace("#", ""), "x", "-u", "admin", "-P", "root")
    assert heard == []


def test_clientid_prefixes_lets_in_only_ids_that_begin_so(start: Start) -> None:
    broker = start("allow_anonymous true\nclientid_prefixes ok-\n")
    assert publish(broker, "x", "y", "-i", "ok-1") == 0
    for client_id in ("no", "OK-1", "ok"):
        assert publish(broker, "x", "y", "-i", client_id) != 0


def hang_up(broker: BrokerProcess) -> None:
    """Have the broker read its files again, and wait until it has."""
    before = broker.log().count("eloading config")
    broker.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    deadline = time.monotonic() + 10
    while broker.log().count("eloading config") == before and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)


def test_after_a_hangup_the_new_files_count_and_who_is_in_stays_in(
    start: Start, tmp_path: Path
) -> None:
    broker = start(FILES)
    admin = ("-u", "admin", "-P", "root")
    with subscribed(broker, *BOB, "-i", "b", "-t", "#") as heard:
        assert publish(broker, "new/topic", "before", *admin) == 0
        assert publish(broker, "house/door/state", "before", *admin) == 0
        rules = RULES.replace("house/+/state", "new/topic")
        (tmp_path / "acl").write_text(rules)
        assert main(["passwd", "-b", str(tmp_path / "passwords"), "eve", "changed"]) == 0
        hang_up(broker)
        assert publish(broker, "new/topic", "after", *admin) == 0
        assert publish(broker, "house/door/state", "after", *admin) == 0
    assert heard == ["house/door/state before", "new/topic after"]
    assert publish(broker, "x", "y", "-u", "eve", "-P", "other") != 0
    assert publish(broker, "x", "y", "-u", "eve", "-P", "changed") == 0


# -- what Mosquitto 2.0 does otherwise ----------------------------------------------------------


class Raw:
    """A client on a plain socket."""

    def __init__(self, broker: BrokerProcess, connect: p.Connect) -> None:
        self.socket = socket.create_connection(("127.0.0.1", broker.port), timeout=20)
        self.connection = Connection(CLIENT, connect.version)
        self.events: list[p.Packet] = []
        self.send(connect)

    def send(self, packet: p.Packet) -> None:
        self.connection.send(packet, 0.0)
        self.socket.sendall(b"".join(self.connection.data_to_send()))

    def take(self) -> p.Packet | None:
        while not self.events:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.events = list(self.connection.receive_data(data, 0.0))
        return self.events.pop(0)


@pytest.fixture
def midge(tmp_path: Path) -> Iterator[BrokerProcess]:
    passwords, rules = tmp_path / "passwords", tmp_path / "acl"
    passwords.touch(mode=0o600)
    for name, password in USERS.items():
        assert main(["passwd", "-b", str(passwords), name, password]) == 0
    rules.write_text(RULES)
    extra = FILES.format(passwords=passwords, rules=rules) + "log_type all\n"
    with BrokerProcess(tmp_path, extra) as broker:
        yield broker


def test_a_password_is_not_cut_at_a_nul(midge: BrokerProcess) -> None:
    for password, reason in ((b"secret", 0), (b"secret\0x", 0x87), (b"secret\0", 0x87)):
        client = Raw(midge, p.Connect("c", 5, username="bob", password=password))
        connack = client.take()
        assert isinstance(connack, p.Connack)
        assert connack.reason == reason
        client.socket.close()


def test_a_client_does_not_get_into_the_subtree_of_another_by_its_id(
    midge: BrokerProcess,
) -> None:
    with subscribed(midge, *BOB, "-i", "v/in", "-t", "dev/v/in/#", "-t", "dev/#") as heard:
        assert publish(midge, "dev/v/in/x", "x", "-u", "admin", "-P", "root") == 0
    assert heard == []


def test_the_log_says_why_and_what_would_help_and_the_client_learns_neither(
    midge: BrokerProcess,
) -> None:
    client = Raw(midge, p.Connect("c", 5, username="nobody", password=b"x"))
    connack = client.take()
    assert isinstance(connack, p.Connack)
    assert connack.reason == Reason.NOT_AUTHORIZED
    assert "nobody" not in repr(connack.properties)
    client.socket.close()
    assert publish(midge, "house/safe/state", "x", *BOB) == 0
    assert publish(midge, "garage", "x", *BOB) == 0
    deadline = time.monotonic() + 10
    wanted = (
        "refused: user 'nobody' is not in ",
        "'topic deny house/safe/state' refuses it; without that line, "
        "'topic write house/safe/state' below 'user bob' would allow it",
        "write garage; 'topic write garage' below 'user bob' would allow it",
    )
    while time.monotonic() < deadline and not all(text in midge.log() for text in wanted):
        time.sleep(0.01)
    for text in wanted:
        assert text in midge.log()


def test_a_hangup_with_a_file_that_cannot_be_used_changes_nothing(
    midge: BrokerProcess, tmp_path: Path
) -> None:
    (tmp_path / "acl").write_text("nonsense\n")
    (tmp_path / "passwords").write_text("")
    hang_up(midge)
    deadline = time.monotonic() + 10
    while "Invalid line in acl_file" not in midge.log() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "Invalid line in acl_file" in midge.log()
    assert publish(midge, "house/door/state", "x", *BOB) == 0  # the old users are still there


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("password_file /no/such", 'Unable to open pwfile "/no/such": No such file'),
        ("acl_file /no/such", 'Unable to open acl_file "/no/such": No such file'),
        ("acl_file {rules}", "Error found at {rules}:1."),
        ("password_file {rules}", "Error found at {rules}:2."),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_start_with_status_3(
    tmp_path: Path, option: str, said: str
) -> None:
    rules = tmp_path / "bad"
    rules.write_text("nonsense\nuser:plain\n")
    broker = BrokerProcess(tmp_path, option.format(rules=rules) + "\n")
    with pytest.raises(RuntimeError, match="ended at once"):
        broker.start()
    assert said.format(rules=rules) in broker.log()
    assert broker.process is not None
    assert broker.process.returncode == 3
