"""The tree of subscriptions as text, for whoever sends SIGUSR2.

A line a level, indented by its depth, with client id and QoS of those who subscribed there, in
Mosquitto's form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midge.broker.session import Session


class _Level:
    __slots__ = ("below", "here")

    def __init__(self) -> None:
        self.below: dict[str, _Level] = {}
        self.here: list[tuple[str, int]] = []


def tree_lines(sessions: list[Session]) -> Iterator[str]:
    """The lines of the tree, its first levels in the order in which they came up."""
    root = _Level()
    for session in sessions:
        for filter, subscription in list(session.subscriptions.items()):
            level = root
            for part in filter.split("/"):
                level = level.below.setdefault(part, _Level())
            level.here.append((session.client_id, subscription.qos))
    waiting = [(0, text, level) for text, level in reversed(root.below.items())]
    while waiting:
        depth, text, level = waiting.pop()
        who = "".join(f" ({client_id}, {qos})" for client_id, qos in level.here)
        yield f"{' ' * (depth + 2) * 2}{text}{who}"
        waiting += [(depth + 1, text, below) for text, below in reversed(level.below.items())]
