"""Devices that run :func:`monitored_queue`."""

from __future__ import annotations

from midge.zmq.constants import SocketType
from midge.zmq.devices.basedevice import ProcessDevice, ThreadDevice
from midge.zmq.devices.monitoredqueue import monitored_queue
from midge.zmq.devices.proxydevice import ProxyBase


class MonitoredQueueBase(ProxyBase):
    """What the kinds of monitored queues share."""

    def __init__(
        self,
        in_type: int,
        out_type: int,
        mon_type: int = SocketType.PUB,
        in_prefix: bytes = b"in",
        out_prefix: bytes = b"out",
    ) -> None:
        ProxyBase.__init__(self, in_type=in_type, out_type=out_type, mon_type=mon_type)
        self._in_prefix = in_prefix
        self._out_prefix = out_prefix

    def run_device(self) -> None:
        """See :meth:`Device.run_device`."""
        front, back, copies = self._setup_sockets()
        monitored_queue(front, back, copies, self._in_prefix, self._out_prefix)


class MonitoredQueue(MonitoredQueueBase):
    """A monitored queue that runs where it is started."""


class ThreadMonitoredQueue(MonitoredQueueBase, ThreadDevice):
    """A monitored queue in a thread."""


class ProcessMonitoredQueue(MonitoredQueueBase, ProcessDevice):
    """A monitored queue in a process of its own."""


__all__ = ["MonitoredQueue", "ProcessMonitoredQueue", "ThreadMonitoredQueue"]
