"""Which nodes share this host: a node whose address is this host's own reaches volumes by a socket, others by TLS.

Asked of the kernel, not configured: nothing can be configured wrongly, and a node that moves is seen to.
"""

from __future__ import annotations

import ipaddress
import socket

_ANY_PORT = 9


def own_address(address: str) -> bool:
    """Whether packets to `address` stay on this host. True for "": a node that nobody gave an address is the only one.

    Connecting a datagram socket sends nothing; it makes the kernel choose the source address, which for an address of its
    own is that very address.
    """
    if not address:
        return True
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, _ANY_PORT))
            return bool(ipaddress.ip_address(probe.getsockname()[0]) == ipaddress.ip_address(address))
    except (OSError, ValueError):
        return False
