"""The flags that ``pub`` and ``sub`` share: how to reach a broker, and as whom.

One table, :data:`CLIENT_FLAGS`, and the options that it fills. What can only be judged when all
flags are known (a will needs its topic, ``-c`` a client id) is judged by
:meth:`ClientOptions.check`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from midge.cli.flags import REST, VALUE, Flag, FlagError, whole_number
from midge.errors import TopicError
from midge.limits import INFLIGHT_MESSAGES_DEFAULT
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.topics.names import check_filter, check_topic

_VERSIONS: Final = {
    "mqttv31": p.MQTT_31,
    "31": p.MQTT_31,
    "mqttv311": p.MQTT_311,
    "311": p.MQTT_311,
    "mqttv5": p.MQTT_5,
    "5": p.MQTT_5,
}
#: A session that never expires (MQTT 5.0 section 3.1.2.11.2).
_NEVER: Final = 0xFFFFFFFF


class ClientOptions:
    """What the command line says about the connection, with Mosquitto's defaults."""

    __slots__ = (
        "bind_address",
        "client_id",
        "debug",
        "host",
        "id_prefix",
        "inflight_messages_max",
        "keepalive_s",
        "nodelay",
        "password",
        "persistent",
        "port",
        "properties",
        "qos",
        "quiet",
        "session_expiry_s",
        "topics",
        "unix_path",
        "username",
        "version",
        "will_payload",
        "will_qos",
        "will_retain",
        "will_topic",
    )

    def __init__(self) -> None:
        self.host = "localhost"
        self.port = 1883
        self.unix_path: str | None = None
        self.bind_address: str | None = None
        self.nodelay = False
        self.client_id: str | None = None
        self.id_prefix: str | None = None
        self.keepalive_s = 60
        self.username: str | None = None
        self.password: bytes | None = None
        self.version: int = p.MQTT_311
        self.persistent = False
        self.session_expiry_s: int | None = None
        self.will_topic: str | None = None
        self.will_payload: bytes | None = None
        self.will_qos = 0
        self.will_retain = False
        self.qos = 0
        self.inflight_messages_max: int = INFLIGHT_MESSAGES_DEFAULT
        self.debug = False
        self.quiet = False
        #: Where to publish (the last one counts), or what to subscribe to.
        self.topics: list[str] = []
        #: ``-D``: the properties of each packet, by its name in small letters.
        self.properties: dict[str, Properties] = {}

    def check(self) -> None:
        """Judge what no flag can judge alone.

        Raises:
            FlagError: flags that do not go together.
        """
        if self.client_id is not None and self.id_prefix is not None:
            raise FlagError("Error: -i and -I argument cannot be used together.")
        if self.client_id == "":
            raise FlagError("Error: Invalid id.")
        if self.will_topic is None:
            if self.will_payload is not None:
                raise FlagError("Error: Will payload given, but no will topic given.")
            if self.will_retain:
                raise FlagError("Error: Will retain given, but no will topic given.")
        if self.version != p.MQTT_5:
            if self.properties or self.session_expiry_s is not None:
                raise FlagError("Error: Properties (-D, -x) need -V 5, which is their default.")
            if self.password is not None and self.username is None:
                raise FlagError("Error: Problem setting username and/or password.")
            if self.persistent and self.client_id is None:
                raise FlagError(
                    "Error: You must provide a client id if you are using the -c option."
                )
        elif self.expiry_s() == _NEVER and self.client_id is None:
            raise FlagError(
                "Error: You must provide a client id if you are using an infinite session "
                "expiry interval."
            )

    def expiry_s(self) -> int:
        """How long the session outlives the connection (5.0): as ``-x`` says, else as ``-c``."""
        if self.session_expiry_s is not None:
            return self.session_expiry_s
        return _NEVER if self.persistent else 0

    def connect_packet(self) -> p.Connect:
        """The CONNECT that the options describe."""
        properties = self.properties.get("connect")
        if self.version == p.MQTT_5 and self.expiry_s():
            properties = properties or Properties()
            properties.values.setdefault(props.SESSION_EXPIRY_INTERVAL, self.expiry_s())
        will = None
        if self.will_topic is not None:
            will = p.Will(
                self.will_topic,
                self.will_payload or b"",
                self.will_qos,
                self.will_retain,
                self.properties.get("will"),
            )
        return p.Connect(
            client_id=self._client_id(),
            version=self.version,
            clean_start=not self.persistent,
            keepalive_s=self.keepalive_s,
            username=self.username,
            password=self.password,
            will=will,
            properties=properties,
        )

    def _client_id(self) -> str:
        if self.client_id is not None:
            return self.client_id
        if self.id_prefix is not None:
            return f"{self.id_prefix}{os.getpid()}"
        if self.version == p.MQTT_31:
            # 3.1 has no empty id; 23 characters are the most that it allows.
            return "midge-" + os.urandom(8).hex()
        return ""


# -- values ---------------------------------------------------------------------------------------


def number(lowest: int, highest: int, complaint: str) -> Callable[[str], object]:
    """A converter for whole numbers in a range; ``{}`` in the complaint is what was given."""

    def convert(text: str) -> object:
        value = whole_number(text, lowest, highest)
        if value is None:
            raise FlagError(complaint.format(text))
        return value

    return convert


