"""What an ACL file means, a second time: by regular expressions, slowly, and by trying everything.

Nothing of this is shared with midge's own code. A rule is a tuple ``(kind, access, filter)`` in the
order of the file, with ``("user", name)`` between them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

Line = tuple[str, ...]

GRANTS = {"read": "r", "write": "w", "readwrite": "rw", "deny": ""}


def text_of(lines: Iterable[Line]) -> str:
    """The file."""
    return "".join(" ".join(line) + "\n" for line in lines)


def covers(filter: str, topic: str) -> bool:
    """Whether a filter matches a topic."""
    if filter[:1] in "+#" and topic[:1] == "$":
        return False
    if filter == "#":
        return True
    parts = [r"[^/]*" if level == "+" else re.escape(level) for level in filter.split("/")]
    if filter.endswith("/#"):
        return re.fullmatch("/".join(parts[:-1]) + "(/.*)?", topic, re.DOTALL) is not None
    return re.fullmatch("/".join(parts), topic, re.DOTALL) is not None


def may(lines: list[Line], client_id: str, username: str | None, access: str, topic: str) -> bool:
    """Whether a client may read (``r``) or write (``w``) a topic."""
    if access == "w" and topic.startswith(("$SYS", "$share")):
        parts = topic.split("/")
        if len(parts) != 5 or parts[:3] + parts[4:] != ["$SYS", "broker", "connection", "state"]:
            return False
    mine: list[Line] = []
    patterns: list[Line] = []
    section: str | None = None
    for line in lines:
        if line[0] == "user":
            section = line[1]
        elif line[0] == "topic" and section == username:
            mine.append(line)
        elif line[0] == "pattern":
            patterns.append(line)
    verdict = judge([(line[1], line[2]) for line in mine], access, topic)
    if verdict is not None:
        return verdict
    if re.search(r"[+#]", client_id) or (username and re.search(r"[+#]", username)):
        return False
    known = []
    for _, granted, filter in patterns:
        names = {"%c": client_id, "%u": username}
        used = {name for level in filter.split("/") for name in (placeholder(level),) if name}
        if any(not names[name] for name in used):
            continue
        if granted != "deny" and any("/" in str(names[name]) for name in used):
            continue
        levels = [
            level.replace(placeholder(level), str(names[placeholder(level)]))
            if placeholder(level)
            else level
            for level in filter.split("/")
        ]
        known.append((granted, "/".join(levels)))
    return judge(known, access, topic) is True


def placeholder(level: str) -> str:
    """The one placeholder of a level; empty where there is none, or more than one."""
    found = re.findall("%[cu]", level)
    return found[0] if len(found) == 1 else ""


def judge(rules: list[tuple[str, str]], access: str, topic: str) -> bool | None:
    """What some rules say: yes, no, or nothing."""
    about = [granted for granted, filter in rules if covers(filter, topic)]
    if "deny" in about:
        return False
    return True if any(access in GRANTS[granted] for granted in about) else None


def topics(levels: Iterable[str], depth: int) -> Iterator[str]:
    """Every topic of up to so many of these levels."""
    for count in range(1, depth + 1):
        for chosen in itertools.product(levels, repeat=count):
            if any(chosen):
                yield "/".join(chosen)
