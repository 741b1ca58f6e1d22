"""The transport: an ordered, lossless stream of bytes, here TCP on loopback (5.0 section 4.2)."""

from __future__ import annotations

import asyncio

import pytest

from midge import Broker
from midge.config.settings import Settings
from tests.conformance.support import raw_connect, raw_publish, raw_subscribe, two


@pytest.mark.spec("MQTT-4.2-1", "MQTT-4.2.0-1", "3.1.1:MQTT-7.1.1-1")
@pytest.mark.parametrize("version", [4, 5])
async def test_packets_travel_whole_and_in_order_over_tcp(version: int) -> None:
    """Through chunks that do not line up with packets, and more bytes than fit a buffer."""
    sizes = [0, 1, 100, 70_000, 3, 1_000_000, 2]
    messages = [
        raw_publish(version, first=0x32, packet_id=two(index), payload=bytes((index,)) * size)
        for index, size in enumerate(sizes, 1)
    ]
    stream = raw_connect(version) + raw_subscribe(version, options=1) + b"".join(messages)
    # The acknowledgements of the broker stand between its own messages; what they are is
    # known, so the length of all of it is.
    async with Broker(port=0, settings=Settings(inflight_messages_max=100)) as broker:
        reader, writer = await asyncio.open_connection(broker.host, broker.port)
        for pos in range(0, len(stream), 77_777):
            writer.write(stream[pos : pos + 77_777])
            await writer.drain()
        received = bytearray()
        wanted = sum(len(message) for message in messages)
        while received.count(b"\x40\x02") < len(sizes) or len(received) < wanted:
            received += await asyncio.wait_for(reader.read(1 << 20), 10)
        writer.close()
        await writer.wait_closed()
    positions = [received.find(message) for message in messages]
    assert -1 not in positions
    assert positions == sorted(positions)
