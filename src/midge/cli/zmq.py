"""``midge zmq``: ZeroMQ sockets from the command line, and the small servers that users write."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from midge.cli.flags import (
    REPEATED,
    VALUE,
    Flag,
    FlagError,
    HelpWanted,
    VersionWanted,
    help_text,
    parse,
    whole_number,
)
from midge.cli.output import OutputFailed, OutputGone, print_error, print_line, write_output
from midge.cli.version import version_line

_USAGE: Final = """\
ZeroMQ sockets from the command line.

Usage: midge zmq COMMAND [FLAG]...

  pub       publish lines, files or messages
  sub       print what is published, by prefix
  push      give messages to workers
  pull      be a worker: print the messages that come
  req       send requests, print the replies
  rep       answer requests
  proxy     stand between two sides: a queue, a forwarder or a streamer
  monitor   say what happens to a connection: who is there, or why not
  keygen    make keys for CURVE
  --help    print this text

'midge zmq COMMAND --help' says more."""


class ZmqOptions:
    """What the command line of a command says; see the flags."""

    __slots__ = (
        "base64",
        "binds",
        "capture",
        "connects",
        "count",
        "curve_key",
        "curve_serve",
        "curve_server",
        "echo",
        "execute",
        "file",
        "hex",
        "hwm",
        "json",
        "linger",
        "messages",
        "multipart",
        "plain_password",
        "plain_user",
        "prefixes",
        "routing_id",
        "seconds",
        "wait",
    )

    def __init__(self) -> None:
        self.binds: list[str] = []
        self.connects: list[str] = []
        self.prefixes: list[str] = []
        self.messages: list[str] = []
        self.file: str | None = None
        self.multipart = False
        self.count = 0
        self.seconds = 0
        self.wait = -1
        self.hwm = -1
        self.linger = -1
        self.hex = False
        self.base64 = False
        self.json = False
        self.echo = False
        self.execute: str | None = None
        self.capture: str | None = None
        self.curve_key: str | None = None
        self.curve_server: str | None = None
        self.curve_serve = False
        self.plain_user: str | None = None
        self.plain_password: str | None = None
        self.routing_id: str | None = None


def _number(least: int) -> Callable[[str], object]:
    def convert(text: str) -> object:
        number = whole_number(text, least, 2**31 - 1)
        if number is None:
            raise FlagError(f"Error: '{text}' is no number that can stand here.")
        return number

    return convert


# fmt: off
_ENDPOINTS: Final = (
    Flag("-b --bind", "binds", "listen at this endpoint; may be repeated",
         REPEATED, "ENDPOINT", "endpoint"),
    Flag("-c --connect", "connects", "connect to this endpoint; may be repeated",
         REPEATED, "ENDPOINT", "endpoint"),
)
_COMMON: Final = (
    Flag("-C", "count", "end after so many messages", VALUE, "COUNT", "count", _number(1)),
    Flag("-W", "seconds", "end after so many seconds; with status 27 if that was too early",
         VALUE, "SECONDS", "time", _number(1)),
    Flag("--hwm", "hwm", "high-water mark, in messages; 0: none",
         VALUE, "COUNT", "count", _number(0)),
    Flag("--linger", "linger", "how long to go on sending at the end; -1: until all is sent",
         VALUE, "MS", "time", _number(-1)),
    Flag("--routing-id", "routing_id", "how to call itself", VALUE, "ID", "id"),
    Flag("--plain-user", "plain_user", "user name for PLAIN", VALUE, "NAME", "name"),
    Flag("--plain-password", "plain_password", "password for PLAIN", VALUE, "TEXT", "password"),
    Flag("--curve-key", "curve_key", "own secret certificate for CURVE (see keygen)",
         VALUE, "FILE", "file"),
    Flag("--curve-server", "curve_server", "the server's public certificate",
         VALUE, "FILE", "file"),
    Flag("--curve-serve", "curve_serve", "be the server of CURVE; lets in any client with a key"),
)
_INPUT: Final = (
    Flag("-m --message", "messages", "send this; may be repeated. Without it: lines of standard "
         "input", REPEATED, "TEXT", "message"),
    Flag("-f --file", "file", "send a file as one message", VALUE, "FILE", "file"),
    Flag("--multipart", "multipart", "all -m together, or the fields of a line between tabs, are "
         "the parts of one message"),
)
_OUTPUT: Final = (
    Flag("--hex", "hex", "print parts as hexadecimal"),
    Flag("--base64", "base64", "print parts as Base64"),
    Flag("--json", "json", "print a message a line, as JSON"),
)
_WAIT: Final = Flag("--wait", "wait", "begin when so many peers are there (1)",
                    VALUE, "COUNT", "count", _number(0))

COMMANDS: Final[dict[str, tuple[str, tuple[Flag, ...]]]] = {
    "pub": ("Publish messages to whoever has subscribed.",
            (*_ENDPOINTS, *_INPUT, _WAIT, *_COMMON)),
    "sub": ("Print messages that begin with a prefix.",
            (*_ENDPOINTS,
             Flag("-s --subscribe", "prefixes", "only messages that begin with this; may be "
                  "repeated. Without it: all", REPEATED, "PREFIX", "prefix"),
             *_OUTPUT, *_COMMON)),
    "push": ("Give each message to the next worker that is free.",
             (*_ENDPOINTS, *_INPUT, _WAIT, *_COMMON)),
    "pull": ("Print the messages that fall to this worker.",
             (*_ENDPOINTS, *_OUTPUT, *_COMMON)),
    "req": ("Send each message as a request and print its reply.",
            (*_ENDPOINTS, *_INPUT, *_OUTPUT, *_COMMON)),
    "rep": ("Answer each request, and print it.",
            (*_ENDPOINTS,
             Flag("-m --message", "messages", "the reply; may be repeated for more parts",
                  REPEATED, "TEXT", "message"),
             Flag("--echo", "echo", "reply with the request"),
             Flag("--execute", "execute", "reply with the output of this command, which is given "
                  "the request", VALUE, "COMMAND", "command"),
             *_OUTPUT, *_COMMON)),
    "proxy": ("Stand between two sides: 'queue' (ROUTER, DEALER), 'forwarder' (XSUB, XPUB) or "
              "'streamer' (PULL, PUSH). Says on SIGUSR1 and at its end what it moved.",
              (Flag("--capture", "capture", "publish a copy of every message here",
                    VALUE, "ENDPOINT", "endpoint"), *_COMMON)),
    "monitor": ("Connect to an endpoint as a socket of a TYPE would, and say what happens.",
                (Flag("--json", "json", "print an event a line, as JSON"), *_COMMON)),
    "keygen": ("Make a pair of keys for CURVE: print them, or write the certificates NAME.key and "
               "NAME.key_secret.", ()),
}
# fmt: on

_ARGUMENTS: Final = {
    "proxy": "queue|forwarder|streamer FRONT BACK",
    "monitor": "ENDPOINT [TYPE]",
    "keygen": "[NAME]",
}


def main(arguments: Sequence[str]) -> int:
    """Run ``midge zmq``; returns the exit status."""
    words = list(arguments)
    if words[:1] in (["--help"], ["-h"]):
        print_line(_USAGE)
        return 0
    if words[:1] == ["--version"]:
        print_line(version_line())
        return 0
    name = words[0] if words else ""
    try:
        return _command(name, words[1:])
    except VersionWanted:
        print_line(version_line())
    except HelpWanted:
        summary, flags = COMMANDS[name]
        usage = f"midge zmq {name} {_ARGUMENTS.get(name, '(-b | -c) ENDPOINT')} [FLAG]..."
        print_line(help_text(summary, usage, flags).rstrip())
    except FlagError as error:
        print_error(f"{error}\n\nUse 'midge zmq{f' {name}' if name in COMMANDS else ''} --help'.")
        return 2
    except OutputFailed as error:
        print_error(f"Error: standard output cannot be written: {error}")
        return 1
    except OutputGone:  # who reads has had enough
        return 0
    return 0


def _command(name: str, words: list[str]) -> int:
    if name not in COMMANDS:
        raise FlagError(f"Error: Unknown command '{name}'." if name else "Error: No command given.")
    options = ZmqOptions()
    wanted = 3 if name == "proxy" else 2 if name == "monitor" else 1 if name == "keygen" else 0
    count = 0
    while count < len(words) and count < wanted and not words[count].startswith("-"):
        count += 1
    given = words[:count]
    parse(COMMANDS[name][1], words[count:], options)
    if name == "keygen":
        return _keygen(given)
    if name == "proxy":
        from midge.cli.zmq_proxy import run_proxy

        return run_proxy(given, options)
    if name == "monitor":
        from midge.cli.zmq_monitor import run_monitor

        return run_monitor(given, options)
    from midge.cli.zmq_move import run_move

    return run_move(name, options)


def _keygen(given: list[str]) -> int:
    from midge.zmq.auth.certs import create_certificates
    from midge.zmq.curve import curve_keypair
    from midge.zmq.error import ZMQError

    try:
        if given:
            for path in (f"{given[0]}.key", f"{given[0]}.key_secret"):
                if os.path.lexists(path):
                    print_error(f"Error: {path} is there already; nothing was written")
                    return 1
            for path in create_certificates(".", given[0]):
                print_line(path)
            return 0
        public, secret = curve_keypair()
    except (ZMQError, OSError) as error:
        print_error(f"Error: {error}")
        return 1
    write_output(f"public {public.decode()}\nsecret {secret.decode()}\n".encode())
    return 0
