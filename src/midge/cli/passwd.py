"""``midge passwd``: keeps password files, with the flags of ``mosquitto_passwd``.

The new file is written beside the old one, with mode 0600, and takes its place when it is complete:
whoever reads it meanwhile reads the old one or the new one, and nothing is left behind when writing
fails. What cannot be understood in the old file is an error, and the file stays as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from midge.cli.flags import (
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
from midge.cli.output import print_error, print_line
from midge.cli.version import version_line

#: ``mosquitto_passwd`` does not take longer ones either.
_BYTES_MAX: Final = 65_535
_BLANKS: Final = " \t\n\v\f\r"


class PasswdOptions:
    """What the command line of ``midge passwd`` says.

    Attributes:
        words: what stands behind the flags.
    """

    __slots__ = ("batch", "create", "delete", "iterations", "kind", "update", "words")

    def __init__(self) -> None:
        self.batch = False
        self.create = False
        self.delete = False
        self.update = False
        self.kind = "sha512-pbkdf2"
        self.iterations = 0
        self.words: list[str] = []


def _kind(text: str) -> object:
    if text not in ("argon2id", "sha512-pbkdf2", "sha512"):
        raise FlagError(f"Error: Unknown hash type '{text}'")
    return text


def _iterations(text: str) -> object:
    number = whole_number(text, 1, 2**31 - 1)
    if number is None:
        raise FlagError("Error: Number of iterations must be > 0.")
    return number


def _help(options: object, arguments: Sequence[str]) -> int:
    raise HelpWanted


# fmt: off
FLAGS: Final = (
    Flag("-b", "batch", "take the password from the command line, where others may see it"),
    Flag("-c", "create", "make a new file, in place of one that is there; - for standard output"),
    Flag("-D", "delete", "delete the user"),
    Flag("-H", "kind", "hash with argon2id, sha512-pbkdf2 (the default) or sha512",
         VALUE, "KIND", "hash type", _kind),
    Flag("-I", "iterations", "rounds of sha512-pbkdf2 (1000)",
         VALUE, "NUMBER", "number", _iterations),
    Flag("-U", "update", "hash the passwords of a file in which they stand as plain text"),
    Flag("-h", "", "print this text", REST, take=_help),
)
# fmt: on

_SUMMARY = "Add a user to a password file, change a password, or delete a user."
_USAGE = (
    "midge passwd [-H KIND] [-I NUMBER] [-c | -D] FILE USER\n"
    "       midge passwd [-H KIND] [-I NUMBER] [-c] -b FILE USER PASSWORD\n"
    "       midge passwd [-H KIND] -U FILE"
)


class _Failed(Exception):
    """It cannot be done; the text is for the user."""


def main(arguments: Sequence[str]) -> int:
    """Run ``midge passwd``; returns the exit status."""
    options = PasswdOptions()
    try:
        _parse(arguments, options)
        return _run(options)
    except HelpWanted:
        print_line(help_text(_SUMMARY, _USAGE, FLAGS).rstrip())
        return 0
    except VersionWanted:
        print_line(version_line())
        return 0
    except FlagError as error:
        print_error(f"{error}\n\nUse 'midge passwd --help' to see usage.")
        return 1
    except _Failed as error:
        print_error(f"Error: {error}")
        return 1


def _parse(arguments: Sequence[str], options: PasswdOptions) -> None:
    """Flags come first; what follows is file, user and password, whatever it looks like."""
    count = 0
    values = {name for flag in FLAGS if flag.kind == VALUE for name in flag.names}
    while count < len(arguments) and arguments[count].startswith("-") and arguments[count] != "-":
        count += 2 if arguments[count] in values else 1
    parse(FLAGS, arguments[:count], options)
    options.words = list(arguments[count:])
    for one, other, first, second in (
        (options.create, options.delete, "-c", "-D"),
        (options.create, options.update, "-c", "-U"),
        (options.delete, options.update, "-D", "-U"),
        (options.delete, options.batch, "-b", "-D"),
    ):
        if one and other:
            raise FlagError(f"Error: {first} and {second} cannot be used together.")
    needed = 1 if options.update else 3 if options.batch else 2
    if len(options.words) != needed:
        what = "FILE" if needed == 1 else "FILE and USER" if needed == 2 else "FILE, USER, PASSWORD"
        raise FlagError(f"Error: {what} must be given, and nothing else.")


def _run(options: PasswdOptions) -> int:
    file = options.words[0]
    if options.update:
        _replace(file, _update(_read(file), options))
        return 0
    user = options.words[1]
    _check_user(user)
    if options.delete:
        lines = _read(file)
        kept = [line for line in lines if _split(line)[0] != user]
        if len(kept) == len(lines):
            print_error(f"Warning: User {user} not found in password file.")
            return 1
        _replace(file, kept)
        return 0
    lines = [] if options.create else _read(file)
    password = os.fsencode(options.words[2]) if options.batch else _ask()
    if len(password) > _BYTES_MAX:
        raise _Failed("Password must be less than 65536 characters long.")
    _set(file, lines, user, f"{user}:{_hashed(password, options)}", options)
    return 0


def _set(file: str, lines: list[str], user: str, line: str, options: PasswdOptions) -> None:
    places = [index for index, one in enumerate(lines) if _split(one)[0] == user]
    if places:
        lines[places[0]] = line
        word = "Updating"
    else:
        lines.append(line)
        word = "Adding"
    if options.create and file == "-":
        print_line(line)
        return
    _replace(file, lines)
    print_line(f"{word} password for user {user}")


def _check_user(user: str) -> None:
    if not user.strip(_BLANKS) or user != user.strip(_BLANKS):
        raise _Failed("Username must not be empty, or begin or end with a blank.")
    if user.startswith("#"):
        raise _Failed("Username must not begin with '#': the line would be a comment.")
    if len(os.fsencode(user)) > _BYTES_MAX:
        raise _Failed("Username must be less than 65536 characters long.")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in user):
        raise _Failed("Username must not contain control characters.")
    if ":" in user:
        raise _Failed("Username must not contain the ':' character.")


def _hashed(password: bytes, options: PasswdOptions) -> str:
    from midge.auth.passwords import ITERATIONS_DEFAULT, SALT_BYTES, MissingArgon2, make_hash

    try:
        salt = os.urandom(SALT_BYTES)
        rounds = options.iterations or ITERATIONS_DEFAULT
        return make_hash(options.kind, password, salt, rounds).encoded
    except (MissingArgon2, ValueError) as error:
        raise _Failed(f"Unable to hash password: {error}.") from None


def _ask() -> bytes:
    """The password, typed twice without being shown, or read from standard input, line by line."""
    first = _ask_once("Password: ")
    second = _ask_once("Reenter password: ")
    if first != second:
        raise _Failed("Passwords do not match.")
    return first


def _ask_once(prompt: str) -> bytes:
    print(prompt, end="", flush=True)
    if sys.stdin.isatty():
        line = _type_unseen()
    else:
        line = sys.stdin.buffer.readline()
    print()
    password = line.rstrip(b"\r\n")
    if not password:
        raise _Failed("Empty password.")
    return password


def _type_unseen() -> bytes:
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = termios.tcgetattr(terminal)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSAFLUSH, quiet)
    try:
        return sys.stdin.buffer.readline()
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


# -- the file ---------------------------------------------------------------------------------


def _read(file: str) -> list[str]:
    """The lines of a file.

    Raises:
        _Failed: it cannot be read, or a line of it cannot be understood.
    """
    try:
        with open(file, encoding="utf-8", errors="surrogateescape", newline="") as opened:
            text = opened.read()
    except OSError as error:
        raise _Failed(f"Unable to open password file {file}. {error.strerror}.") from None
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, 1):
        # The broker passes over comments and over lines without a colon, so they may stay.
        name, value = _split(line)
        if ":" in line and not line.startswith("#") and not (name and value):
            raise _Failed(f"Corrupt password file at line {number}.")
    return lines


def _split(line: str) -> tuple[str, str]:
    """User and the rest of a line; nothing for a comment."""
    if line.startswith("#") or ":" not in line:
        return "", ""
    name, _, value = line.partition(":")
    return name.strip(_BLANKS), value.strip(_BLANKS)


def _update(lines: list[str], options: PasswdOptions) -> list[str]:
    """Hash what is plain. What is hashed already stays, so that doing it twice does no harm."""
    from midge.auth.passwords import MissingArgon2, read_hash

    updated = []
    for line in lines:
        name, value = _split(line)
        if name:
            try:
                read_hash(value.partition(":")[0])
            except ValueError:
                line = f"{name}:{_hashed(os.fsencode(value), options)}"
            except MissingArgon2:
                pass
        updated.append(line)
    return updated


def _replace(file: str, lines: list[str]) -> None:
    """Put a new file in place of the old one, or where a link to it leads."""
    target = os.path.realpath(file)
    beside = f"{target}.{os.getpid()}.new"
    text = "".join(line + "\n" for line in lines)
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(text.encode("utf-8", "surrogateescape"))
                opened.flush()
                os.fsync(opened.fileno())
            _keep_owner(target, beside)
            os.replace(beside, target)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise _Failed(f"Unable to open file {file} for writing. {error.strerror}.") from None


def _keep_owner(target: str, beside: str) -> None:
    """Who owned the old file owns the new one: the broker, that is, when root changes it."""
    try:
        owner = os.stat(target)
    except FileNotFoundError:
        return
    if os.geteuid() == 0:
        os.chown(beside, owner.st_uid, owner.st_gid)
