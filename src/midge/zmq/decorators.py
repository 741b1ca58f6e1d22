"""Contexts and sockets for the time of a call, as decorators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import midge.zmq as zmq


class _Decorator:
    """Makes something with ``target``, gives it to the function, and closes it afterwards."""

    def __init__(self, target: Callable[..., Any] | None = None) -> None:
        self._target = target

    def __call__(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        name, arguments, options = self.process_decorator_args(*arguments, **options)

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                target = self.get_target(options, *args, **kwargs)
                with target(*arguments, **_without_context(options)) as made:
                    if name is None:
                        args = (*args, made)
                    elif name in kwargs:
                        raise TypeError(
                            f"{function.__name__}() got multiple values for argument '{name}'"
                        )
                    else:
                        kwargs[name] = made
                    return function(*args, **kwargs)

            return wrapper

        return decorate

    def process_decorator_args(
        self, *arguments: Any, **options: Any
    ) -> tuple[str | None, tuple[Any, ...], dict[str, Any]]:
        """The name of the keyword, and what is for the target."""
        name = options.pop("name", None)
        if name is None and arguments and isinstance(arguments[0], str):
            name, *rest = arguments
            arguments = tuple(rest)
        return name, arguments, options

    def get_target(self, options: dict[str, Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """What makes the object, at the time of the call."""
        assert self._target is not None
        return self._target


def _without_context(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "context_name"}


class _SocketDecorator(_Decorator):
    def get_target(self, options: dict[str, Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        wanted = options.get("context_name", "context")
        context = kwargs.get(wanted)
        if not isinstance(context, zmq.Context):
            found = [one for one in args if isinstance(one, zmq.Context)]
            context = found[0] if found else zmq.Context.instance()
        return context.socket


def context(*args: Any, **kwargs: Any) -> Callable[..., Any]:
    """Give a function a new Context, as its last argument or under a name.

    ::

        @context()
        def main(ctx): ...

        @context("ctx")
        def main(ctx): ...
    """
    return _Decorator(zmq.Context)(*args, **kwargs)


def socket(*args: Any, **kwargs: Any) -> Callable[..., Any]:
    """Give a function a new socket, of its Context argument or of the process's own.

    ::

        @socket("push", zmq.PUSH)
        def main(push): ...

    ``context_name`` says which keyword has the context, if it is not ``context``.
    """
    return _SocketDecorator()(*args, **kwargs)


__all__ = ["context", "socket"]
