"""Proxy: a device with a third socket that is sent a copy of every message."""

from __future__ import annotations

from typing import Any

from midge.zmq.constants import SocketType
from midge.zmq.devices.basedevice import Device, ProcessDevice, Side, ThreadDevice
from midge.zmq.proxying import proxy


class ProxyBase(Device):
    """What the kinds of proxies share."""

    def __init__(self, in_type: int, out_type: int, mon_type: int = SocketType.PUB) -> None:
        Device.__init__(self, in_type=in_type, out_type=out_type)
        self.mon_type = mon_type
        self._mon = Side(mon_type)

    def bind_mon(self, addr: str) -> None:
        """Bind the third socket."""
        self._mon.binds.append(addr)

    def bind_mon_to_random_port(self, addr: str, *args: int, **kwargs: int) -> int:
        """Bind the third socket to a free port, and return it."""
        port = self._reserve_random_port(addr, *args, **kwargs)
        self.bind_mon(f"{addr}:{port}")
        return port

    def connect_mon(self, addr: str) -> None:
        """Connect the third socket."""
        self._mon.connects.append(addr)

    def setsockopt_mon(self, opt: int, value: Any) -> None:
        """Set an option of the third socket."""
        self._mon.options.append((opt, value))

    def _setup_sockets(self) -> Any:
        front, back = Device._setup_sockets(self)
        return front, back, self._make(self._mon)

    def run_device(self) -> None:
        """See :meth:`Device.run_device`."""
        front, back, copies = self._setup_sockets()
        proxy(front, back, copies)


class Proxy(ProxyBase):
    """A proxy that runs where it is started."""


class ThreadProxy(ProxyBase, ThreadDevice):
    """A proxy in a thread."""


class ProcessProxy(ProxyBase, ProcessDevice):
    """A proxy in a process of its own."""


__all__ = ["ProcessProxy", "Proxy", "ThreadProxy"]
