"""From settings to a running broker process: what ``midge broker`` does.

The order of the start is Mosquitto's: configuration, into the background, pid file, log, listening
sockets, "running". What is wrong with the configuration ends it with status 3, a port that cannot
be listened on with status 1, each with its message on standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

from midge import __version__
from midge.clock import SystemClock
from midge.config.settings import local_configuration
from midge.errors import ConfigError
from midge.net.listener import open_tcp, open_unix
from midge.server import log_lines as lines
from midge.server.logs import Log, open_log
from midge.server.mqtt_server import MqttServer
from midge.server.narrator import Narrator
from midge.server.security import Security

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from midge.config.settings import Configuration, ListenerSettings, Settings

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 3


def run(
    *,
    config_file: str | None = None,
    ports: tuple[int, ...] = (),
    verbose: bool = False,
    quiet: bool = False,
    daemon: bool = False,
    test_config: bool = False,
) -> int:
    """Run a broker until it is told to stop; returns the exit status.

    Args:
        config_file: a ``mosquitto.conf``; ``None`` for the defaults, which listen on loopback.
        ports: listen on these ports, where the configuration has no listener.
        verbose: log everything.
        quiet: log nothing.
        daemon: go into the background.
        test_config: only say whether the configuration can be used.
    """
    try:
        configuration = load(config_file, ports)
    except ConfigError as error:
        report(error)
        return EXIT_CONFIG
    if test_config:
        if config_file is None:
            print("Please provide a configuration file to test.", file=sys.stderr)
            return EXIT_CONFIG
        for _, line in configuration.messages:
            print(line, file=sys.stderr)
        print("Configuration file is OK.", file=sys.stderr)
        return EXIT_OK
    if daemon:
        daemonise()
    settings = configuration.settings
    if settings.pid_file is not None and not write_pid(settings.pid_file):
        return EXIT_FAILED
    _stop_early_on_signals()
    log = open_log(settings, SystemClock(), quiet=quiet, verbose=verbose)
    try:
        return _run_logged(configuration, config_file, log)
    except _StoppedEarly:
        return EXIT_OK
    finally:
        log.close()
        if settings.pid_file is not None:
            with contextlib.suppress(OSError):
                os.unlink(settings.pid_file)


class _StoppedEarly(BaseException):
    """SIGTERM or SIGINT came before there was an event loop to handle it."""


def _stop_early_on_signals() -> None:
    def stop(number: int, frame: object) -> None:
        raise _StoppedEarly

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN):
        signal.signal(number, signal.SIG_IGN)  # their default is to end us


def load(config_file: str | None, ports: tuple[int, ...]) -> Configuration:
    """The configuration of a file, or the default one.

    Raises:
        ConfigError: it cannot be read or used.
    """
    if config_file is None:
        return local_configuration(ports)
    from midge.config import mosquitto_conf  # a broker without a file starts without the parser

    try:
        with open(config_file, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError(
            f"Error: Unable to open config file '{config_file}': {error.strerror}."
        ) from error
    return mosquitto_conf.parse(text, config_file, read_directory, ports)


def read_directory(path: str) -> list[tuple[str, str]]:
    """Name and text of each ``*.conf`` in a directory, in the order of their names.

    Raises:
        OSError: it, or one of them, cannot be read.
    """
    found = []
    for name in sorted(os.listdir(path)):
        if name.endswith(".conf"):
            file_path = os.path.join(path, name)
            with open(file_path, encoding="utf-8", errors="surrogateescape") as file:
                found.append((file_path, file.read()))
    return found


def report(error: ConfigError) -> None:
    """Say on standard error what is wrong with a configuration, and where."""
    for line in error_lines(error):
        print(line, file=sys.stderr)


def error_lines(error: ConfigError) -> list[str]:
    """What to say about an error: what is wrong, then where, the main file last."""
    return [str(error), *getattr(error, "__notes__", ())]


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


def _run_logged(configuration: Configuration, config_file: str | None, log: Log) -> int:
    for kind, line in configuration.messages:
        log.write(kind, line)
    log.information(lines.starting(__version__))
    if config_file is None:
        log.information(lines.USING_DEFAULT_CONFIG)
    else:
        log.information(lines.config_loaded(config_file))
    if configuration.local_only:
        for line in lines.LOCAL_ONLY:
            log.information(line)
    opened = open_listeners(configuration, log)
    if opened is None:
        return EXIT_FAILED
    status = run_in_loop(serve(configuration, opened, log))
    log.information(lines.terminating(__version__))
    return status


def open_listeners(
    configuration: Configuration, log: Log
) -> list[tuple[socket.socket, ListenerSettings]] | None:
    """Open all listening sockets; ``None``, with the reason in the log, where one fails."""
    opened: list[tuple[socket.socket, ListenerSettings]] = []
    for listener in configuration.listeners:
        try:
            for listening in _open(listener):
                _log_opening(listening, listener, log)
                opened.append((listening, listener))
        except OSError as error:
            if configuration.local_only and error.errno in (
                errno.EADDRNOTAVAIL,
                errno.EAFNOSUPPORT,
            ):
                continue  # a machine with one of the two loopback addresses is well served
            log.error(f"Error: {error.strerror or error}")
            for listening, _ in opened:
                listening.close()
            return None
    return opened


def _open(listener: ListenerSettings) -> list[socket.socket]:
    if listener.unix_path is not None:
        return [open_unix(listener.unix_path)]
    family = {None: 0, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}[listener.socket_domain]
    return open_tcp(listener.host, listener.port, int(family))


def _log_opening(listening: socket.socket, listener: ListenerSettings, log: Log) -> None:
    if listener.unix_path is not None:
        log.information(lines.opening_unix(listener.unix_path))
        return
    family = "ipv6" if listening.family == socket.AF_INET6 else "ipv4"
    log.information(lines.opening(family, listening.getsockname()[1]))


def run_in_loop(main: Coroutine[object, object, int]) -> int:
    """Run a coroutine on uvloop where it is installed, else on asyncio's own loop."""
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


