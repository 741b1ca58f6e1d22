"""The programs of docs/bridge-zeromq.md, run with libzmq's sockets, do what is said of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from midge.client import sync
from midge.message import Message
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from tests.packaging.programs import Place, programs, until

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "bridge-zeromq.md"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """The programs, and midge with the page's configuration."""
    made = Place(tmp_path, PAGE)
    made.broker("midge.conf")
    yield made
    made.close()


def client(place: Place) -> sync.Client:
    """An MQTT client of the broker."""
    return sync.connect(f"mqtt://127.0.0.1:{place.ports['1883']}", version=p.MQTT_5, timeout_s=10)


def test_all_programs_of_the_page_are_known_here() -> None:
    names = re.findall(r"^    # (\w+\.\w+)$", PAGE.read_text(), re.MULTILINE)
    assert list(programs(PAGE, {"5555": 1, "5556": 2, "1883": 3})) == names
    assert names == [
        *("midge.conf", "show.py", "tell.py", "worker.c", "push.py", "ask.py", "photos.py"),
        *("album.py", "router.py"),
    ]


def test_what_mqtt_clients_publish_is_shown(place: Place) -> None:
    paper = place.start("show.py")
    with client(place) as publisher:
        # A SUB says what it wants when it is connected: until then there is nothing to show.
        def shown() -> bool:
            publisher.publish("homeless/1", "no", qos=1)
            publisher.publish("home/door", "open", qos=1)
            return paper.read_text() == "home/door open\n" * 2

        until(shown)
    assert place.running[-1].wait(10) == 0


def test_what_a_pub_sends_is_published(place: Place) -> None:
    with client(place) as subscriber:
        subscriber.subscribe("home/#")
        place.start("tell.py")
        got = subscriber.receive(10)
    assert (got.topic, got.payload) == ("home/kitchen", b"21.5")


def compile_worker(place: Place) -> None:
    """Make the program in C; skips where that cannot be done."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source, made = place.directory / "worker.c", place.directory / "worker"
    command = [compiler, "-Wall", "-Wextra", "-Werror", str(source), "-o", str(made), "-lzmq"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "zmq.h: No such file" in done.stderr or "cannot find -lzmq" in done.stderr:
        pytest.skip("libzmq's header and library are not installed (libzmq3-dev)")
    assert done.returncode == 0, done.stderr


def answer(service: sync.Client, question: Message, payload: str) -> None:
    """Publish where the question says."""
    properties = question.properties
    assert properties is not None
    topic = properties.get_str(props.RESPONSE_TOPIC)
    correlation = properties.values[props.CORRELATION_DATA]
    assert topic is not None
    assert isinstance(correlation, bytes)
    service.publish(topic, payload, properties=Properties.of(correlation_data=correlation))


def test_a_worker_in_c_does_the_jobs_of_all_producers(place: Place) -> None:
    compile_worker(place)
    paper = place.start("worker")
    place.run("push.py")
    with client(place) as producer:
        assert producer.publish("$queue/jobs", "one more", qos=1) == 0
    until(lambda: len(paper.read_text().splitlines()) == 4)
    assert paper.read_text() == "did job 0\ndid job 1\ndid job 2\ndid one more\n"
    assert place.run("ask.py") == "done\n"
    with client(place) as asking:  # and those of MQTT
        asking.subscribe("answers/1")
        properties = Properties.of(response_topic="answers/1", correlation_data=b"7")
        asking.publish("$queue/jobs", "an MQTT question", qos=1, properties=properties)
        got = asking.receive(10)
    assert got.payload == b"done"
    assert got.properties is not None
    assert got.properties.values[props.CORRELATION_DATA] == b"7"


def test_an_mqtt_client_answers_a_question_of_zeromq(place: Place) -> None:
    with client(place) as service:
        service.subscribe("$queue/jobs", qos=1)
        paper = place.start("ask.py")
        question = service.receive(10)
        assert question.payload == b"a question"
        answer(service, question, "an answer")
        assert place.running[-1].wait(10) == 0
    assert paper.read_text() == "an answer\n"


def test_a_routing_id_names_the_queue(place: Place) -> None:
    with client(place) as service:
        service.subscribe("$queue/photos", qos=1)
        paper = place.start("photos.py")
        question = service.receive(10)
        assert question.payload == b"a picture"
        answer(service, question, "seen")
        assert place.running[-1].wait(10) == 0
    assert paper.read_text() == "seen\n"


def test_the_path_of_a_websocket_names_the_queue(place: Place) -> None:
    with client(place) as service:
        service.subscribe("$queue/photos", qos=1)
        place.run("album.py")
        assert service.receive(10).payload == b"a picture"


def test_a_router_takes_several_jobs_and_acknowledges_each(place: Place) -> None:
    place.start("router.py")
    assert place.run("ask.py") == "done with a question\n"
    assert place.run("ask.py") == "done with a question\n"