def utf8(text: str, where: str) -> str:
    """``text``, if it can go into a packet.

    Raises:
        FlagError: it was not UTF-8 on the command line.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FlagError(f"Error: Malformed UTF-8 in {where} argument.") from None
    return text


def topic(text: str, where: str, what: str) -> str:
    """A topic to publish to; ``what`` it is for stands in the complaint."""
    try:
        check_topic(utf8(text, where))
    except TopicError:
        raise FlagError(
            f"Error: Invalid {what} topic '{text}', does it contain '+' or '#'?"
        ) from None
    return text


def topic_filter(text: str, where: str, what: str) -> str:
    """A topic filter; ``what`` it is for stands in the complaint."""
    try:
        check_filter(utf8(text, where))
    except TopicError:
        raise FlagError(
            f"Error: Invalid {what} topic '{text}', are all '+' and '#' wildcards correct?"
        ) from None
    return text


def _plain(where: str) -> Callable[[str], object]:
    return lambda text: utf8(text, where)


def _version(text: str) -> object:
    version = _VERSIONS.get(text)
    if version is None:
        raise FlagError("Error: Invalid protocol version argument given.")
    return version


def _will_topic(text: str) -> object:
    return topic(text, "--will-topic", "will")


def _take_expiry(options: object, arguments: Sequence[str]) -> int:
    assert isinstance(options, ClientOptions)
    if not arguments:
        raise FlagError("Error: -x argument given but no session expiry interval specified.")
    text = arguments[0]
    value = -1 if text == "∞" else whole_number(text, -(2**63), 2**63)
    if value is None:
        raise FlagError("Error: session-expiry-interval not a number.")
    if not -1 <= value <= _NEVER:
        raise FlagError("Error: session-expiry-interval out of range.")
    options.session_expiry_s = value & _NEVER
    options.version = p.MQTT_5
    return 1


def _take_property(options: object, arguments: Sequence[str]) -> int:
    assert isinstance(options, ClientOptions)
    from midge.cli.property_flags import take_property  # few need it, all would wait for it

    used = take_property(options.properties, arguments)
    options.version = p.MQTT_5
    return used


def take_url(options: object, arguments: Sequence[str], is_filter: bool) -> int:
    """``-L``: host, port, credentials and topic in one."""
    assert isinstance(options, ClientOptions)
    if not arguments:
        raise FlagError("Error: -L argument given but no URL specified.")
    from midge.client.url import parse_url

    try:
        url = parse_url(utf8(arguments[0], "-L"))
    except ValueError as error:
        raise FlagError(f"Error: {error}") from None
    if url.path is None:
        raise FlagError("Error: Invalid URL for -L argument specified - topic missing.")
    if is_filter:
        options.topics.append(topic_filter(url.path, "-L topic", "subscription"))
    else:
        options.topics.append(topic(url.path, "-L topic", "publish"))
    options.host = url.host
    options.port = url.port
    if url.username is not None:
        options.username = url.username
    if url.password is not None:
        options.password = url.password.encode()
    return 1


# fmt: off
CLIENT_FLAGS: Final = (
    Flag("-h --host", "host", "the broker's host name or address (localhost)",
         VALUE, "HOST", "host"),
    Flag("-p --port", "port", "its port (1883)", VALUE, "PORT", "port",
         number(1, 65535, "Error: Invalid port given: {}")),
    Flag("--unix", "unix_path", "connect to a Unix domain socket instead",
         VALUE, "PATH", "socket path"),
    Flag("-A", "bind_address", "connect from this local address", VALUE, "ADDRESS", "address"),
    Flag("--nodelay", "nodelay", "send small packets at once; midge always does"),
    Flag("-V --protocol-version", "version",
         "MQTT version: mqttv31, mqttv311 (the default) or mqttv5; or 31, 311, 5",
         VALUE, "VERSION", "version", _version),
    Flag("-i --id", "client_id", "client id (the broker assigns one)",
         VALUE, "ID", "id", _plain("-i")),
    Flag("-I --id-prefix", "id_prefix", "client id is this and the process id",
         VALUE, "PREFIX", "id prefix", _plain("-I")),
    Flag("-k --keepalive", "keepalive_s", "keep alive in seconds (60)",
         VALUE, "SECONDS", "keepalive",
         number(5, 65535,
                "Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.")),
    Flag("-u --username", "username", "user name", VALUE, "NAME", "username", _plain("-u")),
    Flag("-P --pw", "password", "password", VALUE, "PASSWORD", "password", os.fsencode),
    Flag("-c --disable-clean-session", "persistent",
         "go on with the session of the client id, and leave one behind"),
    Flag("-x", "", "how many seconds the session outlives the connection, -1 for ever; "
         "implies -V 5", REST, "SECONDS", take=_take_expiry),
    Flag("-D --property", "", "add a property to a packet, e.g. publish content-type text/plain "
         "or connect user-property NAME VALUE; implies -V 5",
         REST, "PACKET NAME VALUE", take=_take_property),
    Flag("-M", "inflight_messages_max", "QoS 1 and 2 messages in flight at most (20)",
         VALUE, "COUNT", "count",
         number(1, 65535, "Error: Maximum inflight messages must be greater than 0.")),
    Flag("--will-topic", "will_topic", "topic of the message that the broker publishes when the "
         "connection is lost", VALUE, "TOPIC", "will topic", _will_topic),
    Flag("--will-payload", "will_payload", "its payload (empty)", VALUE, "TEXT", "will payload",
         os.fsencode),
    Flag("--will-qos", "will_qos", "its quality of service (0)", VALUE, "QOS", "will QoS",
         number(0, 2, "Error: Invalid will QoS {}.")),
    Flag("--will-retain", "will_retain", "retain it"),
    Flag("-d --debug", "debug", "print what is sent and received"),
    Flag("--quiet", "quiet", "print no error messages"),
)
# fmt: on
