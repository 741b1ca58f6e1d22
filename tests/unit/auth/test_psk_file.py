"""Files of pre-shared keys."""

from __future__ import annotations

import pytest

from midge.auth.psk_file import parse
from midge.errors import ConfigError


def test_identities_and_keys_are_read_as_mosquitto_reads_them() -> None:
    text = "# keys\nlamp:c0ffee\n\nno key here\n door : 00FF \nx:ab:rest\n"
    assert parse(text, "psk") == {"lamp": b"\xc0\xff\xee", "door": b"\0\xff", "x": b"\xab"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lamp:xyz", 'Error: psk for identity "lamp" contains non-hexadecimal characters.'),
        ("lamp:abc", 'Error: psk for identity "lamp" has an odd number of digits.'),
        ("lamp:", 'Error: Empty psk for identity "lamp".'),
        ("lamp: ", 'Error: Empty psk for identity "lamp".'),
        (" :ab", "Error: Empty identity in psk file 'psk'."),
        (":", "Error: Empty identity in psk file 'psk'."),
        ("door:ab", "Error: Duplicate identity 'door' in psk file 'psk'."),
        (f"{'n' * 65_536}:ab", "Error: Invalid line in psk file 'psk', identity too long."),
    ],
)
def test_a_line_that_cannot_be_used_is_an_error_with_its_place(line: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"door:c0ffee\n{line}\n", "psk")
    assert str(caught.value) == said
    assert (caught.value.file, caught.value.line) == ("psk", 2)
    assert "c0ffee" not in str(caught.value)
