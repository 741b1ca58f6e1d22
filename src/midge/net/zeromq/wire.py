"""A wire that speaks ZMTP: between a socket and a :class:`~midge.zmtp.connection.Connection`.

Everything that the protocol does is in the connection, everything that a message means is in the
pattern; here the two are introduced to each other. Bytes in, a batch of messages out, and back.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from midge.limits import READ_BYTES, ZMQ_READ_BYTES_SMALL, ZMTP_BY_REFERENCE_BYTES
from midge.net.zeromq.stream_wire import Buffer, StreamWire
from midge.patterns.pipe import CANCEL, JOIN, LEAVE, SUBSCRIBE, Command, Encoded
from midge.zmtp import events as ev
from midge.zmtp.connection import Connection
from midge.zmtp.frames import encode_alike, encode_message, encode_mixed, encode_single
from midge.zmtp.settings import Settings

if TYPE_CHECKING:
    from midge.net.zeromq.connector import Connector
    from midge.net.zeromq.engine import SocketEngine

_ONLY_BYTES: Final = {bytes}
#: Messages of 8 KiB and more are worth reads of more than one of them.
_LARGE_SHIFT: Final = 13


class Wire(StreamWire):
    """See the module.

    Attributes:
        conn: the protocol's state.
    """

    __slots__ = ("conn",)

    def __init__(
        self,
        engine: SocketEngine,
        sock: socket.socket,
        endpoint: str,
        address: str,
        connector: Connector | None,
        settings: Settings,
    ) -> None:
        super().__init__(engine, sock, endpoint, address, connector)
        self.conn = Connection(
            settings,
            engine.reactor.time(),
            address=address.encode("utf-8"),
            random=engine.context.random,
        )

    def start(self) -> None:
        """Send our greeting, wait for the peer's."""
        self.push(self.conn.data_to_send())
        self.arm(self.conn.next_deadline())
        self.read_on()

    # -- in ------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Hand a chunk to the protocol, and what it meant to the pattern."""
        engine = self.engine
        events = self.conn.receive_data(data, engine.reactor.time())
        pipe = self.pipe
        if len(events) == 1 and pipe is not None and not self.conn.out:
            # The usual: nothing but messages, so that no deadline has come nearer.
            event = events[0]
            if type(event) is ev.Messages:
                items = event.items
                count = len(items)
                pipe.received += count
                large = count <= len(data) >> _LARGE_SHIFT
                self.read_bytes_max = READ_BYTES if large else ZMQ_READ_BYTES_SMALL
                engine.pattern.deliver(pipe, items)
                return
        self._heed(events)

    def ended(self, why: str = "") -> None:
        """The peer has closed: before the handshake was done, or after."""
        self._heed(self.conn.receive_eof(self.engine.reactor.time()))

    def due(self) -> None:
        """Send a heartbeat, or give up on the peer."""
        self._heed(self.conn.tick(self.engine.reactor.time()))

    def zap_answer(self, status: int, user_id: str, metadata: dict[str, bytes]) -> None:
        """Whoever decides about peers has decided about this one."""
        if not self.closed:
            now = self.engine.reactor.time()
            self._heed(self.conn.zap_reply(status, now, user_id, metadata))

    def _heed(self, events: list[ev.Event]) -> None:
        engine = self.engine
        pattern = engine.pattern
        conn = self.conn
        for event in events:
            pipe = self.pipe
            if type(event) is ev.Messages:
                if pipe is not None:
                    pipe.received += len(event.items)
                    pattern.deliver(pipe, event.items)
            elif isinstance(event, ev.Ready):
                self.ready = True
                engine.wire_ready(self, event)
            elif isinstance(event, ev.ZapRequest):
                engine.ask_zap(self, event)
            elif isinstance(event, ev.HandshakeFailed):
                self.push(conn.data_to_send())  # the peer may be told why
                self.close()
                engine.wire_failed(self, event)
            elif isinstance(event, ev.Closed):
                self.push(conn.data_to_send())
                self.close()
                engine.wire_lost(self, event.text, event.code)
            elif pipe is not None:
                self._tell(event)
        if self.closed:
            return
        if conn.out:
            self.push(conn.data_to_send())
        self.arm(conn.next_deadline())

    def _tell(self, event: ev.Event) -> None:
        """What a subscriber wants."""
        pattern = self.engine.pattern
        assert self.pipe is not None
        if isinstance(event, ev.Subscribe):
            pattern.subscribed(self.pipe, event.prefix)
        elif isinstance(event, ev.Cancel):
            pattern.cancelled(self.pipe, event.prefix)
        elif isinstance(event, ev.Join):
            pattern.joined(self.pipe, event.group)
        elif isinstance(event, ev.Leave):
            pattern.left(self.pipe, event.group)

    # -- out -----------------------------------------------------------------------------------

    def size_of(self, item: Any) -> int:
        """See the base; what is encrypted is not counted."""
        if not self.conn.plain:
            return -1
        kind = type(item)
        if kind is list:
            return sum(map(_frame_size, item))
        if kind is Encoded:
            return len(item.data)
        return -1 if kind is Command else _frame_size(item)

    def encode(self, batch: list[Any]) -> Sequence[Buffer]:
        """See the base; a batch of small plain messages is one piece of bytes."""
        conn = self.conn
        if conn.plain and not conn.out:
            first = batch[0]
            if len(batch) == 1:
                if type(first) is bytes:
                    if len(first) < ZMTP_BY_REFERENCE_BYTES:
                        return (encode_single(first),)
                elif type(first) is list and sum(map(len, first)) < ZMTP_BY_REFERENCE_BYTES:
                    return (encode_message(first),)
            elif type(first) is bytes and len(first) < ZMTP_BY_REFERENCE_BYTES:
                data = encode_alike(batch)
                if data:
                    return (data,)
                if set(map(type, batch)) == _ONLY_BYTES:
                    return (encode_mixed(batch),)
        for item in batch:
            kind = type(item)
            if kind is list:
                conn.send_multipart(item)
            elif kind is Encoded:
                if conn.plain:
                    conn.send_encoded(item.data)
                elif type(item.item) is list:
                    conn.send_multipart(item.item)
                else:
                    conn.send(item.item)
            elif kind is Command:
                _send_command(conn, item)
            else:
                conn.send(item)
        return conn.data_to_send()


def _frame_size(body: Any) -> int:
    size = len(body)
    return size + (2 if size < 256 else 9)


def _send_command(conn: Connection, command: Command) -> None:
    if command.kind == SUBSCRIBE:
        conn.subscribe(command.data)
    elif command.kind == CANCEL:
        conn.cancel(command.data)
    elif command.kind == JOIN:
        conn.join(command.data)
    elif command.kind == LEAVE:
        conn.leave(command.data)
