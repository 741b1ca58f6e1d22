"""ACL files: how they are read, what they decide, and what is said about it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midge.auth.acl_file import AclFile, parse
from midge.auth.acl_rules import READ, WRITE, covers, intersection
from midge.auth.base import (
    ALLOW,
    DELIVER,
    DENY,
    PASS,
    PUBLISH,
    RETAIN,
    SUBSCRIBE,
    UNSUBSCRIBE,
    WILL,
    Identity,
)
from midge.errors import ConfigError
from midge.limits import ACL_CACHE_MAX
from tests.unit.auth import acl_model as model

EXAMPLE = """\
# for those without a name
topic read $SYS/#

user roger
topic foo/bar
topic read  with spaces/in it
topic deny secret/#
topic secret/#

pattern write $SYS/broker/connection/%c/state
pattern readwrite dev/%c/#
pattern read own/%u
"""


def may(text: str, access: int, topic: str, username: str | None, client_id: str = "c") -> bool:
    rules, _ = parse(text, "acl")
    return rules.decide(client_id, username, access, topic).allowed


@pytest.mark.parametrize(
    ("username", "access", "topic", "allowed"),
    [
        (None, READ, "$SYS/broker/uptime", True),
        (None, WRITE, "$SYS/broker/uptime", False),
        ("roger", READ, "$SYS/broker/uptime", False),
        ("roger", READ, "foo/bar", True),
        ("roger", WRITE, "foo/bar", True),
        (None, READ, "foo/bar", False),
        ("roger", READ, "with spaces/in it", True),
        ("roger", WRITE, "with spaces/in it", False),
        ("roger", READ, "secret", False),
        ("roger", READ, "secret/x", False),
        ("someone", WRITE, "$SYS/broker/connection/c/state", True),
        ("someone", WRITE, "$SYS/broker/connection/d/state", False),
        (None, WRITE, "dev/c", True),
        (None, WRITE, "dev/c/x/y", True),
        (None, WRITE, "dev/d/x", False),
        ("me", READ, "own/me", True),
        ("me", READ, "own/you", False),
        (None, READ, "own/me", False),
    ],
)
def test_the_rules_decide_as_in_mosquitto(
    username: str | None, access: int, topic: str, allowed: bool
) -> None:
    assert may(EXAMPLE, access, topic, username) is allowed


@pytest.mark.parametrize(
    ("line", "topic"),
    [
        ("topic a/b", "a/b"),
        ("  topic   readwrite   a/b  ", "a/b"),
        ("topic readwrite a b c", "a b c"),
        ("topic readwrite a/b # no comment", None),
        ("topic read", "read"),
        ("topic deny", "deny"),
        ("topic readwrite \ta/b\t", "a/b"),
        ("topic a/b\r", "a/b"),
        ("pattern x", "x"),
    ],
)
def test_a_line_is_taken_apart_as_mosquitto_does_it(line: str, topic: str | None) -> None:
    if topic is None:
        with pytest.raises(ConfigError, match="Invalid ACL topic"):
            parse(line, "acl")
    else:
        assert may(line, READ, topic, None)
        assert may(line, WRITE, topic, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n\ntopic", 'Error: Empty topic in acl_file "acl".'),
        ("\n\npattern   ", 'Error: Empty topic in acl_file "acl".'),
        ("\n\nuser", 'Error: Missing username in acl_file "acl".'),
        ("\n\nuser  \t", 'Error: Missing username in acl_file "acl".'),
        ("\n\ntopic rw a/b", 'Error: Invalid topic access type "rw" in acl_file "acl".'),
        ("\n\ntopic READ a/b", 'Error: Invalid topic access type "READ" in acl_file "acl".'),
        ("\n\ntopic read a/#/b", 'Error: Invalid ACL topic "a/#/b" in acl_file "acl".'),
        ("\n\ntopic read a+", 'Error: Invalid ACL topic "a+" in acl_file "acl".'),
        ("\n\ntopic" + " " + "/" * 201, 'Error: Invalid ACL topic "' + "/" * 201),
        ("\n\ntopics a", 'Error: Invalid line in acl_file "acl": topics.'),
        ("\n\n # no comment", 'Error: Invalid line in acl_file "acl": #.'),
        ("\n\n\tuser bob", 'Error: Invalid line in acl_file "acl": \tuser.'),
    ],
)
def test_what_cannot_be_read_is_an_error_in_mosquittos_words_with_its_line(
    text: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "acl")
    assert str(caught.value).startswith(said)
    assert (caught.value.file, caught.value.line) == ("acl", 3)
    assert caught.value.__notes__ == ["Error found at acl:3."]


def test_an_empty_file_allows_nothing_but_subscribing() -> None:
    authorizer = AclFile(parse("# nothing\n\n", "acl")[0])
    client = Identity("c", "u")
    for action in (PUBLISH, DELIVER, WILL, RETAIN):
        assert authorizer.authorize(client, action, "a").outcome == DENY
    assert authorizer.authorize(client, SUBSCRIBE, "a").outcome == ALLOW
    assert authorizer.authorize(client, UNSUBSCRIBE, "a").outcome == ALLOW


def test_a_deny_counts_wherever_it_stands_and_only_within_its_part_of_the_file() -> None:
    text = "user u\ntopic a/#\ntopic deny a/b\npattern b/#\npattern deny b/c\npattern deny a/d"
    assert not may(text, READ, "a/b", "u")
    assert not may(text, READ, "b/c", "u")
    assert may(text, READ, "a/d", "u")  # the user's own rules come first
    assert not may(text, READ, "a/d", "other")


def test_the_second_part_of_a_user_adds_to_the_first() -> None:
    text = "user u\ntopic a\nuser v\ntopic b\nuser u\ntopic c"
    assert [may(text, READ, topic, "u") for topic in "abc"] == [True, False, True]


# -- names that mean more than themselves ----------------------------------------------------


@pytest.mark.parametrize("client_id", ["v/in", "v/", "/v", "+", "#", "v/#", "v+", "+/in"])
def test_no_client_id_gets_its_owner_into_a_pattern_of_somebody_else(client_id: str) -> None:
    text = "pattern readwrite dev/%c/#\npattern readwrite meter-%c/#"
    for topic in ("dev/v", "dev/v/in", "dev/v/in/x", "dev/x/in", "dev//v", "meter-v/in", "meter-v"):
        for access in (READ, WRITE):
            assert not may(text, access, topic, None, client_id)
            assert not may(text.replace("%c", "%u"), access, topic, client_id, "c")


def test_with_a_wildcard_in_a_name_nothing_comes_from_any_pattern() -> None:
    text = "pattern read all\nuser a+b\ntopic own"
    assert may(text, READ, "all", "ab", "c/d")
    assert not may(text, READ, "all", "a+b")
    assert not may(text, READ, "all", "ab", "c#")
    assert may(text, READ, "own", "a+b")
    verdict = parse(text, "acl")[0].decide("c#", None, READ, "all")
    assert "client id 'c#' contains a wildcard" in str(verdict)


def test_a_deny_holds_a_name_with_a_slash_as_it_stands() -> None:
    text = "pattern dev/#\npattern deny dev/%u/secret"
    assert not may(text, READ, "dev/org/bob/secret", "org/bob")
    assert may(text, READ, "dev/org/secret", "org/bob")


def test_placeholders_stand_for_a_level_or_a_part_of_one_but_only_one_in_a_level() -> None:
    text = "pattern a/%c\npattern b/meter-%u-x\npattern c/%u-%c\npattern d/%u/%c"
    assert may(text, READ, "a/id", "me", "id")
    assert may(text, READ, "b/meter-me-x", "me", "id")
    assert not may(text, READ, "b/meter-%u-x", "me", "id")
    assert not may(text, READ, "c/me-id", "me", "id")
    assert may(text, READ, "c/%u-%c", "me", "id")
    assert may(text, READ, "d/me/id", "me", "id")


def test_a_name_that_looks_like_a_placeholder_is_not_replaced_again() -> None:
    assert may("pattern a/%c", READ, "a/%u", "me", "%u")
    assert not may("pattern a/%c", READ, "a/me", "me", "%u")


def test_an_empty_name_fits_no_placeholder() -> None:
    assert not may("pattern a/%u/#", READ, "a//x", "")
    assert not may("pattern a/%u", READ, "a/", "")


def test_topic_lines_replace_nothing_and_say_so() -> None:
    rules, warnings = parse("topic dev/%c\npattern a/b\npattern %u-%c", "acl")
    assert not rules.decide("x", None, READ, "dev/x").allowed
    assert len(warnings) == 3
    assert "acl:1 'topic readwrite dev/%c'" in warnings[0]
    assert warnings[1] == "Warning: ACL pattern 'a/b' does not contain '%c' or '%u' (acl:2)."
    assert "more than one" in warnings[2]


# -- what is said ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("username", "action", "topic"),
    [
        ("roger", PUBLISH, "foo/baz"),
        ("roger", DELIVER, "foo/baz"),
        ("nobody", WILL, "dev/x"),
        (None, PUBLISH, "foo/bar"),
        (None, DELIVER, "own/x"),
        ("a+b", PUBLISH, "dev/c"),
    ],
)
def test_the_line_that_a_refusal_names_would_allow_it(
    username: str | None, action: int, topic: str
) -> None:
    refused = AclFile(parse(EXAMPLE, "acl")[0]).authorize(Identity("c", username), action, topic)
    assert refused.outcome == DENY
    line = refused.text.split("'topic ")[1].split("'")[0]
    if username is None:
        assert "before the first 'user' line would allow it" in refused.text
        text = f"topic {line}\n{EXAMPLE}"
    else:
        assert f"below 'user {username}' would allow it" in refused.text
        text = f"{EXAMPLE}user {username}\ntopic {line}\n"
    amended = AclFile(parse(text, "acl")[0])
    assert amended.authorize(Identity("c", username), action, topic).outcome == ALLOW


def test_a_verdict_names_the_line_that_decided() -> None:
    rules, _ = parse(EXAMPLE, "acl")
    allowed = rules.decide("c", "roger", READ, "foo/bar")
    assert str(allowed) == "acl:5 'topic readwrite foo/bar' allows it"
    refused = rules.decide("c", "roger", READ, "secret/x")
    assert str(refused).startswith("acl:7 'topic deny secret/#' refuses it; without that line, ")
    assert refused.rule is not None
    assert refused.rule.line == 7
    assert str(rules.decide("c", "roger", WRITE, "$SYS/x")) == "$SYS is the broker's own to write"


@pytest.mark.parametrize("refuse", [False, True])
@pytest.mark.parametrize(
    ("filter", "outcome"),
    [
        ("a/b", ALLOW),
        ("all/#", ALLOW),
        ("all", ALLOW),
        ("all/+/x", ALLOW),
        ("own/bob/#", ALLOW),
        ("own/bob/no", ALLOW),  # nothing of it is delivered: a deny is final
        ("#", PASS),
        ("a/+", PASS),
        ("own/+/x", PASS),
        ("own/eve/x", PASS),
        ("b/c", PASS),
    ],
)
def test_with_others_to_ask_only_what_can_be_read_as_a_whole_is_granted(
    filter: str, outcome: int, refuse: bool
) -> None:
    text = "user bob\ntopic read a/b\ntopic read all/#\ntopic deny own/bob/no\ntopic write b/c\n"
    rules, _ = parse(f"{text}pattern read own/%u/#\n", "acl")
    file = AclFile(rules, refuse, alone=False)
    client = Identity("c", "bob")
    assert file.authorize(client, SUBSCRIBE, filter).outcome == outcome
    assert file.authorize(client, DELIVER, "own/bob/no").outcome == DENY
    assert file.authorize(client, DELIVER, "elsewhere").outcome == PASS


def test_what_is_remembered_about_publishing_has_an_end() -> None:
    authorizer = AclFile(parse("topic a/#", "acl")[0])
    client = Identity("c")
    first = authorizer.authorize(client, PUBLISH, "b")
    assert authorizer.authorize(client, PUBLISH, "b") is first
    for number in range(ACL_CACHE_MAX):
        assert authorizer.authorize(client, PUBLISH, f"a/{number}").outcome == ALLOW
    assert authorizer.authorize(client, PUBLISH, "b") is not first


# -- subscriptions that can never get a message ----------------------------------------------


@pytest.mark.parametrize(
    ("filter", "granted"),
    [
        ("a/b", True),
        ("a/+", True),
        ("#", True),
        ("+/b/#", True),
        ("a/c", False),
        ("c/#", True),
        ("c/d", False),
        ("c/d/#", False),
        ("c/+/+", True),
        ("c/+/e", False),
        ("e/+", False),
        ("e/#", False),
        ("f/+", False),
        ("$SYS/#", False),
    ],
)
def test_acl_refuse_subscribe_refuses_what_can_never_get_a_message(
    filter: str, granted: bool
) -> None:
    text = """\
