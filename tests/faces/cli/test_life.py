"""Our commands while they run: streams, sessions, signals, lost connections."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.faces.cli.commands import Running, command, run
from tests.process import BrokerProcess

# -- lines ------------------------------------------------------------------------------------


def test_lines_are_published_as_they_come(broker: BrokerProcess) -> None:
    common = ["-p", broker.port, "-t", "life/lines"]
    with (
        Running("midge", "sub", *common, "-d") as sub,
        Running("midge", "pub", *common, "-l") as pub,
    ):
        sub.subscribed()
        pub.write(b"first\n")
        sub.until(b"\nfirst\n")
        pub.write(b"\nsecond\nthi")
        sub.until(b"\nsecond\n")
        pub.write(b"rd\nlast")
        sub.until(b"\nthird\n")
        assert b"last" not in sub.output
        assert pub.finish().status == 0
        sub.until(b"\nlast\n")


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_thousands_of_lines_arrive_complete_and_in_order(broker: BrokerProcess, qos: int) -> None:
    lines = b"".join(b"%d\n" % number for number in range(5000))
    common = ["-p", broker.port, "-t", f"life/thousands/{qos}", "-q", qos]
    with Running("midge", "sub", *common, "-i", "thousands", "-C", 5000, "-d", "-F", "%p") as sub:
        sub.subscribed()
        # Debug lines would be mixed with the messages: they are told apart by their form.
        assert run("midge", "pub", *common, "-l", stdin=lines).status == 0
        outcome = sub.finish()
    assert outcome.status == 0
    received = [line for line in outcome.output.split(b"\n") if line.isdigit()]
    assert b"".join(line + b"\n" for line in received) == lines


def test_no_lines_are_no_error(broker: BrokerProcess) -> None:
    outcome = run("midge", "pub", "-p", broker.port, "-t", "life/none", "-l", "-d")
    assert outcome.status == 0
    assert b"PUBLISH" not in outcome.output
    assert outcome.output.endswith(b"sending DISCONNECT\n")


def test_a_repetition_waits_for_its_delay(broker: BrokerProcess) -> None:
    common = ["-p", broker.port, "-t", "life/repeat"]
    with Running("midge", "sub", *common, "-d", "-C", 3, "-F", "@s.@N") as sub:
        sub.subscribed()
        repeat = ["--repeat", 3, "--repeat-delay", 0.2]
        assert run("midge", "pub", *common, "-m", "x", *repeat).status == 0
        output = sub.finish().output
    times = [float(line) for line in output.split(b"\n") if line[:1].isdigit()]
    assert len(times) == 3
    # At least the delay, less what the first took longer on its way than the second.
    assert times[2] - times[0] >= 0.3


# -- sessions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["311", "5"])
def test_a_session_holds_what_comes_while_nobody_listens(
    broker: BrokerProcess, version: str
) -> None:
    topic = f"life/session/{version}"
    common = ["-p", broker.port, "-V", version, "-q", 1, "-t", topic]
    session = ["-i", f"life-session-{version}", "-c"]
    assert run("midge", "sub", *common, *session, "-E").status == 0
    for number in range(5):
        assert run("midge", "pub", *common, "-m", number).status == 0
    # Exactly two are taken, also when more of them come in the same chunk.
    first = run("midge", "sub", *common, *session, "-C", 2)
    assert (first.status, first.output) == (0, b"0\n1\n")
    second = run("midge", "sub", *common, *session, "-C", 3)
    assert (second.status, second.output) == (0, b"2\n3\n4\n")


def test_an_unsubscribed_filter_stays_unsubscribed(broker: BrokerProcess) -> None:
    base = ["-p", broker.port, "-i", "life-unsubscribe", "-c", "-q", 1]
    both = ["-t", "life/u/a", "-t", "life/u/b"]
    assert run("midge", "sub", *base, *both, "-E").status == 0
    outcome = run("midge", "sub", *base, "-U", "life/u/a", "-t", "life/u/b", "-E", "-d")
    assert outcome.status == 0
    assert b"UNSUBSCRIBE (Mid: 2, Topic: life/u/a)" in outcome.output
    for name in "ab":
        run("midge", "pub", "-p", broker.port, "-q", 1, "-t", f"life/u/{name}", "-m", name)
    outcome = run("midge", "sub", *base, "-t", "life/u/b", "-C", 1, "-v")
    assert outcome.output == b"life/u/b b\n"


def test_retained_messages_can_be_listed_and_removed(broker: BrokerProcess) -> None:
    common = ["-p", broker.port]
    for number in range(3):
        run("midge", "pub", *common, "-t", f"life/old/{number}", "-m", number, "-r", "-q", 1)
    words = [*common, "-t", "life/old/+", "-v", "--remove-retained", "-C", 3]
    outcome = run("midge", "sub", *words)
    assert sorted(outcome.output.splitlines()) == [b"life/old/%d %d" % (n, n) for n in range(3)]
    again = run("midge", "sub", *common, "-t", "life/old/+", "-t", "life/end", "-W", 1)
    assert (again.status, again.output) == (27, b"")


# -- ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_ends_sub_with_a_goodbye(broker: BrokerProcess, number: int) -> None:
    with Running("midge", "sub", "-p", broker.port, "-t", "life/signal", "-d") as sub:
        outcome = sub.subscribed().finish(number)
    assert outcome.status == 0
    assert outcome.output.endswith(b"sending DISCONNECT\n")
    assert outcome.error == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_ends_pub_with_a_goodbye_and_is_seen(broker: BrokerProcess, number: int) -> None:
    with Running("midge", "pub", "-p", broker.port, "-t", "life/signal", "-l", "-d") as pub:
        pub.write(b"line\n")
        pub.until(b"sending PUBLISH")
        os.kill(pub.process.pid, number)
        assert pub.process.wait(10) == -number
        outcome = pub.finish()
    assert outcome.output.endswith(b"sending DISCONNECT\n")
    assert outcome.error == b""


def test_a_reader_that_goes_away_ends_sub_quietly(broker: BrokerProcess) -> None:
    common = ["-p", broker.port, "-t", "life/pipe"]
    with Running("midge", "sub", *common, "-d") as sub:
        sub.subscribed()
        assert sub.process.stdout is not None
        sub.process.stdout.close()
        run("midge", "pub", *common, "-m", "x")
        assert sub.process.wait(10) == 0
        assert sub.process.stderr is not None
        assert sub.process.stderr.read() == b""
        sub.process.stdout = None


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGKILL, True), (signal.SIGINT, False)])
def test_the_will_is_published_for_who_dies_and_not_for_who_leaves(
    broker: BrokerProcess, number: int, expected: bool
) -> None:
    topic = f"life/will/{number:d}"
    will = ["--will-topic", topic, "--will-payload", "gone", "--will-qos", 1]
    with Running("midge", "sub", "-p", broker.port, "-t", topic, "-t", "end", "-d", "-v") as sub:
        sub.subscribed()
        with Running("midge", "sub", "-p", broker.port, "-t", "x", *will, "-d") as victim:
            victim.subscribed().finish(number)
        if not expected:
            run("midge", "pub", "-p", broker.port, "-t", "end", "-m", "x")
            sub.until(b"end x\n")
            assert b"gone" not in sub.output
        else:
            sub.until(f"{topic} gone\n".encode())


def test_a_server_that_is_silent_for_too_long_does_not_hold_the_time_limit(tmp_path: Path) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        outcome = run("midge", "sub", "-p", port, "-h", "127.0.0.1", "-t", "a", "-W", 1)
    assert (outcome.status, outcome.output, outcome.error) == (27, b"", b"Timed out\n")


@pytest.mark.parametrize(("verb", "status"), [("sub", 0), ("pub", -signal.SIGTERM)])
def test_a_signal_ends_the_wait_for_a_broker_that_is_gone(
    tmp_path: Path, verb: str, status: int
) -> None:
    broker = BrokerProcess(tmp_path)
    broker.start()
    words = ["-p", broker.port, "-t", "life/gone", *(["-l"] if verb == "pub" else [])]
    try:
        with Running("midge", verb, *words, "-d") as waiting:
            if verb == "pub":
                waiting.write(b"x\n")
            waiting.until(b"SUBACK" if verb == "sub" else b"PUBLISH")
            broker.stop()
            assert waiting.process.stdin is not None
            os.kill(waiting.process.pid, signal.SIGTERM)
            assert waiting.process.wait(10) == status
    finally:
        broker.stop()


# -- connections that break -------------------------------------------------------------------


def test_sub_and_pub_come_back_to_a_broker_that_was_restarted(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    broker.start()
    common = ["-p", broker.port, "-t", "life/back", "-q", 1]
    try:
        with (
            Running("midge", "sub", *common, "-d", "-V", 5) as sub,
            Running("midge", "pub", *common, "-d", "-l") as pub,
        ):
            sub.subscribed()
            pub.write(b"before\n")
            sub.until(b"\nbefore\n")
            broker.stop()
            sub.output = b""
            broker.start()
            sub.subscribed()
            pub.write(b"after\n")
            sub.until(b"\nafter\n")
            assert pub.finish().status == 0
            assert sub.finish(signal.SIGTERM).status == 0
    finally:
        broker.stop()


def test_one_message_is_not_tried_again_and_its_loss_is_said() -> None:
    import socket
    import threading

    with socket.socket() as rude:
        rude.bind(("127.0.0.1", 0))
        rude.listen()

        def accept_and_close() -> None:
            connection, _ = rude.accept()
            connection.recv(1000)
            connection.close()

        thread = threading.Thread(target=accept_and_close)
        thread.start()
        port = rude.getsockname()[1]
        outcome = run("midge", "pub", "-h", "127.0.0.1", "-p", port, "-t", "a", "-m", "x")
        thread.join()
    assert (outcome.status, outcome.error) == (7, b"Error: The connection was lost.\n")


# -- other ways to the broker -----------------------------------------------------------------


def test_an_address_of_version_6(tmp_path: Path) -> None:
    import socket

    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    broker = BrokerProcess(tmp_path)
    broker._file.write_text(broker._file.read_text() + f"listener {broker.port} ::1\n")
    with broker:
        words = ["-h", "::1", "-p", broker.port, "-t", "life/v6", "-r", "-q", 1]
        assert run("midge", "pub", *words, "-m", "six").status == 0
        words = ["-L", f"mqtt://[::1]:{broker.port}/life/v6", "-C", 1]
        assert run("midge", "sub", *words).output == b"six\n"


def test_name_with_an_address_that_does_not_answer_falls_over_to_the_next(
    broker: BrokerProcess,
) -> None:
    # "localhost" has ::1 too on most machines, where the broker does not listen.
    words = ["-h", "localhost", "-p", broker.port, "-t", "life/name", "-m", "x", "-q", 1]
    assert run("midge", "pub", *words).status == 0


@pytest.mark.peer("mosquitto")
def test_a_unix_socket(tmp_path: Path) -> None:
    from tests.faces.cli.conftest import MosquittoProcess

    os.chmod(tmp_path, 0o777)
    path = tmp_path / "socket"
    broker = MosquittoProcess(tmp_path, f"listener 0 {path}\n")
    for parent in path.parents:
        if parent.stat().st_uid == os.getuid() and str(parent).startswith("/tmp/"):
            os.chmod(parent, parent.stat().st_mode | 0o011)
    with broker:
        words = ["--unix", path, "-t", "life/unix", "-r", "-q", 1]
        assert run("midge", "pub", *words, "-m", "here").status == 0
        assert run("midge", "sub", *words[:4], "-C", 1).output == b"here\n"


# -- what the broker does not take --------------------------------------------------------------


def test_a_message_that_the_broker_does_not_take_is_a_failure(tmp_path: Path) -> None:
    limits = "max_qos 0\nretain_available false\nmax_packet_size 100\n"
    with BrokerProcess(tmp_path, limits) as broker:
        words = ["-p", broker.port, "-t", "life/limits", "-V", 5]
        outcome = run("midge", "pub", *words, "-m", "x", "-q", 1)
        assert (outcome.status, outcome.error) == (
            1,
            b"Error: Message QoS not supported on broker, try a lower QoS.\n",
        )
        outcome = run("midge", "pub", *words, "-m", "x" * 200)
        assert outcome.status == 1
        assert b"larger than the 100" in outcome.error
        # A message that cannot be kept is sent all the same, for those who listen now.
        outcome = run("midge", "pub", *words, "-m", "x", "-r", "-d")
        assert outcome.status == 0
        assert b"sending PUBLISH (d0, q0, r0," in outcome.output


def test_a_refused_message_is_a_warning(tmp_path: Path) -> None:
    import socket
    import threading

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"\x20\x03\x00\x00\x00")
                connection.recv(1000)
                connection.sendall(b"\x40\x0a\x00\x01\x87\x06\x1f\x00\x03why")
                while connection.recv(1000):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        words = ["-h", "127.0.0.1", "-p", server.getsockname()[1], "-V", 5, "-q", 1, "-t", "a"]
        outcome = run("midge", "pub", *words, "-m", "x")
        thread.join()
    assert outcome.error == b"Warning: Publish 1 failed: Not authorized.\nwhy\n"
    assert outcome.status == 0


def test_a_message_that_could_not_be_written_is_no_success(broker: BrokerProcess) -> None:
    words = ["-p", broker.port, "-t", "life/full"]
    assert run("midge", "pub", *words, "-m", "x", "-r").status == 0
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*command("midge", "sub"), *map(str, words), "-C", "1"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=20,
        )
    assert done.returncode == 1
    assert done.stderr == b"Error: standard output cannot be written: No space left on device.\n"
