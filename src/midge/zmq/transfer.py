"""Messages into a socket's engine and out of it: parts, buffers, frames, peers and groups.

Here is what :class:`midge.zmq.socket.Socket` does and waits for, and what the socket of
:mod:`midge.zmq.asyncio` does without waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event as ThreadEvent
from typing import Any, Final

from midge.net.zeromq.engine import POLLOUT
from midge.patterns.errors import SocketError
from midge.zmq.constants import Errno, Flag
from midge.zmq.error import Again, ZMQError, raise_as_zmq
from midge.zmq.frame import _NOTHING_KNOWN, Frame, received
from midge.zmq.socket_base import BY_GROUP, SocketBase
from midge.zmq.tracker import _FINISHED_TRACKER, MessageTracker, Tracked

MORE: Final = int(Flag.SNDMORE)
DONTWAIT: Final = int(Flag.DONTWAIT)


class Transfer(SocketBase):
    """Puts messages in and takes them out; waits as SNDTIMEO, RCVTIMEO and DONTWAIT say."""

    # -- in ---------------------------------------------------------------------------------------

    def _put_part(
        self,
        data: Any,
        flags: int,
        copy: bool,
        track: bool,
        routing_id: int | None,
        group: str | bytes | None,
    ) -> MessageTracker | None:
        self._check()
        part, tracker = self._part(data, copy, track)
        if self._single:
            self._send_whole(self._addressed(part, data, routing_id, group), flags)
            return tracker
        if flags & MORE:
            if not self._parts:
                self._begin_message(flags)
            self._parts.append(part)
            return tracker
        before = self._parts
        if not before:
            self._send_whole(part, flags)
            return tracker
        self._parts = []
        try:
            self._send_whole([*before, part], flags)
        except Again:  # whoever there was room with has left since
            self._parts = before
            raise
        return tracker

    def _begin_message(self, flags: int) -> None:
        """Say with the first part, not the last, that this type cannot send, or has no room."""
        blocking = self._core.blocking
        if blocking.credit > 0 or self._call(self._core.engine.pattern.may_send):
            return
        timeout_ms = 0 if flags & DONTWAIT else self._core.engine.options.send_timeout_ms
        try:
            if blocking.poll(timeout_ms, POLLOUT):
                return
        except SocketError as error:
            self._raise(error)
        raise Again

    def _part(self, data: Any, copy: bool, track: bool) -> tuple[Any, MessageTracker | None]:
        if isinstance(data, Frame):
            if track and not copy and data.tracker is None:
                raise ValueError("Not a tracked message")
            return data._data, data.tracker or _FINISHED_TRACKER
        if isinstance(data, str):
            raise TypeError("str objects are not allowed, encode them or use send_string")
        if type(data) is bytes:
            if copy:
                return data, None
            if not track:
                return data, _FINISHED_TRACKER
        else:
            view = memoryview(data)
            if copy or (not track and view.nbytes < self.copy_threshold):
                return bytes(view), None if copy else _FINISHED_TRACKER
            if not track:
                return view.cast("B") if view.contiguous else bytes(view), _FINISHED_TRACKER
        if memoryview(data).nbytes < self.copy_threshold:
            return bytes(data), _FINISHED_TRACKER
        held = Tracked(data)
        held.event = ThreadEvent()
        return held, MessageTracker(held.event)

    def _addressed(
        self, part: Any, data: Any, routing_id: int | None, group: str | bytes | None
    ) -> list[Any]:
        """For the types that name a peer or a group: that, then the part."""
        if self._type_name in BY_GROUP:
            if group is None and isinstance(data, Frame):
                group = data._group
            name = group.encode() if isinstance(group, str) else group or b""
            return [name, part]
        number = routing_id
        if number is None:
            number = data._routing_id if isinstance(data, Frame) else 0
        return [number.to_bytes(4, "big"), part]

    def _send_whole(self, item: Any, flags: int) -> None:
        timeout_ms = 0 if flags & DONTWAIT else self._core.engine.options.send_timeout_ms
        try:
            if self._send_item(item, timeout_ms):
                return
        except SocketError as error:
            self._raise(error)
        raise Again

    def _raise(self, error: SocketError) -> None:
        if self._core.closed:
            self._closed = True
        raise_as_zmq(error)

    def _put_part_of(
        self,
        data: Any,
        flags: int,
        copy: bool,
        track: bool,
        routing_id: int | None = None,
        group: str | bytes | None = None,
    ) -> MessageTracker | None:
        return self._put_part(data, flags, copy, track, routing_id, group)

    def _put_all(
        self, msg_parts: Sequence[Any], flags: int, copy: bool, track: bool, **kwargs: Any
    ) -> MessageTracker | None:
        if not msg_parts:
            raise ValueError("a message has one part at least")
        if not (flags or kwargs or self._closed) and copy and self._whole_bytes(msg_parts):
            self._send_whole(msg_parts[0] if len(msg_parts) == 1 else list(msg_parts), 0)
            return None
        parts, tracker = self._assemble(msg_parts, copy, track)
        if self._closed or self._single or self._parts or flags & MORE:
            before = len(self._parts)
            try:
                for given in msg_parts[:-1]:
                    self._put_part_of(given, flags | MORE, copy, track, **kwargs)
                return self._put_part_of(msg_parts[-1], flags, copy, track, **kwargs)
            except Again:
                del self._parts[before:]
                raise
        self._send_whole(parts[0] if len(parts) == 1 else parts, flags)
        return tracker

    def _assemble(
        self, msg_parts: Sequence[Any], copy: bool, track: bool
    ) -> tuple[list[Any], MessageTracker | None]:
        """The parts of a message as they are sent, and what tells when they are not needed."""
        tracker: MessageTracker | None = None
        trackers = []
        parts = []
        for index, given in enumerate(msg_parts):
            if type(given) is bytes and copy:
                parts.append(given)
                continue
            try:
                part, tracker = self._part(given, copy, track)
            except TypeError:
                shown = repr(given)
                if len(shown) > 32:
                    shown = shown[:32] + "..."
                raise TypeError(
                    f"Frame {index} ({shown}) does not support the buffer interface."
                ) from None
            parts.append(part)
            if tracker is not None and tracker is not _FINISHED_TRACKER:
                trackers.append(tracker)
        return parts, MessageTracker(*trackers) if trackers else tracker

    def _put_many(self, messages: Sequence[Any], flags: int) -> int:
        self._check()
        if self._single:
            raise ZMQError(Errno.ENOTSUP, f"send_many is not for {self._type_name}")
        items = [_whole(message) for message in messages]
        timeout_ms = 0 if flags & DONTWAIT else self._core.engine.options.send_timeout_ms
        try:
            return self._core.blocking.send_many(items, timeout_ms)
        except SocketError as error:
            raise_as_zmq(error)

    # -- out --------------------------------------------------------------------------------------

    def _take_part(self, flags: int, copy: bool) -> bytes | Frame:
        """The next part of a message."""
        if self._more:
            part = self._more.pop(0)
            self._rcvmore = bool(self._more)
            return part if copy else self._frame(part)
        try:
            item = self._inbox.pop()
        except IndexError:
            item = self._wait_for_item(flags)
        if type(item) is bytes:
            self._rcvmore = False
            return item if copy else self._new_frame(item)
        return self._first_part(item, copy)

    def _wait_for_item(self, flags: int) -> Any:
        timeout_ms = 0 if flags & DONTWAIT else self._core.engine.options.receive_timeout_ms
        try:
            item = self._receive_item(timeout_ms)
        except SocketError as error:
            self._raise(error)
        if item is None:
            raise Again
        return item

    def _first_part(self, item: Any, copy: bool) -> bytes | Frame:
        if type(item) is not list:  # a buffer that inproc has handed over
            self._rcvmore = False
            return bytes(item) if copy else self._new_frame(item)
        if self._single:
            self._rcvmore = False
            if copy:
                return bytes(item[1])
            frame = self._new_frame(item[1])
            if self._type_name in BY_GROUP:
                frame._group = bytes(item[0])
            else:
                frame._routing_id = int.from_bytes(item[0], "big")
            return frame
        self._more = item[1:]
        self._rcvmore = True
        return _as_bytes(item[0]) if copy else self._new_frame(item[0])

    def _new_frame(self, part: Any) -> Frame:
        """A frame of the message that was taken last, which knows its peer."""
        pipe = self._core.blocking.last_pipe
        metadata: dict[str, bytes] = {} if pipe is None else pipe.metadata
        if pipe is not None and pipe.user_id and "User-Id" not in metadata:
            metadata = {**metadata, "User-Id": pipe.user_id.encode()}
        self._last_metadata = metadata
        return self._frame(part)

    def _frame(self, part: Any) -> Frame:
        return received(part, self._last_metadata or _NOTHING_KNOWN, self._rcvmore)

    def _take_into(self, buffer: Any, nbytes: int, flags: int) -> int:
        view = memoryview(buffer)
        if not view.contiguous:
            raise BufferError("the buffer is not contiguous")
        if view.readonly:
            raise BufferError("the buffer cannot be written to")
        view = view.cast("B")
        if nbytes < 0:
            raise ValueError(f"{nbytes=} must be non-negative")
        room = nbytes or view.nbytes
        if room > view.nbytes:
            raise ValueError(f"{nbytes=} exceeds the {view.nbytes} bytes of the buffer")
        data = _as_bytes(self._take_part(flags, True))
        count = min(room, len(data))
        view[:count] = data[:count]
        return len(data)

    def _take_all(self, flags: int, copy: bool) -> list[Any]:
        parts = [self._take_part(flags, copy)]
        if self._more:
            rest = self._more
            self._more = []
            if copy:
                parts += [_as_bytes(part) for part in rest]
            else:
                for index, part in enumerate(rest):
                    self._rcvmore = index < len(rest) - 1
                    parts.append(self._frame(part))
            self._rcvmore = False
        return parts

    def _take_many(self, limit: int, flags: int) -> list[Any]:
        self._check()
        if self._single:
            raise ZMQError(Errno.ENOTSUP, f"recv_many is not for {self._type_name}")
        timeout_ms = 0 if flags & DONTWAIT else self._core.engine.options.receive_timeout_ms
        try:
            items = self._core.blocking.receive_many(limit, timeout_ms)
        except SocketError as error:
            raise_as_zmq(error)
        if not items:
            raise Again
        return items


def _as_bytes(part: Any) -> bytes:
    return part if type(part) is bytes else bytes(part)


def _whole(message: Any) -> Any:
    if type(message) is bytes:
        return message
    if isinstance(message, list | tuple):
        parts = [_as_bytes(part) for part in message]
        return parts[0] if len(parts) == 1 else parts
    return message._data if isinstance(message, Frame) else bytes(memoryview(message))
