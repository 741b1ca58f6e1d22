"""From a command line to a running broker process: what ``midge broker`` does.

The order of the start is Mosquitto's: configuration, another user, into the background, pid file,
log, listening sockets, "running". What is wrong with the configuration or the user ends it with
status 3, a port that cannot be listened on with status 1, each with its message on standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
from typing import TYPE_CHECKING

from midge import __version__
from midge.clock import SystemClock
from midge.errors import ConfigError
from midge.server import log_lines as lines
from midge.server import process, signals
from midge.server.activation import given_sockets
from midge.server.configuration import check, load, report
from midge.server.listeners import Listeners
from midge.server.logs import Log, open_log
from midge.server.service import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from midge.config.settings import Configuration


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
    if test_config:
        if config_file is None:
            print("Please provide a configuration file to test.", file=sys.stderr)
            return EXIT_CONFIG
        return EXIT_OK if check(config_file, ports) else EXIT_CONFIG
    try:
        configuration = load(config_file, ports)
    except ConfigError as error:
        report(error)
        return EXIT_CONFIG
    settings = configuration.settings
    given = given_sockets(os.environ)  # before we may become another process
    try:
        process.drop_privileges(settings.user, os.environ, _noting(configuration))
        process.set_umask(os.environ)
    except process.ProcessError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    if daemon:
        process.daemonise()
    if settings.pid_file is not None and not process.write_pid(settings.pid_file):
        return EXIT_FAILED
    signals.handle_early()
    log = open_log(settings, SystemClock(), quiet=quiet, verbose=verbose)
    read_again = functools.partial(load, config_file, ports)
    try:
        _begin_log(configuration, config_file, log)
        listeners = Listeners(log, given)
        if not listeners.open(configuration):
            return EXIT_FAILED
        status = run_in_loop(
            _serve(configuration, read_again, listeners, log, quiet=quiet, verbose=verbose)
        )
        log.information(lines.terminating(__version__))
        return status
    except signals.StoppedEarly:
        return EXIT_OK
    finally:
        given.close()
        log.close()
        if settings.pid_file is not None:
            with contextlib.suppress(OSError):
                os.unlink(settings.pid_file)


def _noting(configuration: Configuration) -> Callable[[str, str], None]:
    """Takes what there is to say before there is a log."""
    return lambda kind, line: configuration.messages.append((kind, line))


def _begin_log(configuration: Configuration, config_file: str | None, log: Log) -> None:
    for kind, line in configuration.messages:
        log.write(kind, line)
    log.information(lines.starting(__version__))
    if config_file is None:
        log.information(lines.USING_DEFAULT_CONFIG)
    else:
        log.information(lines.config_loaded(config_file))
    for line in lines.features():
        log.information(line)
    if configuration.local_only:
        for line in lines.LOCAL_ONLY:
            log.warning(line)


async def _serve(
    configuration: Configuration,
    read_again: Callable[[], Configuration],
    listeners: Listeners,
    log: Log,
    *,
    quiet: bool,
    verbose: bool,
) -> int:
    service = Service(configuration, read_again, listeners, log, quiet=quiet, verbose=verbose)
    return await service.serve()


def run_in_loop(main: Coroutine[object, object, int]) -> int:
    """Run a coroutine on uvloop where it is installed, else on asyncio's own loop."""
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
