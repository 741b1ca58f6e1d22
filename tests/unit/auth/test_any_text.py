"""Whatever stands in a file: it is read, or it is an error with its line. Nothing else happens."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from midge.auth import acl_file, password_file, psk_file
from midge.auth.acl_rules import READ, WRITE
from midge.errors import ConfigError

WORDS = st.sampled_from(
    [
        *("user", "topic", "pattern", "read", "write", "readwrite", "deny", "#", "+", "a/b", "%c"),
        *(
            " ",
            "\t",
            "\n",
            "\r",
            ":",
            "$",
            "$6$",
            "$7$",
            "$argon2id$",
            "1000",
            "AAAA",
            "\0",
            "\udcff",
        ),
    ]
)
TEXTS = st.one_of(st.lists(WORDS).map("".join), st.lists(WORDS).map(" ".join), st.text())


@pytest.mark.parametrize("parse", [acl_file.parse, password_file.parse, psk_file.parse])
@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
@example("user")
@example("topic \0")
@example(":::\n")
@example("a:$7$" + "9" * 5000 + "$AAAA$AAAA")
@example("a:$7$\u0661$AAAA$AAAA")
@example("a:$6$\u00e9$AAAA")
@example("a:$argon2id$\udcff")
def test_any_text_is_read_or_an_error_with_its_line(parse: object, text: str) -> None:
    assert callable(parse)
    error = None
    try:
        parse(text, "file")
    except ConfigError as caught:
        error = caught
    if error is not None:
        assert error.file == "file"
        assert error.line is not None
        assert 1 <= error.line <= text.count("\n") + 1
        assert error.__notes__ == [f"Error found at file:{error.line}."]


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.text(min_size=1), st.one_of(st.none(), st.text()), st.text(min_size=1))
def test_any_rules_decide_about_any_client(
    text: str, client_id: str, username: str | None, topic: str
) -> None:
    try:
        rules, _ = acl_file.parse(text, "file")
    except ConfigError:
        return
    for access in (READ, WRITE):
        assert str(rules.decide(client_id, username, access, topic))
    assert str(rules.can_read_any(client_id, username, topic))
