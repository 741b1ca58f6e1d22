"""A broker of forty lines that forwards messages at QoS 0, and can be told to do it wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

#: What is done to the packets of one read, per receiver: (packets, index of the receiver).
Fault = Callable[[list[bytes], int], list[bytes]]


def right(packets: list[bytes], receiver: int) -> list[bytes]:
    """No fault."""
    return packets


class FakeBroker:
    """Serves in the running event loop while the ``async with`` block lasts."""

    def __init__(self, fault: Fault = right, parting_shot: bytes = b"") -> None:
        self.port = 0
        self._fault = fault
        self._parting_shot = parting_shot  # sent before the answer to PINGREQ
        self._receivers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> FakeBroker:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        try:
            while chunk := await reader.read(65536):
                data += chunk
                packets = []
                while len(data) >= 2 and len(data) >= 2 + data[1]:  # every length is below 128
                    packets.append(data[: 2 + data[1]])
                    data = data[2 + data[1] :]
                self._take(packets, writer)
        except ConnectionResetError:
            pass
        finally:
            writer.close()

    def _take(self, packets: list[bytes], writer: asyncio.StreamWriter) -> None:
        for packet in packets:
            if packet[0] == 0x10:
                writer.write(b"\x20\2\0\0")
            elif packet[0] == 0x82:
                self._receivers.append(writer)
                writer.write(b"\x90\3" + packet[2:4] + packet[-1:])
            elif packet[0] == 0xC0:
                shot = self._parting_shot if writer in self._receivers else b""
                writer.write(shot + b"\xd0\0")
        messages = [packet for packet in packets if packet[0] >> 4 == 3]
        for index, receiver in enumerate(self._receivers):
            receiver.write(b"".join(self._fault(messages, index)))
