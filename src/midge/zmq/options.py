"""Getting and setting socket options, with pyzmq's types and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from midge.patterns.errors import SocketError, invalid
from midge.patterns.options import BOOL, INT, INT64, OPTIONS
from midge.zmq.constants import PollEvent, SocketOption, SocketType

if TYPE_CHECKING:
    from midge.zmq.core import SocketCore

_NUMBERS: Final = (INT, INT64, BOOL)
_SUBSCRIBE: Final = SocketOption.SUBSCRIBE
_UNSUBSCRIBE: Final = SocketOption.UNSUBSCRIBE
_HWM: Final = 1
_FD: Final = SocketOption.FD


def set_option(core: SocketCore, number: int, value: Any) -> None:
    """Set an option.

    Raises:
        TypeError: the value is not of the option's type.
        SocketError: see :meth:`midge.patterns.options.Options.set`.
    """
    if number == _HWM:
        set_option(core, SocketOption.SNDHWM, value)
        set_option(core, SocketOption.RCVHWM, value)
        return
    option = OPTIONS.get(int(number))
    if isinstance(value, str):
        raise TypeError("str is not allowed here, use Socket.set_string")
    # What is not known, or cannot be set, is taken for a number, as libzmq would be given it.
    _check_type(option is None or option.kind in _NUMBERS or number == _FD, value)
    if option is not None and option.types and core.engine.type_name not in option.types:
        raise invalid(f"{option.name} is no option of {core.engine.type_name} sockets")
    call = core.blocking.call
    pattern = core.engine.pattern
    if number == _SUBSCRIBE:
        call(pattern.subscribe, bytes(value))
    elif number == _UNSUBSCRIBE:
        call(pattern.unsubscribe, bytes(value))
    else:
        call(core.engine.options.set, int(number), value)


def _check_type(is_number: bool, value: Any) -> None:
    if is_number:
        if not isinstance(value, int):
            raise TypeError(f"expected int, got: {value!r}")
    elif value is not None and not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"expected bytes, got: {value!r}")


def get_option(core: SocketCore, number: int) -> Any:
    """The value of an option: an int, or bytes.

    Raises:
        SocketError: EINVAL where there is none, or it cannot be read.
    """
    special = _SPECIAL.get(int(number))
    if special is not None:
        return special(core)
    option = OPTIONS.get(int(number))
    if number == _HWM:
        raise invalid("HWM is SNDHWM and RCVHWM: read one of them")
    if option is not None and number in (_SUBSCRIBE, _UNSUBSCRIBE):
        raise invalid(f"{option.name} cannot be read")
    return core.blocking.call(core.engine.options.get, int(number))


def _last_endpoint(core: SocketCore) -> bytes:
    return core.engine.last_endpoint.encode()


def _type(core: SocketCore) -> int:
    return int(SocketType[core.engine.type_name])


def _events(core: SocketCore) -> int:
    core.calm_fd()
    return int(core.blocking.events()) & int(PollEvent.POLLIN | PollEvent.POLLOUT)


def _thread_safe(core: SocketCore) -> int:
    return int(core.engine.pattern.thread_safe)


def _topics_count(core: SocketCore) -> int:
    pattern = core.engine.pattern
    if core.engine.type_name not in ("PUB", "XPUB", "SUB", "XSUB"):
        raise SocketError(invalid("").errno, "only publishers and subscribers count topics")
    return int(core.blocking.call(pattern.topics_count))


_SPECIAL: Final = {
    int(SocketOption.LAST_ENDPOINT): _last_endpoint,
    int(SocketOption.TYPE): _type,
    int(SocketOption.EVENTS): _events,
    int(SocketOption.THREAD_SAFE): _thread_safe,
    int(SocketOption.TOPICS_COUNT): _topics_count,
}
