"""mosquitto_pub and mosquitto_sub, a process for each action."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence

from tests.interop.client import NONE, WAIT_S, Client, Properties, Received
from tests.peers import program

#: One line a message, fields between tabs; MQTT 5's are empty in the older versions.
_FORMAT = r"%q\t%r\t%t\t%C\t%R\t%D\t%E\t%P\t%x"


def _received(fields: list[str]) -> Received:
    """A line in :data:`_FORMAT` as a message."""
    qos, retain, topic, content, response, correlation, expiry, user, payload = fields
    # A user property is `name:value`, and a space stands between two.
    pairs = [tuple(pair.split(":", 1)) for pair in user.split(" ") if pair]
    properties = Properties(
        user=tuple((pair[0], pair[1]) for pair in pairs),
        content_type=content or None,
        response_topic=response or None,
        correlation=correlation.encode() or None,
        expiry_s=int(expiry) if expiry else None,
    )
    return Received(topic, bytes.fromhex(payload), int(qos), retain == "1", properties)


def _property_flags(properties: Properties) -> list[str]:
    named: list[tuple[str, ...]] = [("user-property", *pair) for pair in properties.user]
    if properties.content_type is not None:
        named.append(("content-type", properties.content_type))
    if properties.response_topic is not None:
        named.append(("response-topic", properties.response_topic))
    if properties.correlation is not None:
        named.append(("correlation-data", properties.correlation.decode()))
    if properties.expiry_s is not None:
        named.append(("message-expiry-interval", str(properties.expiry_s)))
    return [word for words in named for word in ("-D", "publish", *words)]


class Mosquitto(Client):
    """Connects when it subscribes; publishes under another client id."""

    peer = "mosquitto_pub"

    def connect(self) -> None:
        self._subscriber: subprocess.Popen[str] | None = None

    def _flags(self, client_id: str) -> list[str]:
        version = {3: "mqttv31", 4: "mqttv311", 5: "mqttv5"}[self.version]
        words = ["-h", "127.0.0.1", "-p", str(self.port), "-V", version, "-i", client_id]
        if self.will is not None:
            words += ["--will-topic", self.will.topic, "--will-qos", str(self.will.qos)]
            words += ["--will-payload", self.will.payload.decode()]
            words += ["--will-retain"] if self.will.retain else []
        return words

    def subscribe(self, filter: str, qos: int) -> None:
        path = program("mosquitto_sub")
        assert path is not None
        words = [path, *self._flags(self.client_id), "-t", filter, "-q", str(qos), "-d"]
        words += ["-F", _FORMAT]
        if not self.clean:
            words += ["-c", *(["-x", "3600"] if self.version == 5 else [])]
        # Into a pipe it would write only when its buffer is full.
        self._subscriber = subprocess.Popen(
            ["stdbuf", "-oL", *words], stdout=subprocess.PIPE, encoding="utf-8"
        )
        subscribed = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(subscribed,), daemon=True)
        self._reader.start()
        assert subscribed.wait(WAIT_S), "mosquitto_sub did not subscribe"

    def _read(self, subscribed: threading.Event) -> None:
        assert self._subscriber is not None
        assert self._subscriber.stdout is not None
        for line in self._subscriber.stdout:
            fields = line.rstrip("\n").split("\t")
            if len(fields) > 1:
                self.messages.put(_received(fields))
            elif "SUBACK" in line:
                subscribed.set()

    def _publish(self, topic: str, qos: int, given: bytes, *more: str) -> None:
        path = program("mosquitto_pub")
        assert path is not None
        words = [path, *self._flags(self.client_id + "-pub"), "-t", topic, "-q", str(qos)]
        subprocess.run([*words, *more], input=given, check=True, timeout=WAIT_S)

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool = False,
        properties: Properties = NONE,
    ) -> None:
        flags = ["-s" if payload else "-n", *(["-r"] if retain else [])]
        self._publish(topic, qos, payload, *flags, *_property_flags(properties))

    def publish_all(self, topic: str, payloads: Sequence[bytes], qos: int) -> None:
        self._publish(topic, qos, b"".join(payload + b"\n" for payload in payloads), "-l")

    def drop(self) -> None:
        assert self._subscriber is not None
        self._subscriber.kill()
        self._end()

    def close(self) -> None:
        if self._subscriber is not None:
            self._subscriber.terminate()
            try:
                self._subscriber.wait(2)
            except subprocess.TimeoutExpired:
                # Its signal handler takes a lock, and waits for ever where the signal came while
                # the program itself held it.
                self._subscriber.kill()
            self._end()

    def _end(self) -> None:
        assert self._subscriber is not None
        self._subscriber.wait(WAIT_S)
        self._reader.join(WAIT_S)
        assert self._subscriber.stdout is not None
        self._subscriber.stdout.close()
        self._subscriber = None
