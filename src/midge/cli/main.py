"""``midge VERB``: finds the module of a verb, and imports nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence

#: Verb, module, and what it is for.
VERBS = (
    ("acl", "midge.cli.acl", "explain who may use a topic"),
    ("broker", "midge.cli.broker", "run an MQTT broker"),
    ("config", "midge.cli.config", "check a configuration, and show what goes"),
    ("passwd", "midge.cli.passwd", "keep a password file"),
    ("pub", "midge.cli.pub", "publish messages"),
    ("queue", "midge.cli.queue", "make, look into, empty and remove queues of a broker"),
    ("store", "midge.cli.store", "look into the store of a broker, check it, copy it"),
    ("sub", "midge.cli.sub", "subscribe, and print the messages that come"),
    ("zmq", "midge.cli.zmq", "ZeroMQ: publish, subscribe, push, pull, proxies, keys"),
)


def usage() -> str:
    """What ``midge --help`` prints."""
    verbs = "\n".join(f"  {verb:<10}{purpose}" for verb, _, purpose in VERBS)
    return (
        "midge is a messaging system: an MQTT broker, clients and tools.\n\n"
        "Usage: midge VERB [FLAG]...\n"
        "       midge help VERB\n"
        "       midge --version\n\n"
        f"{verbs}\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except KeyboardInterrupt:
        # While a host is looked up, say; later, the verbs see to signals themselves.
        return 130


def _run(words: list[str]) -> int:
    verb = words[0] if words else "--help"
    if verb == "--version":
        from midge.cli.version import version_line

        print(version_line())
        return 0
    if verb in ("--help", "-h", "help"):
        if len(words) > 1:
            return _run([words[1], "--help"])
        print(usage(), end="")
        return 0 if words else 1
    for name, module, _ in VERBS:
        if name == verb:
            return _verb(module, words[1:])
    print(f"Error: Unknown verb '{verb}'.\n\nUse 'midge --help' to see usage.", file=sys.stderr)
    return 1


def _verb(module: str, arguments: list[str]) -> int:
    # __import__, because importlib is not needed for anything else.
    verb_main = __import__(module, fromlist=["main"]).main
    status: int = verb_main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
