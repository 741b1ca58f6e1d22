"""The names of :mod:`midge.zmq.poll`."""

from midge.zmq.poll import *  # noqa: F403
