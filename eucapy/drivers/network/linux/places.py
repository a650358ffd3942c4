"""A namespace opened for work: a netlink socket that lives in it, and its links by name and index.

Opened and used in the driver's worker thread. `Places` keeps those that one activity needs and closes them together.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

from pyroute2 import IPRoute, NetlinkError

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux import netlink
from eucapy.drivers.network.linux.netlink import Asking
from eucapy.drivers.network.model import NODE

OURS = 180
"""The routing protocol number that marks our routes and neighbours in the node's namespace."""


class Place:
    """One namespace. `ip` speaks netlink inside it from whatever namespace the thread is in.

    `namespace` is its name in the model ("" for the node's own), `netns` the name to enter it by ("": where we are);
    `prefix` is what this cloud's names on this node begin with.
    """

    def __init__(self, namespace: str, name: str, prefix: str) -> None:
        self.namespace = namespace
        self.netns = name
        self.prefix = prefix
        self._ip: Any | None = None
        self._asking: Asking | None = None
        if name and not netns.exists(name):
            raise FileNotFoundError(f"no network namespace {name}")

    @property
    def ip(self) -> Any:
        """Made when it is first asked for: who finds everything as it was needs none."""
        if self._ip is None:
            with netns.inside(self.netns):
                self._ip = IPRoute()
        return self._ip

    @property
    def asking(self) -> Asking:
        """For looking; made when it is first asked for."""
        if self._asking is None:
            self._asking = Asking(self.netns, netlink.ROUTE)
        return self._asking

    @property
    def messages(self) -> int:
        """That were read by `asking`."""
        return self._asking.messages if self._asking is not None else 0

    def close(self) -> None:
        if self._ip is not None:
            self._ip.close()
        if self._asking is not None:
            self._asking.close()

    def link(self, name: str) -> Any | None:
        """The link's netlink message, or None when there is no such link."""
        try:
            found = self.ip.link("get", ifname=name)
        except NetlinkError as error:
            if error.code in (errno.ENODEV, errno.ENOENT):
                return None
            raise
        return found[0] if found else None

    def index(self, name: str) -> int:
        """Raises LookupError."""
        with netns.inside(self.netns):
            try:
                return socket.if_nametoindex(name)
            except OSError as error:
                raise LookupError(f"no link {name} in {self.namespace or 'the node'}") from error

    def write(self, setting: str, value: str) -> None:
        """A kernel setting, as a path under /proc/sys."""
        with netns.inside(self.netns):
            Path("/proc/sys", setting).write_text(value)

    def read(self, settings: list[str]) -> dict[str, str]:
        """Kernel settings; what is not there is left out."""
        values: dict[str, str] = {}
        with netns.inside(self.netns):
            for setting in settings:
                with contextlib.suppress(FileNotFoundError):
                    values[setting] = Path("/proc/sys", setting).read_text().strip()
        return values


class Places:
    """The namespaces that one activity has opened; the node's own is `node`, entered by the name `home`."""

    def __init__(self, prefix: str, home: str = "") -> None:
        self._prefix = prefix
        self._home = home
        self._open: dict[str, Place] = {}
        self.messages = 0
        """Netlink messages that were read in the places closed since."""

    def __enter__(self) -> Places:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for namespace in list(self._open):
            self.forget(namespace)

    @property
    def node(self) -> Place:
        return self[NODE]

    def __getitem__(self, namespace: str) -> Place:
        place = self._open.get(namespace)
        if place is None:
            place = self._open[namespace] = Place(namespace, namespace or self._home, self._prefix)
        return place

    def forget(self, namespace: str) -> None:
        """Close the namespace's socket: an open one keeps a removed namespace alive."""
        place = self._open.pop(namespace, None)
        if place is not None:
            self.messages += place.messages
            place.close()


def gone(error: NetlinkError) -> bool:
    """Does the error say that the thing is not there (any more)?"""
    return error.code in (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL, errno.ENXIO)
