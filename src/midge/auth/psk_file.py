"""A file of pre-shared keys for TLS-PSK, in Mosquitto's form: lines of ``identity:hexkey``.

Lines that begin with ``#`` and lines without a colon are passed over. A key that is not hexadecimal
is an error, as in Mosquitto; so is an identity that stands there twice, of which Mosquitto takes
the first one without a word to the other's owner. Not here: the handshake that uses the keys.
"""

from __future__ import annotations

from typing import Final

from midge.errors import ConfigError
from midge.limits import STRING_BYTES_MAX

_BLANKS: Final = " \t\n\v\f\r"


def parse(text: str, file: str) -> dict[str, bytes]:
    """Read a file of pre-shared keys.

    Args:
        text: its content; bytes that are not UTF-8 as surrogates.
        file: its path, for messages.

    Returns:
        The key of each identity.

    Raises:
        ConfigError: a line cannot be used; with file and line. The key is not shown.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#") or ":" not in line:
            continue
        fields = [field for field in line.split(":") if field]
        identity = fields[0].strip(_BLANKS) if fields else ""
        key = fields[1].strip(_BLANKS) if len(fields) > 1 else ""
        what = None
        if not identity:
            what = f"Error: Empty identity in psk file '{file}'."
        elif len(identity.encode(errors="surrogateescape")) > STRING_BYTES_MAX:
            what = f"Error: Invalid line in psk file '{file}', identity too long."
        elif identity in keys:
            what = f"Error: Duplicate identity '{identity}' in psk file '{file}'."
        elif not key:
            what = f'Error: Empty psk for identity "{identity}".'
        elif not all(digit in "0123456789abcdefABCDEF" for digit in key):
            what = f'Error: psk for identity "{identity}" contains non-hexadecimal characters.'
        elif len(key) % 2:
            what = f'Error: psk for identity "{identity}" has an odd number of digits.'
        if what is not None:
            error = ConfigError(what, file, number)
            error.add_note(f"Error found at {file}:{number}.")
            raise error
        keys[identity] = bytes.fromhex(key)
    return keys
