"""A proxy with a fourth socket that takes PAUSE, RESUME, TERMINATE and STATISTICS."""

from __future__ import annotations

from typing import Any

from midge.zmq.constants import SocketType
from midge.zmq.devices.basedevice import ProcessDevice, Side, ThreadDevice
from midge.zmq.devices.proxydevice import ProxyBase
from midge.zmq.proxying import proxy_steerable


class ProxySteerableBase(ProxyBase):
    """What the kinds of steerable proxies share."""

    def __init__(
        self,
        in_type: int,
        out_type: int,
        mon_type: int = SocketType.PUB,
        ctrl_type: int | None = None,
    ) -> None:
        super().__init__(in_type=in_type, out_type=out_type, mon_type=mon_type)
        self.ctrl_type = SocketType.PAIR if ctrl_type is None else ctrl_type
        self._ctrl = Side(self.ctrl_type)

    def bind_ctrl(self, addr: str) -> None:
        """Bind the fourth socket."""
        self._ctrl.binds.append(addr)

    def bind_ctrl_to_random_port(self, addr: str, *args: int, **kwargs: int) -> int:
        """Bind the fourth socket to a free port, and return it."""
        port = self._reserve_random_port(addr, *args, **kwargs)
        self.bind_ctrl(f"{addr}:{port}")
        return port

    def connect_ctrl(self, addr: str) -> None:
        """Connect the fourth socket."""
        self._ctrl.connects.append(addr)

    def setsockopt_ctrl(self, opt: int, value: Any) -> None:
        """Set an option of the fourth socket."""
        self._ctrl.options.append((opt, value))

    def _setup_sockets(self) -> Any:
        front, back, copies = super()._setup_sockets()
        return front, back, copies, self._make(self._ctrl)

    def run_device(self) -> None:
        """See :meth:`Device.run_device`."""
        proxy_steerable(*self._setup_sockets())


class ProxySteerable(ProxySteerableBase):
    """A steerable proxy that runs where it is started."""


class ThreadProxySteerable(ProxySteerableBase, ThreadDevice):
    """A steerable proxy in a thread."""


class ProcessProxySteerable(ProxySteerableBase, ProcessDevice):
    """A steerable proxy in a process of its own."""


__all__ = ["ProcessProxySteerable", "ProxySteerable", "ThreadProxySteerable"]
