"""The names of :mod:`midge.zmq.tracker`."""

from midge.zmq.tracker import *  # noqa: F403
