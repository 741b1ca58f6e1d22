"""Reads an ACL file of Mosquitto's form, and decides by it.

The file is read as Mosquitto 2.1 reads it, because existing files must mean the same: words are
separated by spaces, a comment is a line that begins with ``#`` and nothing else, what follows the
access is the topic with everything in it, and ``topic read`` is about the topic named ``read``.
Lines that cannot be read are errors, in Mosquitto's words and with their line.

As with Mosquitto, everybody may subscribe to anything, and is given only what they may read. With
``refuse_subscribe``, a subscription that the rules can never give a message is refused instead.
"""

from __future__ import annotations

from typing import Final

from midge.auth.acl_rules import NOTHING, READ, WRITE, Rule, Rules, Verdict
from midge.auth.base import (
    ALLOWED,
    ALLOWED_BY_RULES,
    DELIVER,
    PASS,
    PUBLISH,
    RETAIN,
    SUBSCRIBE,
    UNSUBSCRIBE,
    WILL,
    Decision,
    Identity,
    deny,
)
from midge.errors import ConfigError
from midge.limits import ACL_CACHE_MAX
from midge.topics.names import is_filter

_BLANKS: Final = " \t\n\v\f\r"
_ACCESS: Final = {"read": READ, "write": WRITE, "readwrite": READ | WRITE, "deny": NOTHING}
_NO_OPINION: Final = Decision(PASS, "no line of the ACL file allows all that the filter matches")
#: Which access an action needs; what is not named here needs none.
_NEEDED: Final = {PUBLISH: WRITE, WILL: WRITE, RETAIN: WRITE, DELIVER: READ}


def parse(text: str, file: str) -> tuple[Rules, list[str]]:
    """Read an ACL file.

    Args:
        text: its content; bytes that are not UTF-8 as surrogates.
        file: its path, for messages.

    Returns:
        The rules, and warnings about lines that do less than they seem to.

    Raises:
        ConfigError: a line cannot be read; with file and line.
    """
    rules = Rules(file)
    warnings: list[str] = []
    user: str | None = None
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip(_BLANKS)
        if line.startswith("#"):
            continue
        word, _, rest = line.lstrip(" ").partition(" ")
        if not word:
            continue
        if word == "user":
            user = rest.strip(_BLANKS)
            if not user:
                raise _fault(f'Error: Missing username in acl_file "{file}".', file, number)
        elif word in ("topic", "pattern"):
            rule = _rule(word == "pattern", rest, file, number)
            rules.add(rule, user)
            _look_at(rule, warnings)
        else:
            raise _fault(f'Error: Invalid line in acl_file "{file}": {word}.', file, number)
    return rules, warnings


def _rule(pattern: bool, rest: str, file: str, number: int) -> Rule:
    first, _, more = rest.lstrip(" ").partition(" ")
    if not first:
        raise _fault(f'Error: Empty topic in acl_file "{file}".', file, number)
    topic = more.strip(_BLANKS)
    access = READ | WRITE
    if not topic:
        topic = first
    elif first in _ACCESS:
        access = _ACCESS[first]
    else:
        text = f'Error: Invalid topic access type "{first}" in acl_file "{file}".'
        raise _fault(text, file, number)
    if not is_filter(topic):
        raise _fault(f'Error: Invalid ACL topic "{topic}" in acl_file "{file}".', file, number)
    return Rule(access, topic, file, number, pattern)


def _look_at(rule: Rule, warnings: list[str]) -> None:
    """Say so where a pattern will surprise its writer."""
    if not rule.pattern:
        if "%c" in rule.filter or "%u" in rule.filter:
            warnings.append(
                f"Warning: '%c' and '%u' mean nothing in a 'topic' line; {rule} is about a topic "
                "of that name. Use 'pattern'."
            )
    elif "%c" not in rule.filter and "%u" not in rule.filter:
        # Mosquitto's words; such a line is a common way to say "for everybody".
        warnings.append(
            f"Warning: ACL pattern '{rule.filter}' does not contain '%c' or '%u' "
            f"({rule.file}:{rule.line})."
        )
    elif any(level.count("%c") + level.count("%u") > 1 for level in rule.filter.split("/")):
        warnings.append(
            f"Warning: a level with more than one '%c' or '%u' is taken as it is written ({rule})."
        )


def _fault(text: str, file: str, line: int) -> ConfigError:
    error = ConfigError(text, file, line)
    error.add_note(f"Error found at {file}:{line}.")
    return error


class AclFile:
    """The :class:`~midge.auth.base.Authorizer` of an ACL file.

    Args:
        rules: what :func:`parse` made of it.
        refuse_subscribe: refuse subscriptions that can never get a message.
        alone: there is nobody else to ask: what no line speaks of is refused here. Otherwise it is
            left to others (``PASS``).

    Attributes:
        rules: the same.
    """

    __slots__ = ("_alone", "_known", "_refuse_subscribe", "rules")

    def __init__(self, rules: Rules, refuse_subscribe: bool = False, alone: bool = True) -> None:
        self._alone = alone
        self.rules = rules
        self._refuse_subscribe = refuse_subscribe
        # What was decided about publishing, which is asked for every message. Deliveries are
        # remembered by the router.
        self._known: dict[tuple[str, str | None, str], Decision] = {}

    def authorize(self, client: Identity, action: int, topic: str) -> Decision:
        """See :meth:`midge.auth.base.Authorizer.authorize`."""
        if action == PUBLISH:
            key = (client.client_id, client.username, topic)
            known = self._known.get(key)
            if known is None:
                if len(self._known) >= ACL_CACHE_MAX:
                    self._known.clear()
                known = self._decide(client, action, topic)
                self._known[key] = known
            return known
        if action == UNSUBSCRIBE:
            return ALLOWED
        if action == SUBSCRIBE and not self._alone:
            # Others may let pass whatever belongs to a subscription that was granted. So only what
            # can be read as a whole is granted here; for the rest, they must.
            whole = self.rules.can_read_all(client.client_id, client.username, topic)
            return ALLOWED_BY_RULES if whole else _NO_OPINION
        if action not in _NEEDED and not (action == SUBSCRIBE and self._refuse_subscribe):
            return ALLOWED
        return self._decide(client, action, topic)

    def _decide(self, client: Identity, action: int, topic: str) -> Decision:
        verdict = self.explain(client.client_id, client.username, action, topic)
        if verdict.allowed:
            return ALLOWED_BY_RULES
        if verdict.open and not self._alone:
            return Decision(PASS, str(verdict))
        return deny(str(verdict))

    def explain(self, client_id: str, username: str | None, action: int, topic: str) -> Verdict:
        """Decide, and say by which rule; for ``SUBSCRIBE``, whether it can get any message."""
        access = _NEEDED.get(action)
        if access is None:
            return self.rules.can_read_any(client_id, username, topic)
        return self.rules.decide(client_id, username, access, topic)
