"""Frame: one part of a message, with what is known of where it came from."""

from __future__ import annotations

import builtins
import errno
from threading import Event
from typing import Any

from midge.zmq.attributes import LateAttributes
from midge.zmq.error import ZMQError
from midge.zmq.tracker import _FINISHED_TRACKER, MessageTracker, Tracked


class Frame(LateAttributes):
    """One part of a message.

    What a peer said at its handshake, and what an authenticator found out about it, is there by
    name: ``frame["User-Id"]``, ``"Peer-Address"``, ``"Socket-Type"``, ``"Identity"``.

    Attributes:
        more: another part of the same message follows.
        tracker: tells when it is done with; ``None`` where nobody asked for that.
    """

    more: bool
    tracker: MessageTracker | None
    tracker_event: Event | None
    _data: Any
    _metadata: dict[str, builtins.bytes]
    _routing_id: int
    _group: builtins.bytes
    _failed_init: bool

    def __init__(
        self,
        data: Any = None,
        track: bool = False,
        copy: bool | None = None,
        copy_threshold: int | None = None,
    ) -> None:
        """Hold ``data``.

        Args:
            data: bytes or another buffer; ``None`` for an empty frame.
            track: make a tracker that tells when it has been sent.
            copy, copy_threshold: accepted for pyzmq's sake: bytes are never copied, other buffers
                are when they are sent, unless that is done with ``copy=False``.

        Raises:
            TypeError: for text, and what is no buffer.
        """
        if isinstance(data, str):
            raise TypeError("str is not allowed: encode it first, or use send_string")
        if isinstance(data, Frame):
            data = data._data
        if data is None:
            data = b""
        elif not isinstance(data, bytes):
            memoryview(data)
        self.more = False
        self._metadata = {}
        self._routing_id = 0
        self._group = b""
        self._failed_init = False
        self.tracker = None
        self.tracker_event = None
        if track:
            if data:
                held = Tracked(data)
                self.tracker_event = held.event = Event()
                self.tracker = MessageTracker(self.tracker_event)
                data = held
            else:
                self.tracker = _FINISHED_TRACKER
        self._data = data

    @property
    def bytes(self) -> builtins.bytes:
        """The content as bytes."""
        data = self._data
        return data if type(data) is bytes else bytes(data)

    @property
    def buffer(self) -> memoryview:
        """The content as a view, without a copy."""
        return memoryview(self._data)

    def __len__(self) -> int:
        data = self._data
        return len(data) if isinstance(data, bytes) else memoryview(data).nbytes

    def __bytes__(self) -> builtins.bytes:
        return self.bytes

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Frame):
            return self.bytes == other.bytes
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.bytes)

    def __copy__(self) -> Frame:
        return self.fast_copy()

    def fast_copy(self) -> Frame:
        """Another frame with the same content."""
        other = Frame(None)
        other._data = self._data
        other._metadata = self._metadata
        other._routing_id = self._routing_id
        other._group = self._group
        other.more = self.more
        other.tracker = self.tracker
        other.tracker_event = self.tracker_event
        return other

    def __repr__(self) -> str:
        size = len(self)
        module = type(self).__module__
        name = "zmq" if module == __name__ else module
        shown = repr(self.bytes)
        if size > 16:
            amount, unit = float(size), "B"
            for limit, divisor, letters in ((1e9, 1e9, "GB"), (2**20, 1e6, "MB"), (1e3, 1e3, "kB")):
                if size >= limit:
                    amount, unit = size // divisor, letters
                    break
            shown = f"{bytes(self.buffer[:12])!r}...{amount:.0f}{unit}"
        return f"<{name}.{type(self).__name__}({shown})>"

    # -- properties -----------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        return self.get(key)

    def get(self, option: int | str) -> Any:
        """A property: of the peer by its name, ``"routing_id"`` and ``"group"``, or MORE.

        Raises:
            ZMQError: EINVAL where there is none of that name.
        """
        from midge.zmq.constants import MessageOption

        if isinstance(option, int):
            if option == MessageOption.MORE:
                return int(self.more)
            if option in (MessageOption.SHARED, MessageOption.SRCFD):
                return 0
        elif option == "routing_id":
            return self._routing_id
        elif option == "group":
            return self._group.decode("utf-8")
        else:
            for name, value in self._metadata.items():
                if name.lower() == option.lower():
                    return value.decode("utf-8", "surrogateescape")
        raise ZMQError(errno.EINVAL, f"this frame has no property {option!r}")

    def set(self, option: int | str, value: Any) -> None:
        """Set ``"routing_id"`` (a number) or ``"group"`` (text of at most 255 bytes).

        Raises:
            ZMQError: EINVAL for anything else.
        """
        if option == "routing_id":
            self._routing_id = int(value)
        elif option == "group":
            group = value.encode() if isinstance(value, str) else bytes(value)
            if len(group) > 255:
                raise ZMQError(errno.EINVAL, "the name of a group has at most 255 bytes")
            self._group = group
        else:
            raise ZMQError(errno.EINVAL, f"the property {option!r} of a frame cannot be set")

    @property
    def group(self) -> str:
        """The group of a RADIO's message."""
        return self._group.decode("utf-8")

    @group.setter
    def group(self, group: str | builtins.bytes) -> None:
        self.set("group", group)

    @property
    def routing_id(self) -> int:
        """Who a SERVER's message came from, or is for."""
        return self._routing_id

    @routing_id.setter
    def routing_id(self, routing_id: int) -> None:
        self.set("routing_id", routing_id)


Message = Frame

__all__ = ["Frame", "Message"]
