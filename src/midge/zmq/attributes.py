"""Options as attributes, in either case: ``socket.linger = 0`` and ``socket.LINGER``.

A class that has ``__getattr__`` pays for it with every attribute that it reads, its own included:
an interpreter cannot learn where they are. So the options of a socket are properties, made once
(:func:`define_options`), and only classes that are not in a message's way look names up late.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from midge.zmq import constants
from midge.zmq.error import ZMQError


class AttributeSetter:
    """Gives a class with ``get`` and ``set`` its options as attributes.

    Attributes of the class, and of its subclasses, are what they are everywhere else; so a subclass
    names the attributes of its own in its body.
    """

    def __setattr__(self, key: str, value: Any) -> None:
        if key in self.__dict__:
            object.__setattr__(self, key, value)
            return
        for cls in type(self).__mro__:
            if key in vars(cls) or key in vars(cls).get("__annotations__", ()):
                object.__setattr__(self, key, value)
                return
        name = key.upper()
        self._set_attr_opt(name, self._option(name), value)

    if TYPE_CHECKING:

        def __getattr__(self, key: str) -> Any: ...

    def _read_option(self, key: str) -> Any:
        name = key.upper()
        option = self._option(name)
        try:
            return self._get_attr_opt(name, option)
        except ZMQError as error:
            if error.errno in (errno.EINVAL, errno.EFAULT):
                raise AttributeError(f"{key} attribute is write-only") from None
            raise

    def _option(self, name: str) -> int:
        option = None if name.startswith("_") else getattr(constants, name, None)
        if not isinstance(option, int):
            raise AttributeError(f"{type(self).__name__} has no such option: {name}") from None
        return option

    def _set_attr_opt(self, name: str, opt: int, value: Any) -> None:
        self.set(opt, value)

    def _get_attr_opt(self, name: str, opt: int) -> Any:
        return self.get(opt)

    def get(self, option: int) -> Any:
        """The value of an option."""
        raise NotImplementedError

    def set(self, option: int, value: Any) -> None:
        """Set an option."""
        raise NotImplementedError


class LateAttributes(AttributeSetter):
    """The same, for names of any spelling, found when they are asked for."""

    def __getattr__(self, key: str) -> Any:
        return self._read_option(key)


def define_options(cls: type[AttributeSetter], names: Iterable[str]) -> None:
    """Give a class a property for each option, in capitals and small letters."""
    for name in names:
        for key in (name, name.lower()):
            taken = any(
                key in vars(one) or key in vars(one).get("__annotations__", ())
                for one in cls.__mro__
            )
            if not taken:
                setattr(cls, key, _option_property(key))


def _option_property(key: str) -> property:
    name = key.upper()

    def read(self: AttributeSetter) -> Any:
        return self._read_option(key)

    def write(self: AttributeSetter, value: Any) -> None:
        self._set_attr_opt(name, self._option(name), value)

    return property(read, write, doc=f"The option {name}.")
