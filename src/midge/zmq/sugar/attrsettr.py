"""pyzmq's name for :mod:`midge.zmq.attributes`."""

from midge.zmq.attributes import AttributeSetter, LateAttributes

__all__ = ["AttributeSetter", "LateAttributes"]
