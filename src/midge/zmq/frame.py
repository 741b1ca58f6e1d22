"""Frame: one part of a message, with what is known of where it came from.

A frame is a ``bytearray``, because before Python 3.12 nothing else written in Python is a buffer,
and programs ask for one: ``numpy.frombuffer(socket.recv(copy=False))``, and write into the array.
That costs a copy, where pyzmq has it in ``Frame.bytes``. What a program made a frame of is kept as
well, and sent as it is, without a copy.
"""

from __future__ import annotations

import builtins
import errno
import weakref
from threading import Event
from typing import Any, Final

from midge.zmq.constants import MessageOption
from midge.zmq.error import ZMQError
from midge.zmq.tracker import _FINISHED_TRACKER, MessageTracker, Tracked

_NOTHING_KNOWN: Final[dict[str, builtins.bytes]] = {}


class Frame(bytearray):
    """One part of a message.

    What a peer said at its handshake, and what an authenticator found out about it, is there by
    name: ``frame["User-Id"]``, ``"Peer-Address"``, ``"Socket-Type"``, ``"Identity"``.

    Attributes:
        more: another part of the same message follows.
        tracker: tells when it is done with; ``None`` where nobody asked for that.
        tracker_event: what the tracker waits for.
    """

    __slots__ = (
        "_buffer",
        "_given",
        "_group",
        "_metadata",
        "_routing_id",
        "more",
        "tracker",
        "tracker_event",
    )

    more: bool
    tracker: MessageTracker | None
    tracker_event: Event | None
    _given: Any
    _buffer: weakref.ref[memoryview] | None
    _metadata: dict[str, builtins.bytes]
    _routing_id: int
    _group: builtins.bytes

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
            BufferError: for a buffer that is not contiguous.
        """
        if isinstance(data, str):
            raise TypeError("str is not allowed: encode it first, or use send_string")
        if isinstance(data, Frame):
            data = data._data
        if data is None:
            data = b""
        elif type(data) is not bytes and not memoryview(data).contiguous:
            raise BufferError("the buffer of a frame must be contiguous")
        bytearray.__init__(self, data)
        self.more = False
        self._buffer = None
        self._metadata = _NOTHING_KNOWN
        self._routing_id = 0
        self._group = b""
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
        self._given = data

    @property
    def _data(self) -> Any:
        """What is sent: what the program gave, or what was received."""
        given = self._given
        return builtins.bytes(memoryview(self)) if given is None else given

    @property
    def bytes(self) -> builtins.bytes:
        """The content as bytes."""
        data = self._given
        if type(data) is builtins.bytes:
            return data
        return builtins.bytes(memoryview(self) if data is None else data)

    @property
    def buffer(self) -> memoryview:
        """The content as a view."""
        kept = self._buffer
        view = None if kept is None else kept()
        if view is None:
            view = memoryview(self)
            self._buffer = weakref.ref(view)
        return view

    def __bytes__(self) -> builtins.bytes:
        return self.bytes

    # A frame is itself, whatever is in it, as pyzmq's are: it may be the key of a dictionary.
    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __copy__(self) -> Frame:
        return self.fast_copy()

    def fast_copy(self) -> Frame:
        """Another frame with the same content."""
        other = received(self, self._metadata, self.more)
        other._given = self._given
        other._routing_id = self._routing_id
        other._group = self._group
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
            shown = f"{self.bytes[:12]!r}...{amount:.0f}{unit}"
        return f"<{name}.{type(self).__name__}({shown})>"

    __str__ = __repr__

    # -- properties -----------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        return self.get(key)

    def get(self, option: int | str) -> Any:
        """A property: of the peer by its name, ``"routing_id"`` and ``"group"``, or MORE.

        Raises:
            ZMQError: EINVAL where there is none of that name.
        """
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

    # Options of messages that tell nothing here, under pyzmq's names.
    @property
    def srcfd(self) -> int:
        """A descriptor in libzmq; 0 here."""
        return 0

    @property
    def shared(self) -> int:
        """Whether copies share memory in libzmq; 0 here."""
        return 0

    SRCFD = srcfd
    SHARED = shared


def received(part: Any, metadata: dict[str, bytes], more: bool) -> Frame:
    """The frame for a part that was received; :class:`Frame` without its questions."""
    frame = Frame.__new__(Frame)
    bytearray.__init__(frame, part)
    frame.more = more
    frame._buffer = None
    frame._given = None
    frame._metadata = metadata
    frame._routing_id = 0
    frame._group = b""
    frame.tracker = None
    frame.tracker_event = None
    return frame


Message = Frame

__all__ = ["Frame", "Message"]
