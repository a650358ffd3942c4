"""Links that come, go and change, in the node's namespace and in every namespace that a link of it reaches into."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from eucapy.drivers.network import netns

RTMGRP_LINK = 1
SOL_NETLINK = 270
NETLINK_LISTEN_ALL_NSID = 8


def _netlink() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)


class LinkEvents:
    """A netlink subscription in the event loop; it says only that something happened, the loop looks what."""

    def __init__(self, wake: Callable[[], None], home: str = "") -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._socket = netns.call_in(home, _netlink)
        self._socket.setblocking(False)
        # Namespaces that our veth pairs and VXLAN devices reach into have ids here, so a guest's end is heard too.
        self._socket.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
        self._socket.bind((0, RTMGRP_LINK))
        self._loop.add_reader(self._socket.fileno(), self._heard)

    def _heard(self) -> None:
        # ENOBUFS means that events were lost, which is an event too.
        with contextlib.suppress(BlockingIOError, OSError):
            while self._socket.recv(65536):
                pass
        self._wake()

    def close(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
