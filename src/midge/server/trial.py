"""``--test-config``: what a broker would find wrong with the files that a configuration names.

Everything is made as at a start, and given up again: passwords, rules, tokens' keys, a user's own
authenticators, TLS and CURVE. No socket is opened, no service asked, and nobody becomes another
user: those who call it must be able to read the files.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from midge.clock import SystemClock
from midge.errors import ConfigError
from midge.server.listeners import locate, new_context
from midge.server.logs import Log
from midge.server.mqtt_server import MqttServer
from midge.server.security import Security
from midge.server.zmq_place import make_place

if TYPE_CHECKING:
    from midge.config.settings import Configuration


def try_out(configuration: Configuration) -> tuple[list[str], list[ConfigError]]:
    """Make everything that a start makes of files.

    Returns:
        Warnings about them, and all that is wrong, each in the order in which it was found.
    """
    return asyncio.run(_try_out(configuration))


async def _try_out(configuration: Configuration) -> tuple[list[str], list[ConfigError]]:
    clock = SystemClock()
    settings = configuration.settings
    log = Log(clock, ())
    server = MqttServer(settings)
    security = Security(server, asyncio.get_running_loop(), clock, log)
    faults: list[ConfigError] = []
    try:
        plan = security.plan(configuration, faults)
    finally:
        security.close()
        log.close()
    names: set[str] = set()
    for listener in configuration.listeners:
        name = listener.name()
        if name in names:  # a start would find the address in use, by ourselves
            fault = ConfigError(f"Error: There is a listener {name} already.")
            locate(configuration, fault, listener)
            faults.append(fault)
        names.add(name)
        for make in (new_context, make_place):
            try:
                make(settings, listener)
            except ConfigError as error:
                locate(configuration, error, listener)
                faults.append(error)
    return [line for _, line in plan.messages], faults
