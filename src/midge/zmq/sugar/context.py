"""The names of :mod:`midge.zmq.context`."""

from midge.zmq.context import *  # noqa: F403
