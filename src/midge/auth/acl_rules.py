"""The rules of an ACL file, and what they decide. The text that they come from is ``acl_file``'s.

The order in which rules count is Mosquitto's: first those for the user (or for clients without a
name), then the patterns; in each of the two, every ``deny`` before anything that allows. The first
one that speaks of the topic and of the access decides. What no rule allows is refused.

**Names in patterns.** ``%c`` and ``%u`` stand for the client id and the user name. A name that
could mean more than itself must not get its owner more:

* with ``+`` or ``#`` in its client id or user name, a client gets nothing from any pattern;
* with ``/`` in it, nothing from a pattern with that name in it (with Mosquitto 2.0, a client that
  called itself ``v/in`` was let into client ``v``'s subtree by ``pattern readwrite dev/%c/#``);
* a ``deny`` counts with such a name all the same, as it stands.

A placeholder may stand for a part of a level, ``meter-%c``, as with Mosquitto 2.0, but a level with
two of them is taken as it is written: ``%u-%c`` could be read in more than one way.

Deliberately not here: files, caches, and what is asked of whom.
"""

from __future__ import annotations

from typing import Final

from midge.topics.filters import matches
from midge.topics.names import shown

#: What a rule gives: nothing (it refuses), or one or both of these.
NOTHING: Final = 0
READ: Final = 1
WRITE: Final = 2

_WORDS: Final = ("deny", "read", "write", "readwrite")
#: The one topic below ``$SYS`` that a client may write: a bridge says there whether it is up.
_BRIDGE_STATE: Final = "$SYS/broker/connection/+/state"


class Rule:
    """One line of an ACL file.

    Attributes:
        access: ``NOTHING``, or ``READ`` and ``WRITE`` added up.
        filter: the topics that it is about; with placeholders, if it is a pattern.
        file, line: where it stands.
        pattern: it is a pattern.
        levels: the levels of the filter.
        uses_id, uses_name: it has ``%c``, ``%u`` in it that are replaced.
    """

    __slots__ = (
        "access",
        "file",
        "filter",
        "levels",
        "line",
        "pattern",
        "uses_id",
        "uses_name",
    )

    def __init__(self, access: int, filter: str, file: str, line: int, pattern: bool) -> None:
        self.access = access
        self.filter = filter
        self.file = file
        self.line = line
        self.pattern = pattern
        self.levels = filter.split("/")
        replaced = [level for level in self.levels if pattern and _replaceable(level)]
        self.uses_id = any("%c" in level for level in replaced)
        self.uses_name = any("%u" in level for level in replaced)

    def __str__(self) -> str:
        kind = "pattern" if self.pattern else "topic"
        return f"{self.file}:{self.line} '{kind} {_WORDS[self.access]} {self.filter}'"

    def for_client(self, client_id: str, username: str | None) -> list[str] | None:
        """The levels that it has for a client; ``None`` where it does not speak of that client."""
        if not self.uses_id and not self.uses_name:
            return self.levels
        if self.uses_id and not self._fits(client_id):
            return None
        if self.uses_name and not self._fits(username):
            return None
        replaced = []
        for level in self.levels:
            if _replaceable(level):  # one placeholder; the name put in is not looked at again
                name = client_id if "%c" in level else username or ""
                replaced += level.replace("%c" if "%c" in level else "%u", name).split("/")
            else:
                replaced.append(level)
        return replaced

    def _fits(self, name: str | None) -> bool:
        """Whether a name may stand for a placeholder."""
        return bool(name) and (self.access == NOTHING or "/" not in name)  # type: ignore[operator]


def _replaceable(level: str) -> bool:
    return level.count("%c") + level.count("%u") == 1


class Verdict:
    """What the rules say.

    Attributes:
        allowed: yes or no.
        rule: the rule that decided; ``None`` where none speaks of the matter.
        text: why, in a sentence without its end.
        remedy: with a refusal: the lines of the file that would allow it, as one text.
        open: no rule refuses it, there is only none that allows it.
    """

    __slots__ = ("allowed", "open", "remedy", "rule", "text")

    def __init__(
        self,
        allowed: bool,
        rule: Rule | None,
        text: str,
        remedy: str = "",
        open: bool = False,
    ) -> None:
        self.open = open
        self.allowed = allowed
        self.rule = rule
        self.text = text
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}" if self.remedy else self.text


