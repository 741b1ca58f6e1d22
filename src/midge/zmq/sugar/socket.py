"""The names of :mod:`midge.zmq.socket`."""

from midge.zmq.socket import *  # noqa: F403
