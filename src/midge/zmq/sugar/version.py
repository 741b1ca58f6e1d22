"""The names of :mod:`midge.zmq.version`."""

from midge.zmq.version import *  # noqa: F403
