"""How much of a stream is read at once, so that no one stream has the loop for long.

Large reads make batches, and batches are the speed; but what a byte costs differs a thousandfold
between a message that is forwarded and one that is stored for a thousand sessions. So what the last
chunk took decides how large the next may be.
"""

from __future__ import annotations

from midge.limits import READ_BYTES, READ_BYTES_LEAST, READ_S


def next_size(size: int, had: int, took_s: float) -> int:
    """How much to read at once from now on.

    Args:
        size: what was allowed, in bytes.
        had: what came.
        took_s: how long it took to handle that.
    """
    if took_s > READ_S:
        return max(READ_BYTES_LEAST, min(size, int(had * READ_S / took_s)))
    if had == size and took_s < READ_S / 2:
        return min(READ_BYTES, size * 2)
    return size
