"""Proxies that run in the background: in a thread, or in a process of their own."""

from __future__ import annotations

from midge.zmq.constants import DeviceType
from midge.zmq.devices.basedevice import Device, ProcessDevice, ThreadDevice
from midge.zmq.devices.monitoredqueue import monitored_queue
from midge.zmq.devices.monitoredqueuedevice import (
    MonitoredQueue,
    ProcessMonitoredQueue,
    ThreadMonitoredQueue,
)
from midge.zmq.devices.proxydevice import ProcessProxy, Proxy, ThreadProxy
from midge.zmq.devices.proxysteerabledevice import (
    ProcessProxySteerable,
    ProxySteerable,
    ThreadProxySteerable,
)
from midge.zmq.proxying import proxy

__all__ = [
    "Device",
    "DeviceType",
    "MonitoredQueue",
    "ProcessDevice",
    "ProcessMonitoredQueue",
    "ProcessProxy",
    "ProcessProxySteerable",
    "Proxy",
    "ProxySteerable",
    "ThreadDevice",
    "ThreadMonitoredQueue",
    "ThreadProxy",
    "ThreadProxySteerable",
    "monitored_queue",
    "proxy",
]
