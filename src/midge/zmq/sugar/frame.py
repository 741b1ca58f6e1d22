"""The names of :mod:`midge.zmq.frame`."""

from midge.zmq.frame import *  # noqa: F403
