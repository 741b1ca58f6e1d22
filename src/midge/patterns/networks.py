"""Which addresses TCP_ACCEPT_FILTER lets in: those of networks, and single ones.

``ipaddress`` is imported late: hardly anybody has a filter, and it is slow to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network


def parse_network(value: bytes) -> IPv4Network | IPv6Network:
    """The network, or the single address, that a filter names.

    Raises:
        ValueError: there is no such network.
    """
    from ipaddress import ip_network

    return ip_network(value.rstrip(b"\0").decode("ascii"), strict=False)


def admits(filters: Sequence[bytes], host: str) -> bool:
    """Whether one of the filters lets an address in; without filters, everybody is.

    Args:
        filters: those of the options, which has checked them.
        host: numbers, without a port; an IPv4 address is never in its IPv6 form.
    """
    if not filters:
        return True
    from ipaddress import ip_address

    address = ip_address(host.partition("%")[0])  # the scope of a link-local address
    return any(address in parse_network(one) for one in filters)