class LoopErrors:
    """What the event loop has to complain about, as lines of the log.

    Running out of file descriptors comes thousands of times a second, so it is said at most once in
    ``REPEAT_S``.
    """

    REPEAT_S: Final = 10.0
    _SCARCE: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))

    def __init__(self, log: Log) -> None:
        self._log = log
        self._quiet_until = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The loop's exception handler."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in self._SCARCE:
            what = "" if error is None else f": {type(error).__name__}: {error}"
            self._log.error(f"Error: {context.get('message', 'unexpected error')}{what}")
            return
        if loop.time() >= self._quiet_until:
            self._quiet_until = loop.time() + self.REPEAT_S
            self._log.error(
                f"Error: Unable to accept new connection: {error.strerror}. Clients must wait; "
                'increase "ulimit -n", or set global_max_connections below it.'
            )


async def serve(
    configuration: Configuration,
    opened: list[tuple[socket.socket, ListenerSettings]],
    log: Log,
) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = configuration.settings
    server = MqttServer(settings, Narrator(log, settings.connection_messages))
    security = Security(server, asyncio.get_running_loop(), SystemClock(), log)
    try:
        security.apply(security.plan(configuration))
    except ConfigError as error:
        for line in error_lines(error):
            log.error(line)
        security.close()
        return EXIT_CONFIG
    if settings.persistence and not keep_state(server, settings, log):
        return EXIT_FAILED
    stop = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(LoopErrors(log))
    _handle_signals(stop, log)
    for listening, listener in opened:
        await server.listen(listening, listener)
    log.information(lines.running(__version__))
    await stop.wait()
    await server.close()
    security.close()
    for listener in configuration.listeners:
        if listener.unix_path is not None:
            with contextlib.suppress(OSError):
                os.unlink(listener.unix_path)
    return EXIT_OK


def keep_state(server: MqttServer, settings: Settings, log: Log) -> bool:
    """Have the server remember; false, with the reason in the log, where that cannot be."""
    from midge.server.persistence import keep  # most brokers start without SQLite

    return keep(server, settings, log)


def _handle_signals(stop: asyncio.Event, log: Log) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Whoever rotates logs or saves a database of Mosquitto sends these; none of them may end us.
    loop.add_signal_handler(signal.SIGHUP, _hang_up, log)
    loop.add_signal_handler(signal.SIGRTMIN, log.reopen)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, lambda: None)


def _hang_up(log: Log) -> None:
    log.reopen()
    log.warning("Warning: the log was reopened; settings are not reloaded while midge runs.")
