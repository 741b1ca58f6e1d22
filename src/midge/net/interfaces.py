"""The addresses of a network interface, as the C library's ``getifaddrs`` has them.

Python's standard library does not have them. Only what ``bind_interface`` needs is read: names and
Internet addresses. Imported only where that option is given, for it brings in ctypes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from typing import Final, TypeAlias

#: Family, address in its usual form, and the scope of an IPv6 address that needs one.
Address: TypeAlias = "tuple[socket.AddressFamily, str, int]"

#: Where an address begins in the C library's structures, and how long it is.
_PLACES: Final = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}


class _Entry(ctypes.Structure):
    """``struct ifaddrs``, as far as it is the same on all systems."""


_Entry._fields_ = [
    ("next", ctypes.POINTER(_Entry)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
]


def addresses_of(name: str) -> list[Address]:
    """The Internet addresses of an interface, IPv4 before IPv6; there may be none.

    Args:
        name: in upper or lower case, as with Mosquitto.

    Raises:
        OSError: ``ENODEV`` when there is no such interface; or the system does not tell.
    """
    library = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(_Entry)()
    if library.getifaddrs(ctypes.byref(first)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        found = _read(first, name.casefold())
    finally:
        library.freeifaddrs(first)
    if found is None:
        # One without any address may not be in that list.
        if name.casefold() not in (each.casefold() for _, each in socket.if_nameindex()):
            raise OSError(errno.ENODEV, f"Interface {name} does not exist")
        found = []
    return sorted(found, key=lambda address: address[0] != socket.AF_INET)


def _read(entry: ctypes._Pointer[_Entry], name: str) -> list[Address] | None:
    """The addresses in a list from the C library; ``None`` when the interface is not in it."""
    found: list[Address] | None = None
    while entry:
        each = entry.contents
        own = each.name.decode(errors="surrogateescape")
        if own.casefold() == name:
            if found is None:
                found = []
            address = _address(each.address, own) if each.address else None
            if address is not None:
                found.append(address)
        entry = each.next
    return found


def _address(place: int, name: str) -> Address | None:
    """The address in a ``struct sockaddr``; ``None`` for one of another family."""
    if sys.platform == "linux":
        number = ctypes.c_uint16.from_address(place).value
    else:  # a byte of length stands before it
        number = ctypes.c_uint8.from_address(place + 1).value
    for family, (start, size) in _PLACES.items():
        if family == number:
            raw = ctypes.string_at(place + start, size)
            is_local = family == socket.AF_INET6 and raw[0] == 0xFE and raw[1] & 0xC0 == 0x80
            if is_local and sys.platform != "linux":
                raw = raw[:2] + b"\0\0" + raw[4:]  # the scope stands within the address there
            scope = socket.if_nametoindex(name) if is_local else 0
            return family, socket.inet_ntop(family, raw), scope
    return None
