"""A name that annotations in programs take from pyzmq."""

from typing import TypeAlias

__all__ = ["TypeAlias"]
