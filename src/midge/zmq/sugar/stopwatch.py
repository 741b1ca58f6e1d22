"""The names of :mod:`midge.zmq.stopwatch`."""

from midge.zmq.stopwatch import *  # noqa: F403