topic read a/b
topic write a/c
topic c/#
topic deny c/d/#
topic deny c/+/e
topic e/+
topic deny e/+
"""
    rules, _ = parse(text, "acl")
    strict, usual = AclFile(rules, refuse_subscribe=True), AclFile(rules)
    assert usual.authorize(Identity("c"), SUBSCRIBE, filter).outcome == ALLOW
    decision = strict.authorize(Identity("c"), SUBSCRIBE, filter)
    assert decision.outcome == (ALLOW if granted else DENY)
    assert granted or f"read any of {filter}" in decision.text


# -- against the model ------------------------------------------------------------------------

LEVELS = ("a", "b", "$S")
NAMES = ("u", "v", "a", "u/v", "u+")
LEVEL = st.sampled_from([*LEVELS, "+", "%c", "%u", "a-%c", "%u%c", ""])


@st.composite
def filters(draw: st.DrawFn, level: st.SearchStrategy[str] = LEVEL) -> str:
    levels = draw(st.lists(level, min_size=1, max_size=3))
    if draw(st.booleans()):
        levels.append("#")
    return "/".join(levels) or "a"


LINES = st.lists(
    st.one_of(
        st.tuples(st.just("user"), st.sampled_from(NAMES)),
        st.tuples(
            st.sampled_from(["topic", "pattern"]), st.sampled_from(list(model.GRANTS)), filters()
        ),
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(LINES, st.sampled_from(NAMES), st.sampled_from([None, "", *NAMES]))
def test_every_decision_is_the_models(
    lines: list[model.Line], client_id: str, username: str | None
) -> None:
    rules, _ = parse(model.text_of(lines), "acl")
    for topic in model.topics((*LEVELS, "u", "", "a-u"), 3):
        for access, letter in ((READ, "r"), (WRITE, "w")):
            verdict = rules.decide(client_id, username, access, topic)
            assert verdict.allowed == model.may(lines, client_id, username, letter, topic), topic
            assert verdict.allowed or str(verdict)


@settings(max_examples=100, deadline=None)
@given(
    LINES,
    st.sampled_from(NAMES),
    st.sampled_from([None, *NAMES]),
    filters(st.sampled_from([*LEVELS, "+", "u"])),
)
def test_a_subscription_is_refused_exactly_when_no_topic_of_it_may_be_read(
    lines: list[model.Line], client_id: str, username: str | None, filter: str
) -> None:
    rules, _ = parse(model.text_of(lines), "acl")
    plain = not any("%" in line[-1] for line in lines)
    # "z" stands for all the names that no rule has; a rule looks at three levels at most.
    levels = ("a", "b", "$S", "u", "", "z") if plain else ("a", "u", "v", "a-u", "a-v", "z")
    possible = any(
        model.covers(filter, topic) and model.may(lines, client_id, username, "r", topic)
        for topic in model.topics(levels, 4)
    )
    if possible:
        assert rules.can_read_any(client_id, username, filter).allowed
    elif plain:
        assert not rules.can_read_any(client_id, username, filter).allowed


FEW = filters(st.sampled_from([*LEVELS, "+"]))


@settings(max_examples=150, deadline=None)
@given(FEW, FEW)
def test_the_intersection_matches_what_both_filters_match(one: str, other: str) -> None:
    common = intersection(one.split("/"), other.split("/"))
    for topic in model.topics((*LEVELS, "", "z"), 4):
        both = model.covers(one, topic) and model.covers(other, topic)
        assert both == (common is not None and model.covers("/".join(common), topic)), topic


@given(filters(), filters())
def test_a_filter_covers_another_one_exactly_when_it_matches_all_that_it_matches(
    one: str, other: str
) -> None:
    names = ["", "a", "b", "$a", "new"]
    depth = max(one.count("/"), other.count("/")) + 2
    topics = [
        "/".join(levels)
        for length in range(1, depth + 1)
        for levels in itertools.product(names, repeat=length)
        if any(levels) or length > 1
    ]
    matched = [topic for topic in topics if model.covers(other, topic)]
    expected = all(model.covers(one, topic) for topic in matched)
    found = covers(one.split("/"), other.split("/"))
    if found:
        assert expected
    elif matched:
        assert not expected
