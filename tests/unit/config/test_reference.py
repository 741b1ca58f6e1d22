"""The reference page in ``docs`` is the one that the registry makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from midge.config.options import OPTIONS, Option
from midge.config.reference import group, page

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_in_the_documentation_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "make it again: midge config docs > docs/configuration.md"


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_every_option_is_on_the_page_once_with_what_it_means(option: Option) -> None:
    entry = f"\n### `{option.name}`\n\n{option.meaning}\n"
    assert page().count(entry) == 1
    facts = page().split(entry)[1].split("\n###")[0]
    if option.default is not None:
        assert f"`{option.default}`" in facts
    assert ("reload: yes" in facts) == option.reloadable
    assert ("Deprecated" in facts) == (option.deprecated is not None)
    assert ("Mosquitto does not have it" in facts) == option.ours


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("topic", "Bridges"),
        ("plugin_load", "Plugins"),
        ("certfile", "TLS"),
        ("password_file", "Who may come in, and what they may do"),
        ("max_qos", "Listeners"),
        ("max_keepalive", "Limits and messages"),
        ("rate_limit_bytes", "Limits and messages"),
        ("log_dest", "Log"),
        ("persistence", "Persistence"),
        ("user", "The process, and the rest"),
    ],
)
def test_options_stand_with_their_like(name: str, title: str) -> None:
    assert group(OPTIONS[name]) == title
