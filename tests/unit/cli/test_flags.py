"""The flag parser, and the help that is made from the same table."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

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
    whole_number,
)


class Options:
    def __init__(self) -> None:
        self.loud = False
        self.name = ""
        self.words: list[str] = []
        self.pair: tuple[str, str] | None = None


def _no_x(text: str) -> object:
    if text == "x":
        raise FlagError("Error: not x.")
    return text.upper()


def _take_pair(options: object, arguments: Sequence[str]) -> int:
    assert isinstance(options, Options)
    options.pair = (arguments[0], arguments[1])
    return 2


FLAGS = (
    Flag("-l --loud", "loud", "be loud"),
    Flag("-n --name", "name", "a name", VALUE, "NAME", "name", _no_x),
    Flag("-w --word", "words", "word " * 30, REPEATED, "WORD", "word"),
    Flag("--pair", "", "two things", REST, "ONE TWO", take=_take_pair),
)


def parsed(*arguments: str) -> Options:
    options = Options()
    parse(FLAGS, arguments, options)
    return options


def test_no_arguments_change_nothing() -> None:
    options = parsed()
    assert (options.loud, options.name, options.words) == (False, "", [])


@pytest.mark.parametrize("spelling", ["-n", "--name"])
def test_short_and_long_names_are_the_same(spelling: str) -> None:
    assert parsed(spelling, "ann").name == "ANN"


@pytest.mark.parametrize("value", ["-l", "--help", "-1", "", "-"])
def test_a_value_may_look_like_anything(value: str) -> None:
    options = parsed("-w", value, "-l")
    assert options.words == [value]
    assert options.loud


def test_the_last_value_counts_and_repeated_ones_add_up() -> None:
    options = parsed("-n", "a", "-w", "1", "-n", "b", "-w", "2")
    assert options.name == "B"
    assert options.words == ["1", "2"]


def test_a_flag_may_take_what_it_needs() -> None:
    options = parsed("--pair", "-l", "b", "-w", "c")
    assert options.pair == ("-l", "b")
    assert options.words == ["c"]
    assert not options.loud


@pytest.mark.parametrize("name", ["-x", "stray", "-ln", "--lou", "--name=ann", "", "-h"])
def test_what_is_no_flag_is_an_error(name: str) -> None:
    with pytest.raises(FlagError, match=f"^Error: Unknown option '{name}'.$"):
        parsed("-l", name)


@pytest.mark.parametrize("spelling", ["-n", "--name"])
def test_a_missing_value_is_an_error_with_the_short_name(spelling: str) -> None:
    with pytest.raises(FlagError, match=r"^Error: -n argument given but no name specified.$"):
        parsed("-l", spelling)


def test_a_converter_may_refuse() -> None:
    with pytest.raises(FlagError, match="not x"):
        parsed("-n", "x")


def test_help_and_version_are_asked_for() -> None:
    with pytest.raises(HelpWanted):
        parsed("-l", "--help", "-x")
    with pytest.raises(VersionWanted):
        parsed("--version")


def test_help_names_every_flag_and_fits_the_terminal() -> None:
    text = help_text("A tool.", "tool [FLAG]...", FLAGS)
    assert text.startswith("A tool.\n\nUsage: tool [FLAG]...\n")
    for flag in FLAGS:
        for name in flag.names:
            assert name in text
    assert "-w, --word WORD" in text
    assert max(len(line) for line in text.splitlines()) <= 96
    assert text.count("word") == 31  # a long explanation is broken, not cut


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-5", -5),
        ("+7", 7),
        ("007", 7),
        ("10", 10),
        ("11", None),
        ("-6", None),
        ("", None),
        ("-", None),
        ("1.0", None),
        ("1e1", None),
        (" 1", None),
        ("0x5", None),
        ("\u0661", None),
        ("1_0", None),
        ("9" * 5000, None),
    ],
)
def test_a_whole_number_is_digits_in_range(text: str, number: int | None) -> None:
    assert whole_number(text, -5, 10) == number
