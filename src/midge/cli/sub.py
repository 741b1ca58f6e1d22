"""``midge sub``: subscribe, and print what comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from midge.cli.client_flags import (
    CLIENT_FLAGS,
    ClientOptions,
    number,
    take_url,
    topic_filter,
)
from midge.cli.flags import (
    REPEATED,
    REST,
    VALUE,
    Flag,
    FlagError,
    HelpWanted,
    VersionWanted,
    help_text,
    parse,
)
from midge.cli.output import OutputFailed, OutputGone, print_error, print_line, write_output
from midge.cli.run import FAILED, TIMED_OUT, Command
from midge.cli.version import version_line
from midge.client.core import Event
from midge.client.events import Connected, Published, Received, Subscribed
from midge.errors import MidgeError
from midge.limits import INFLIGHT_MESSAGES_DEFAULT
from midge.mqtt import packets as p
from midge.mqtt import properties as props
from midge.mqtt.properties import Properties
from midge.mqtt.reasons import FAILURE, Reason
from midge.topics.filters import matches

if TYPE_CHECKING:
    from midge.cli.format import Format

_RETAIN_HANDLING: Final = {"always": 0, "new": 1, "never": 2}


class SubOptions(ClientOptions):
    """What the command line of ``midge sub`` says."""

    __slots__ = (
        "count",
        "exit_after_subscribe",
        "filter_out",
        "format",
        "no_newline",
        "no_retained",
        "pretty",
        "remove_retained",
        "retain_as_published",
        "retain_handling",
        "retained_only",
        "timeout_s",
        "unsubscribe",
        "verbose",
    )

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.exit_after_subscribe = False
        self.filter_out: list[str] = []
        self.format: str | None = None
        self.no_newline = False
        self.no_retained = False
        self.pretty = False
        self.remove_retained = False
        self.retain_as_published = False
        self.retain_handling = 0
        self.retained_only = False
        self.timeout_s = 0
        self.unsubscribe: list[str] = []
        self.verbose = False

    def check(self) -> None:
        """See :meth:`ClientOptions.check`."""
        super().check()
        if not self.topics and not self.unsubscribe:
            raise FlagError(
                "Error: You must specify a topic to subscribe to (-t) or unsubscribe from (-U)."
            )
        if self.no_retained and self.retained_only:
            raise FlagError("Error: Combining '-R' and '--retained-only' makes no sense.")

    def connect_packet(self) -> p.Connect:
        """See :meth:`ClientOptions.connect_packet`."""
        connect = super().connect_packet()
        if self.version == p.MQTT_5 and 0 < self.count < INFLIGHT_MESSAGES_DEFAULT:
            # The broker need not send what we are not going to take.
            connect.properties = connect.properties or Properties()
            connect.properties.values.setdefault(props.RECEIVE_MAXIMUM, self.count)
        return connect

    def entries(self) -> list[p.SubscribeTo]:
        """What to subscribe to."""
        handling = 2 if self.no_retained else self.retain_handling
        is_v5 = self.version == p.MQTT_5
        return [
            p.SubscribeTo(
                filter,
                self.qos,
                False,
                is_v5 and self.retain_as_published,
                handling if is_v5 else 0,
            )
            for filter in self.topics
        ]


def _handling(text: str) -> object:
    if text not in _RETAIN_HANDLING:
        raise FlagError(f"Error: Unknown value '{text}' for --retain-handling.")
    return _RETAIN_HANDLING[text]


def _take_url(options: object, arguments: Sequence[str]) -> int:
    return take_url(options, arguments, is_filter=True)


# fmt: off
FLAGS: Final = (
    Flag("-t --topic", "topics", "topic filter to subscribe to; may be repeated",
         REPEATED, "FILTER", "topic", lambda text: topic_filter(text, "-t", "subscription")),
    Flag("-T --filter-out", "filter_out", "print no message that matches this; may be repeated",
         REPEATED, "FILTER", "topic filter", lambda text: topic_filter(text, "-T", "filter")),
    Flag("-U --unsubscribe", "unsubscribe", "topic filter to unsubscribe from; may be repeated",
         REPEATED, "FILTER", "unsubscribe topic",
         lambda text: topic_filter(text, "-U", "unsubscribe")),
    Flag("-q --qos", "qos", "quality of service: 0, 1 or 2 (0)", VALUE, "QOS", "QoS",
         number(0, 2, "Error: Invalid QoS given: {}")),
    Flag("-v --verbose", "verbose", "print the topic in front of each message"),
    Flag("-F", "format", "print messages in this format, e.g. '%t %x' or '@H:@M:@S %p'",
         VALUE, "FORMAT", "format"),
    Flag("--pretty", "pretty", "break the JSON of -F %j and %J into lines"),
    Flag("-N", "no_newline", "end no line after a message"),
    Flag("-C", "count", "exit after this many messages", VALUE, "COUNT", "count",
         number(1, 2**31 - 1, 'Error: Invalid message count "{}".')),
    Flag("-W", "timeout_s", "exit after this many seconds, with status 27",
         VALUE, "SECONDS", "timeout", number(1, 2**31 - 1, 'Error: Invalid timeout "{}".')),
    Flag("-E", "exit_after_subscribe", "exit when the broker has acknowledged the subscriptions"),
    Flag("-R", "no_retained", "print no retained messages"),
    Flag("--retained-only", "retained_only",
         "print only retained messages, and exit at the first other"),
    Flag("--remove-retained", "remove_retained",
         "remove from the broker each retained message that is printed"),
    Flag("--retain-as-published", "retain_as_published",
         "let messages keep the retain flag of their publisher (-V 5)"),
    Flag("--retain-handling", "retain_handling",
         "when retained messages are sent: always, new or never (-V 5)",
         VALUE, "WHEN", "option", _handling),
    Flag("-L --url", "", "mqtt://[user[:password]@]host[:port]/topic",
         REST, "URL", take=_take_url),
    *CLIENT_FLAGS,
)
# fmt: on

_SUMMARY = "Subscribe to MQTT topics, and print the messages that come."
_USAGE = "midge sub {-t FILTER | -U FILTER | -L URL} [FLAG]..."


class Sub(Command):
    """One run of ``midge sub``.

    What a turn brings is formatted, written at once, and only then acknowledged: a message whose
    reader is gone comes again in the next session.
    """

    def __init__(self, options: SubOptions, format: Format | None) -> None:
        super().__init__(options)
        self.client.auto_ack = False
        self._what = options
        self._format = format
        self._output: list[bytes] = []
        self._printed = 0
        self._stopped = False  # no message is looked at any more
        self._clearing: set[int] = set()  # retained messages that are being removed
        self._timeout_at: float | None = None

    def started(self, now: float) -> None:
        """The time of ``-W`` begins."""
        if self._what.timeout_s:
            self._timeout_at = now + self._what.timeout_s

    def connected(self, event: Connected) -> None:
        """Subscribe, again if need be."""
        assert self.link is not None
        what = self._what
        now = self.link.now()
        try:
            if what.topics:
                self.client.subscribe(what.entries(), now, what.properties.get("subscribe"))
            for filter in what.unsubscribe:
                self.client.unsubscribe([filter], now, what.properties.get("unsubscribe"))
        except MidgeError as error:
            self.say(f"Error: {error}.")
            self.status = FAILED
            self.finish()

    def handle(self, events: list[Event]) -> None:
        """Print messages; note acknowledgements."""
        taken: list[Received] = []
        for event in events:
            if isinstance(event, Received):
                if not self._stopped:
                    self._message(event)
                    if event.qos:
                        taken.append(event)
            elif isinstance(event, Subscribed):
                self._subscribed(event)
            elif isinstance(event, Published):
                self._clearing.discard(event.token)
        self.flush_output()
        assert self.link is not None
        for message in taken:
            self.client.acknowledge(message, self.link.now())
        if self._stopped and not self._clearing and not self.finished:
            self.finish()

    def until(self) -> float | None:
        """When ``-W`` is over."""
        return self._timeout_at

    def turned(self, input_ready: bool) -> None:
        """End when the time is up."""
        assert self.link is not None
        if self._timeout_at is not None and self.link.now() >= self._timeout_at:
            self.say("Timed out")
            self.status = TIMED_OUT
            self._stopped = True
            self.finish(int(Reason.DISCONNECT_WITH_WILL))

    def interrupted(self) -> None:
        """Ended from outside is no failure; the will is published, as nobody said goodbye."""
        self.signal = 0
        self._stopped = True
        self.finish(int(Reason.DISCONNECT_WITH_WILL))

    def flush_output(self) -> None:
        """Write what the messages of this turn have made."""
        if not self._output:
            return
        data = b"".join(self._output)
        self._output.clear()
        try:
            write_output(data)
        except OutputGone as error:
            if isinstance(error, OutputFailed):
                self.say(f"Error: standard output cannot be written: {error}.")
                self.status = FAILED
            self._stopped = True
            self.finish()

    def _subscribed(self, event: Subscribed) -> None:
        what = self._what
        if what.debug and not what.quiet:
            reasons = ", ".join(str(reason) for reason in event.reasons)
            line = f"Subscribed (mid: {event.packet_id}): {reasons}\n"
            self._output.append(line.encode())
        if all(reason >= FAILURE for reason in event.reasons):
            self.say("All subscription requests were denied.")
            self._stopped = True
        elif what.exit_after_subscribe:
            self._stopped = True

    def _message(self, packet: Received) -> None:
        what = self._what
        if what.retained_only and not packet.retain:
            self._stopped = True
            return
        if packet.retain and what.no_retained:
            return
        for filter in what.filter_out:
            if matches(filter, packet.topic):
                return
        if what.remove_retained and packet.retain:
            token = self.publish(packet.topic, b"", 1, True, None)
            if token > 0:
                self._clearing.add(token)
        self._print(packet)
        self._printed += 1
        if self._printed == what.count:
            self._stopped = True

    def _print(self, packet: Received) -> None:
        what = self._what
        payload = packet.payload
        if self._format is not None:
            try:
                self._output.append(self._format.render(packet))
            except ValueError as error:
                self.say(str(error))
        elif what.verbose:
            if not payload and what.no_newline:
                return
            self._output.append(packet.topic.encode() + b" ")
            self._output.append(payload or b"(null)")
        elif not payload:
            return
        else:
            self._output.append(payload)
        if not what.no_newline:
            self._output.append(b"\n")


def main(arguments: Sequence[str]) -> int:
    """Run ``midge sub``; returns the exit status."""
    options = SubOptions()
    try:
        parse(FLAGS, arguments, options)
        format = None
        if options.format is not None:
            from midge.cli.format import Format  # most do without

            format = Format(options.format, options.pretty)
        options.check()
    except HelpWanted:
        print_line(help_text(_SUMMARY, _USAGE, FLAGS).rstrip())
        return 0
    except VersionWanted:
        print_line(version_line())
        return 0
    except FlagError as error:
        print_error(f"{error}\n\nUse 'midge sub --help' to see usage.")
        return FAILED
    return Sub(options, format).run()