class Rules:
    """All rules of one file.

    Attributes:
        file: its path.
        users: rules by user name.
        anonymous: those for clients without a user name.
        patterns: those for everybody.
    """

    __slots__ = ("anonymous", "file", "patterns", "users")

    def __init__(self, file: str) -> None:
        self.file = file
        self.users: dict[str, list[Rule]] = {}
        self.anonymous: list[Rule] = []
        self.patterns: list[Rule] = []

    def add(self, rule: Rule, user: str | None) -> None:
        """Add a rule, in the place where it counts: what denies comes first."""
        if rule.pattern:
            rules = self.patterns
        elif user is None:
            rules = self.anonymous
        else:
            rules = self.users.setdefault(user, [])
        if rule.access == NOTHING:
            rules.insert(0, rule)
        else:
            rules.append(rule)

    def of_user(self, username: str | None) -> list[Rule]:
        """The rules for a user name, ``None`` for clients without one; without the patterns."""
        if username is None:
            return self.anonymous
        return self.users.get(username, [])

    def decide(self, client_id: str, username: str | None, access: int, topic: str) -> Verdict:
        """Whether a client may read or write a topic.

        Args:
            access: ``READ`` or ``WRITE``.
            topic: a valid topic name.
        """
        if access == WRITE:
            refusal = never_written(topic)
            if refusal:
                return Verdict(False, None, refusal)
        levels = topic.split("/")
        for rule in self.of_user(username):
            if (rule.access == NOTHING or rule.access & access) and _match(rule.levels, levels):
                return self._by(rule, client_id, username, access, topic)
        if not self.patterns:
            return self._by(None, client_id, username, access, topic)
        peril = dangerous(client_id, username)
        if peril:
            text = f"{peril}, so no pattern of {self.file} applies"
            return Verdict(False, None, text, self._remedy(username, access, topic))
        for rule in self.patterns:
            if rule.access == NOTHING or rule.access & access:
                wanted = rule.for_client(client_id, username)
                if wanted is not None and _match(wanted, levels):
                    return self._by(rule, client_id, username, access, topic)
        return self._by(None, client_id, username, access, topic)

    def can_read_any(self, client_id: str, username: str | None, filter: str) -> Verdict:
        """Whether there is any topic that a filter matches and that a client may read.

        For each rule that allows reading, the topics that both it and ``filter`` match have the
        form of a filter again. Of those, one topic for each number of levels is tried, with names
        at its wildcards that stand in no rule: if that one is refused by a rule, then so is every
        other of that length, because the rule has wildcards there itself.
        """
        wanted = filter.split("/")
        rules = [*self.of_user(username), *self.patterns]
        all_levels = [(rule, rule.for_client(client_id, username) or []) for rule in rules]
        deepest = max((len(levels) for _, levels in all_levels), default=0) + 1
        fresh = _fresh({level for _, levels in all_levels for level in levels})
        for rule, levels in all_levels:
            common = intersection(levels, wanted) if rule.access & READ and levels else None
            if common is None:
                continue
            for topic in _samples(common, deepest, fresh):
                verdict = self.decide(client_id, username, READ, topic)
                if verdict.allowed:
                    return verdict
        text = f"no line of {self.file} lets {_who(client_id, username)} read any of {filter}"
        return Verdict(False, None, text, self._remedy(username, READ, filter), open=True)

    def can_read_all(self, client_id: str, username: str | None, filter: str) -> bool:
        """Whether one rule lets a client read whatever a filter matches, denials apart."""
        wanted = filter.split("/")
        rules = self.of_user(username)
        if not dangerous(client_id, username):
            rules = [*rules, *self.patterns]
        for rule in rules:
            levels = rule.for_client(client_id, username) if rule.access & READ else None
            if levels is not None and covers(levels, wanted):
                return True
        return False

    def _by(
        self, rule: Rule | None, client_id: str, username: str | None, access: int, topic: str
    ) -> Verdict:
        """The verdict of the rule that decides; ``None`` when no rule speaks of the matter."""
        if rule is not None and rule.access != NOTHING:
            return Verdict(True, rule, f"{rule} allows it")
        remedy = self._remedy(username, access, topic)
        if rule is not None:
            if rule.pattern:
                return Verdict(False, rule, f"{rule} refuses it", remedy)
            return Verdict(False, rule, f"{rule} refuses it; without that line, {remedy}")
        who = _who(client_id, username)
        word = _WORDS[access]
        text = f"no line of {self.file} lets {who} {word} {topic}"
        return Verdict(False, None, text, remedy, open=True)

    def _remedy(self, username: str | None, access: int, topic: str) -> str:
        line = f"'topic {_WORDS[access]} {topic}'"
        if username is None:
            return f"{line} before the first 'user' line would allow it"
        return f"{line} below 'user {username}' would allow it"


