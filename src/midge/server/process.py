"""What a broker does with its own process: into the background, another user, a file with its id.

The order is Mosquitto's since 2.0: root becomes the configured user directly after the
configuration was read, before any file is opened or made. So the log, the pid file and the store
belong to that user, who can open them again; and certificates and ports must be within its reach. A
broker that could read a key only once, as root, would lose its certificates with the first reload.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    #: Takes the kind of a log line and its text.
    Say = Callable[[str, str], None]

#: Whom root becomes when nobody was asked for, and instead of whom where there is no such user.
_DEFAULT_USER: Final = "mosquitto"
_FALLBACK_USER: Final = "nobody"
_ID_MAX: Final = 2_147_483_647
_MASK_MAX: Final = 0o777


class ProcessError(Exception):
    """The process cannot become what it should; the text is the line that says so."""


def daemonise() -> None:
    """Go into the background: a session of its own, no terminal."""
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def write_pid(path: str) -> bool:
    """Write the process id to a file; false, with a message, where that fails."""
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        print(f"Error: Unable to write pid file: {error}.", file=sys.stderr)
        return False
    return True


def set_umask(environment: Mapping[str, str]) -> None:
    """Take the mask of new files from ``UMASK_SET``, an octal number.

    Raises:
        ProcessError: it is none.
    """
    text = environment.get("UMASK_SET")
    if text is None:
        return
    try:
        mask = int(text, 8)
    except ValueError:
        raise ProcessError(
            "Error: UMASK_SET environment variable not a valid octal number."
        ) from None
    if not 0 <= mask <= _MASK_MAX:
        raise ProcessError("Error: UMASK_SET environment variable out of range.")
    os.umask(mask)


def drop_privileges(user: str, environment: Mapping[str, str], say: Say) -> None:
    """If root started us, become somebody else for good, with only that one's groups.

    ``PUID`` and ``PGID`` of the environment count before ``user``, as in Mosquitto's container; 0
    stays what it is.

    Args:
        user: the name from the configuration; ``root`` to stay root.

    Raises:
        ProcessError: that is not possible. Nothing is served as root by accident.
    """
    if os.geteuid() != 0:
        say("information", f"Info: running midge as user{_own_name()}.")
        return
    uid, gid = environment.get("PUID"), environment.get("PGID")
    if uid is not None or gid is not None:
        _become_numbers(0 if uid is None else _number("PUID", uid), _group(gid))
    elif user not in ("", "root"):
        _become_named(user, say)
    say("information", f"Info: running midge as user{_own_name()}.")
    _check_library()
    if os.geteuid() == 0 or os.getegid() == 0:
        say("warning", "Warning: midge should not be run as root/administrator.")


def _check_library() -> None:
    """See to it that what is not imported yet can be: Python may lie where only root looks."""
    for path in (os.__file__, __file__):
        if not os.access(path, os.R_OK):
            raise ProcessError(
                f"Error: the user{_own_name()} cannot read {path}, and midge needs it to run. "
                "Install Python and midge where that user can read them, or choose another one "
                "with the option 'user'."
            )


def _group(gid: str | None) -> int:
    return 0 if gid is None else _number("PGID", gid)


def _number(name: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ProcessError(f"Error: {name} not a valid ID '{text}'") from None
    if number < 0:
        raise ProcessError(f"Error: {name} must not be negative")
    if number > _ID_MAX:
        raise ProcessError(f"Error: {name} must not be less than {_ID_MAX}")
    return number


def _become_numbers(uid: int, gid: int) -> None:
    if gid or uid:
        # Mosquitto keeps root's other groups here; nobody who asks for another user wants them.
        _change("groups", lambda: os.setgroups([]))
    if gid:
        _change("gid", lambda: os.setgid(gid))
    if uid:
        _change("uid", lambda: os.setuid(uid))


def _become_named(user: str, say: Say) -> None:
    import pwd

    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        if user != _DEFAULT_USER:
            raise ProcessError(
                f"Error: Unable to drop privileges to '{user}' because this user does not exist."
            ) from None
        say(
            "error",
            f"Warning: Unable to drop privileges to '{user}' because this user does not exist. "
            f"Trying '{_FALLBACK_USER}' instead.",
        )
        try:
            entry = pwd.getpwnam(_FALLBACK_USER)
        except KeyError:
            raise ProcessError(f"Error: Unable to drop privileges to '{_FALLBACK_USER}'.") from None
    _change("groups", lambda: os.initgroups(entry.pw_name, entry.pw_gid))
    _change("gid", lambda: os.setgid(entry.pw_gid))
    _change("uid", lambda: os.setuid(entry.pw_uid))


def _change(what: str, change: Callable[[], None]) -> None:
    try:
        change()
    except OSError as error:
        raise ProcessError(
            f"Error setting {what} whilst dropping privileges: {error.strerror}."
        ) from error


def _own_name() -> str:
    import pwd

    uid = os.geteuid()
    try:
        return f": {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f" id: {uid}"
