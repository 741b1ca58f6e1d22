"""Sockets in Tornado's loop; for those who have Tornado.

The modules here say so, with an ``ImportError``, where it is not installed.
"""

from midge.zmq.eventloop.ioloop import IOLoop

__all__ = ["IOLoop"]