def never_written(topic: str) -> str:
    """Why nobody may ever write a topic, whatever the rules say; empty where one may."""
    if topic.startswith("$SYS"):
        return "" if matches(_BRIDGE_STATE, topic) else "$SYS is the broker's own to write"
    if topic.startswith("$share"):
        return "$share is for subscriptions only"
    return ""


def dangerous(client_id: str, username: str | None) -> str:
    """What is wrong with names that must not meet a pattern; empty where nothing is."""
    for what, name in (("user name", username), ("client id", client_id)):
        if name is not None and ("+" in name or "#" in name):
            return f"the {what} {shown(name)} contains a wildcard"
    return ""


def _who(client_id: str, username: str | None) -> str:
    if username is None:
        return f"client {shown(client_id)}, which has no user name,"
    return f"user {shown(username)} (client {shown(client_id)})"


def _match(wanted: list[str], levels: list[str]) -> bool:
    """Whether a filter matches a topic, both as levels: ``topics.filters.matches``, taken apart."""
    if levels[0].startswith("$") and wanted[0] in ("+", "#"):  # [MQTT-4.7.2-1]
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index == len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


def intersection(one: list[str], other: list[str]) -> list[str] | None:
    """The filter that matches what both filters match, all as levels; ``None`` for nothing."""
    if one[0].startswith("$") != other[0].startswith("$"):
        return None  # a wildcard at the beginning matches no topic with a dollar
    common: list[str] = []
    for index in range(min(len(one), len(other))):
        left, right = one[index], other[index]
        if left == "#":
            return common + other[index:]
        if right == "#":
            return common + one[index:]
        if left != right and "+" not in (left, right):
            return None
        common.append(right if left == "+" else left)
    longer = one if len(one) > len(other) else other
    # "a/#" matches "a" as well.
    return common if longer[len(common) :] in ([], ["#"]) else None


def covers(one: list[str], other: list[str]) -> bool:
    """Whether a filter matches all that another one matches, both as levels."""
    if other[0].startswith("$") and one[0] in ("+", "#"):  # [MQTT-4.7.2-1]
        return False
    for index, level in enumerate(one):
        if level == "#":
            return True
        if index == len(other) or other[index] == "#" or level not in ("+", other[index]):
            return False
    return len(one) == len(other)


def _fresh(taken: set[str]) -> str:
    """A name of a level that is not taken."""
    number = 0
    while f"x{number}" in taken:
        number += 1
    return f"x{number}"


def _samples(filter: list[str], deepest: int, name: str) -> list[str]:
    """A topic for each number of levels that topics of a filter have, up to ``deepest``."""
    levels = [name if level == "+" else level for level in filter]
    if levels[-1] != "#":
        return ["/".join(levels)]
    levels.pop()
    found = []
    while True:
        if levels not in ([], [""]):
            found.append("/".join(levels))
        if len(levels) > deepest:
            return found
        levels.append(name)
