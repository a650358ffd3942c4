"""What was seen of each namespace, for as long as the kernel says that it has not changed.

    kernel ── link, address, route, rule, neighbour, netconf events of every namespace ──► Sights ── which parts are stale
                                                                                            │
    observe: a part that is not stale is taken as it was; a stale one is read again ◄───────┘

One netlink socket in the node's namespace hears all namespaces that a link of the node reaches into (each has an id there),
so that none is kept alive by our listening. What cannot be heard is not believed: a namespace without an id, one that has
another id or is another incarnation, everything after events were lost, and everything once in a while (`TRUST_S`).
Rules have a generation of their own, which the kernel counts: `rulesets.generation`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from pyroute2 import NetlinkError

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux.places import Place
from eucapy.drivers.network.model import NODE

TRUST_S = 300.0
"""So long is a part believed that nothing was heard of."""

LINKS, OWN_LINKS, ADDRESSES, OWN_ADDRESSES = "links", "own links", "addresses", "own addresses"
ROUTES, OWN_ROUTES, SOURCES = "routes", "own routes", "sources"
NEIGHBOURS, FORWARDING = "neighbours", "forwarding"
"""The parts of a namespace: all that it has of a kind, and what of that is ours."""

_LINKS = frozenset({LINKS, OWN_LINKS})
_ADDRESSES = frozenset({ADDRESSES, OWN_ADDRESSES})
_ROUTES = frozenset({ROUTES, OWN_ROUTES})
_NEIGHBOURS = frozenset({NEIGHBOURS, FORWARDING})
EVERYTHING = _LINKS | _ADDRESSES | _ROUTES | _NEIGHBOURS | {SOURCES}

_STALE = {
    16: EVERYTHING,  # RTM_NEWLINK: routes go without a word when a link goes down
    17: EVERYTHING,
    20: _ADDRESSES | _ROUTES,  # RTM_NEWADDR, RTM_DELADDR
    21: _ADDRESSES | _ROUTES | _LINKS,
    24: _ROUTES,  # RTM_NEWROUTE, RTM_DELROUTE: the latter is also how one hears that a link has no IPv6 any more
    25: _ROUTES | _LINKS,
    28: _NEIGHBOURS,  # RTM_NEWNEIGH, RTM_DELNEIGH
    29: _NEIGHBOURS,
    32: frozenset({SOURCES}),  # RTM_NEWRULE, RTM_DELRULE
    33: frozenset({SOURCES}),
    80: _LINKS,  # RTM_NEWNETCONF, RTM_DELNETCONF: proxy ARP, reverse path check, forwarding
    81: _LINKS,
}
_GROUPS = sum(1 << (group - 1) for group in (1, 3, 5, 7, 8, 24, 9, 11, 12, 19, 25))
"""Links, neighbours, IPv4 addresses, routes and rules, IPv4's netconf; IPv6's addresses, routes, links, rules, netconf."""

SOL_NETLINK = 270
NETLINK_LISTEN_ALL_NSID = 8
SO_RCVBUFFORCE = 33
_BUFFER = 8 << 20

T = TypeVar("T")


@dataclass
class Sight:
    """What is known of one namespace: parts by name, and under which id its events are heard (None: not at all)."""

    identity: tuple[int, int]
    nsid: int | None
    since: float
    parts: dict[str, Any] = field(default_factory=dict)
    generations: dict[str, tuple[Hashable, Any]] = field(default_factory=dict)

    def part(self, name: str, read: Callable[[], T]) -> T:
        """As it was seen, or read now."""
        if name not in self.parts:
            self.parts[name] = read()
        return cast(T, self.parts[name])

    def of_generation(self, name: str, generation: Hashable, read: Callable[[], T]) -> T:
        """As it was seen at that generation, or read now."""
        if name not in self.generations or self.generations[name][0] != generation:
            self.generations[name] = (generation, read())
        return cast(T, self.generations[name][1])


class Sights:
    """The sights of a node. Used in the driver's worker thread alone; `home` is the node's namespace."""

    def __init__(self, home: str, trust_s: float = TRUST_S) -> None:
        self._home = home
        self._trust_s = trust_s
        self._socket: socket.socket | None = None
        self._known: dict[str, Sight] = {}

    def hear(self) -> None:
        """Take what has been said since the last time: what it is about is stale from now on. Called before anything is
        read, so that a change during the reading is heard the next time."""
        if self._socket is None:
            with netns.inside(self._home):
                self._socket = _listener()
        by_id = {sight.nsid: sight for sight in self._known.values() if sight.nsid is not None}
        node = self._known.get(NODE)
        while True:
            try:
                data, more, _, _ = self._socket.recvmsg(65536, 64)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: events were lost
                self.forget_all()
                by_id, node = {}, None
                continue
            nsid = _nsid(more)
            sight = node if nsid is None else by_id.get(nsid)
            if sight is not None:
                _spoil(sight, data)

    def of(self, place: Place, node: Place) -> Sight:
        """What is known of the opened namespace, with everything gone from it that may not be believed. Raises OSError."""
        identity, nsid, now = _identity(place), _known_id(place, node), time.monotonic()
        known = self._known.get(place.namespace)
        heard = nsid is not None or place.namespace == NODE
        same = known is not None and heard and (known.identity, known.nsid) == (identity, nsid)
        if known is None or not same or now - known.since > self._trust_s:
            known = Sight(identity, nsid, now)
        self._known[place.namespace] = known
        return known

    def keep_only(self, namespaces: set[str]) -> None:
        """The others are not there any more."""
        for namespace in self._known.keys() - namespaces:
            del self._known[namespace]

    def forget_all(self) -> None:
        self._known.clear()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


def _listener() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    made.setblocking(False)
    with contextlib.suppress(OSError):  # a smaller one loses events sooner, and then says so
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _BUFFER)
    made.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
    made.bind((0, _GROUPS))
    return made


def _nsid(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The id of the namespace that the event is from; None for the socket's own."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_NETLINK, NETLINK_LISTEN_ALL_NSID):
            return int(struct.unpack("=i", data[:4])[0])
    return None


def _spoil(sight: Sight, data: bytes) -> None:
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        for part in _STALE.get(kind, ()):
            sight.parts.pop(part, None)
        at += max(16, (length + 3) & ~3)


def _identity(place: Place) -> tuple[int, int]:
    """Which incarnation of the namespace it is."""
    path = netns.path(place.netns) if place.netns else Path("/proc/thread-self/ns/net")
    found = path.stat()
    return found.st_dev, found.st_ino


def _known_id(place: Place, node: Place) -> int | None:
    """The id that the node's namespace has for this one, if it has one."""
    if place.namespace == NODE:
        return None
    fd = os.open(netns.path(place.netns), os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = node.ip.get_netnsid(fd=fd)
    except NetlinkError:
        return None
    finally:
        os.close(fd)
    number = found["nsid"] if found else None
    return None if number is None or number < 0 or number == 0xFFFFFFFF else int(number)
