"""nftables sets whose elements count: read by netlink, as other programs' words would take longer than the kernel's."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import NamedTuple

from eucapy.drivers.network.linux import netlink
from eucapy.drivers.network.linux.netlink import Asking

TABLE = "eucapy"
_GET_ELEMENTS = (10 << 8) | 13
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_ELEMENT_KEY, _ELEMENT_EXPRESSION = 1, 7
_DATA_VALUE, _EXPRESSION_DATA = 1, 2
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2


class Counted(NamedTuple):
    """An element: its key as the kernel has it, and what was counted for it."""

    key: bytes
    packets: int
    bytes: int


def elements(asking: Asking, name: str) -> Iterator[Counted]:
    """The set of our table; nothing where there is none of that name. Raises OSError."""
    body = bytes((netlink.NFPROTO_INET, 0, 0, 0))
    body += netlink.attribute(_LIST_TABLE, TABLE) + netlink.attribute(_LIST_SET, name)
    try:
        messages = asking.dump(_GET_ELEMENTS, body)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return
    for message in messages:
        for element in netlink.listed(netlink.attributes(message, 4).get(_LIST_ELEMENTS, b"")):
            parts = netlink.attributes(element)
            if _ELEMENT_EXPRESSION not in parts:
                continue
            counter = netlink.attributes(netlink.attributes(parts[_ELEMENT_EXPRESSION])[_EXPRESSION_DATA])
            yield Counted(
                netlink.attributes(parts[_ELEMENT_KEY])[_DATA_VALUE],
                int.from_bytes(counter[_COUNTER_PACKETS], "big"),
                int.from_bytes(counter[_COUNTER_BYTES], "big"),
            )
