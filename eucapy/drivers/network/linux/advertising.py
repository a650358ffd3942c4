"""A program: router advertisements and DHCPv6 on the taps of one namespace. Imports nothing but the standard library.

    RS ────────────► RA: default router for LIFETIME_S, "addresses are managed" (M, O), MTU; no prefix at all
    SOLICIT … ─────► ADVERTISE, REPLY: the addresses of the port that the tap belongs to

A tap is a guest's own wire, so that what comes by it is that guest's, whatever identifiers it shows: there are no leases to
keep, no MAC addresses to find out, and nothing to be refused because a guest was installed anew. That, and unsolicited
advertisements to every tap, is what dnsmasq has not: it sends those of a /64 to one link alone, and leases an address to a
pair of client identifiers until the lease ends. Messages: RFC 4861, RFC 8415.

    advertising.py --conf-file=PATH      PATH holds the name of the file with the orders, JSON; SIGHUP: read it again

It goes into the background when its sockets are open, and gives up root.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import pwd
import secrets
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LIFETIME_S = 9000
"""Of the default router; the longest that RFC 4861 knows."""
INTERVAL_S = 450
FIRST_S = (0.0, 1.0, 4.0, 10.0)
"""When a link that has come is told; then every INTERVAL_S."""
PREFERRED_S, VALID_S = 43200, 86400
RENEW_S, REBIND_S = 300, 43200
"""Of addresses: renewed often, so that a change is soon known, and kept long, should nobody answer."""

SOLICIT, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE, INFORMATION = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    11,
)
CLIENT_ID, SERVER_ID, IA_NA, IA_TA, IA_ADDR, STATUS, RAPID, DNS, SEARCH, IA_PD = 1, 2, 3, 4, 5, 13, 14, 23, 24, 25
SUCCESS, NO_ADDRESSES, NOT_ON_LINK, NO_PREFIX = 0, 2, 4, 6

_SERVERS, _CLIENT_PORT, _SERVER_PORT = "ff02::1:2", 546, 547
_ALL_NODES = "ff02::1"
_ICMPV6, _ICMP6_FILTER, _SOLICITATION, _ADVERTISEMENT = 58, 1, 133, 134
_RTNLGRP_LINK = 1
_LARGEST = 65536


@dataclass(frozen=True)
class Orders:
    """What is served: `taps` has the addresses of each tap's guest."""

    mac: str
    mtu: int
    user: str
    taps: dict[str, list[str]]
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()


def read_orders(text: str) -> Orders:
    """Raises ValueError, KeyError for what are none."""
    found = json.loads(text)
    return Orders(
        mac=found["mac"],
        mtu=found["mtu"],
        user=found["user"],
        taps=found["taps"],
        dns=tuple(found["dns"]),
        search=tuple(found["search"]),
    )


def router_advertisement(orders: Orders, lifetime_s: int = LIFETIME_S) -> bytes:
    """The ICMPv6 message; the kernel puts in the checksum. Nothing is on the link and no address is made of a prefix: there
    is none. Without a lifetime it takes back what was said."""
    mac = bytes.fromhex(orders.mac.replace(":", ""))
    managed = 0x80 | 0x40
    head = struct.pack("!BBHBBHII", _ADVERTISEMENT, 0, 0, 64, managed, lifetime_s, 0, 0)
    return head + b"\1\1" + mac + struct.pack("!BBHI", 5, 1, 0, orders.mtu)


def answer(message: bytes, addresses: list[str], orders: Orders) -> bytes | None:
    """What is said to a guest that has those addresses; None: nothing."""
    if len(message) < 4:
        return None
    kind, options = message[0], list(_options(message[4:]))
    client = next((value for code, value in options if code == CLIENT_ID), None)
    server = next((value for code, value in options if code == SERVER_ID), None)
    own = b"\0\3\0\1" + bytes.fromhex(orders.mac.replace(":", ""))
    to_us, to_any = kind in (REQUEST, RENEW, RELEASE, DECLINE), kind in (SOLICIT, CONFIRM, REBIND)
    if not (to_us or to_any or kind == INFORMATION) or (client is None and kind != INFORMATION):
        return None
    if (to_us and server != own) or (to_any and server is not None) or (server is not None and server != own):
        return None
    said: bytes | None
    if kind in (SOLICIT, REQUEST, RENEW, REBIND):
        said = b"".join(_associations(kind, options, addresses))
    elif kind == CONFIRM:
        asked = [ip for code, value in options if code == IA_NA for ip in _asked(value)]
        said = _status(SUCCESS if set(asked) <= set(addresses) else NOT_ON_LINK) if asked else None
    else:
        said = b"" if kind == INFORMATION else _status(SUCCESS)
    if said is None:
        return None
    at_once = kind == SOLICIT and any(code == RAPID for code, _ in options)
    answer_kind = ADVERTISE if kind == SOLICIT and not at_once else REPLY
    return b"".join(
        [
            bytes((answer_kind,)) + message[1:4],
            _option(CLIENT_ID, client) if client is not None else b"",
            _option(SERVER_ID, own),
            _option(RAPID, b"") if at_once else b"",
            said,
            _option(DNS, b"".join(_packed(ip) for ip in orders.dns)) if orders.dns else b"",
            _option(SEARCH, b"".join(_name(domain) for domain in orders.search)) if orders.search else b"",
        ]
    )


def _associations(kind: int, options: list[tuple[int, bytes]], addresses: list[str]) -> Iterator[bytes]:
    """Everything goes into the first association; addresses that are the guest's no more are ended."""
    free = list(addresses)
    given = False
    for code, value in options:
        if code in (IA_NA, IA_PD) and len(value) >= 12:
            head = value[:4]
            if code == IA_PD:
                yield _option(IA_PD, head + bytes(8) + _status(NO_PREFIX))
                continue
            ended = [] if kind in (SOLICIT, REQUEST) else [ip for ip in _asked(value) if ip not in addresses]
            held = [_address(ip, PREFERRED_S, VALID_S) for ip in free] + [_address(ip, 0, 0) for ip in ended]
            given, free = given or bool(free), []
            body = b"".join(held) or _status(NO_ADDRESSES)
            yield _option(IA_NA, head + struct.pack("!II", RENEW_S, REBIND_S) + body)
        elif code == IA_TA and len(value) >= 4:
            yield _option(IA_TA, value[:4] + _status(NO_ADDRESSES))
    if kind == SOLICIT and not given:
        yield _status(NO_ADDRESSES)


def _asked(association: bytes) -> list[str]:
    return [
        str(ipaddress.IPv6Address(value[:16]))
        for code, value in _options(association[12:])
        if code == IA_ADDR and len(value) >= 24
    ]


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from("!HH", data, at)
        if at + 4 + length > len(data):
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


def _status(code: int) -> bytes:
    return _option(STATUS, struct.pack("!H", code))


def _address(ip: str, preferred_s: int, valid_s: int) -> bytes:
    return _option(IA_ADDR, _packed(ip) + struct.pack("!II", preferred_s, valid_s))


def _packed(ip: str) -> bytes:
    return ipaddress.IPv6Address(ip).packed


def _name(domain: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in domain.split(".")) + b"\0"


class Server:
    """The sockets, and when which link is told next."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, ValueError."""
        self._path = path
        self.orders = read_orders(path.read_text())
        self._stale = False
        self._next: dict[int, tuple[float, int]] = {}
        """Link → when it is told, and how often it was."""
        self._links = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._links.bind((0, 1 << (_RTNLGRP_LINK - 1)))
        self._icmp = socket.socket(socket.AF_INET6, socket.SOCK_RAW, _ICMPV6)
        only = bytearray(b"\xff" * 32)
        only[_SOLICITATION // 8] &= ~(1 << (_SOLICITATION % 8)) & 0xFF
        self._icmp.setsockopt(_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *struct.unpack("<8I", only)))
        for option in (socket.IPV6_MULTICAST_HOPS, socket.IPV6_UNICAST_HOPS):
            self._icmp.setsockopt(socket.IPPROTO_IPV6, option, 255)
        self._icmp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        self._dhcp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._dhcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._dhcp.bind(("::", _SERVER_PORT))
        for each in (self._links, self._icmp, self._dhcp):
            each.setblocking(False)

    def again(self, *_: object) -> None:
        """The orders are read again, soon."""
        self._stale = True

    def run(self) -> None:
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGHUP, self.again)
        self._look()
        while True:
            due = min((when for when, _ in self._next.values()), default=time.monotonic() + INTERVAL_S)
            sources = [wake, *(each.fileno() for each in (self._links, self._icmp, self._dhcp))]
            ready, _, _ = select.select(sources, [], [], max(0.0, due - time.monotonic()))
            if wake in ready:
                os.read(wake, 64)
            if self._links.fileno() in ready:
                self._drain()
            if self._stale:
                self._stale = False
                with contextlib.suppress(OSError, ValueError, KeyError):  # half a file is followed by a whole one
                    self.orders = read_orders(self._path.read_text())
            if wake in ready or self._links.fileno() in ready:
                self._look()
            if self._icmp.fileno() in ready:
                self._solicited()
            if self._dhcp.fileno() in ready:
                self._asked()
            self._tell()

    def _drain(self) -> None:
        try:
            while self._links.recv(_LARGEST):
                pass
        except OSError:  # nothing more, or events were lost: what there is, is looked up
            return

    def _look(self) -> None:
        """Links that have come are joined, and told; those that have gone, or whose guests have no address any more, are
        forgotten, and these are told so."""
        there = {index for index, name in socket.if_nameindex() if name in self.orders.taps and _is_up(name)}
        for index in there - self._next.keys():
            with contextlib.suppress(OSError):
                self._membership(socket.IPV6_JOIN_GROUP, index)
            self._next[index] = (time.monotonic() + FIRST_S[0], 0)
        for index in self._next.keys() - there:
            with contextlib.suppress(OSError):
                self._membership(socket.IPV6_LEAVE_GROUP, index)
            self._advertise(index, 0)
            del self._next[index]

    def _membership(self, option: int, index: int) -> None:
        group = socket.inet_pton(socket.AF_INET6, _SERVERS) + struct.pack("=I", index)
        self._dhcp.setsockopt(socket.IPPROTO_IPV6, option, group)

    def _tell(self) -> None:
        now = time.monotonic()
        for index, (when, times) in list(self._next.items()):
            if when <= now:
                self._advertise(index)
                early = times + 1 < len(FIRST_S)
                wait_s = (
                    FIRST_S[times + 1] - FIRST_S[times]
                    if early
                    else INTERVAL_S * (0.75 + secrets.randbelow(251) / 1000)
                )
                self._next[index] = (now + wait_s, times + 1)

    def _advertise(self, index: int, lifetime_s: int = LIFETIME_S) -> None:
        with contextlib.suppress(OSError):  # the link is going, or not ready: it is told again
            self._icmp.sendto(router_advertisement(self.orders, lifetime_s), (_ALL_NODES, 0, 0, index))

    def _solicited(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                message, more, _, sender = self._icmp.recvmsg(_LARGEST, 256)
                hops = [struct.unpack("=i", data[:4])[0] for _, kind, data in more if kind == socket.IPV6_HOPLIMIT]
                if sender[3] in self._next and message[:2] == bytes((_SOLICITATION, 0)) and hops == [255]:
                    self._advertise(sender[3])

    def _asked(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                message, sender = self._dhcp.recvfrom(_LARGEST)
                index = sender[3]
                if index not in self._next:
                    continue
                with contextlib.suppress(OSError):
                    addresses = self.orders.taps.get(socket.if_indextoname(index), [])
                    said = answer(message, addresses, self.orders)
                    if said is not None:
                        self._dhcp.sendto(said, (sender[0], _CLIENT_PORT, 0, index))


def _is_up(name: str) -> bool:
    """A link has IPv6, and so a source to tell from, once its own settings are there."""
    return Path(f"/proc/sys/net/ipv6/conf/{name}").exists()


def main() -> None:
    config = Path(next(word.removeprefix("--conf-file=") for word in sys.argv[1:] if word.startswith("--conf-file=")))
    server = Server(Path(config.read_text().strip()))
    signal.signal(signal.SIGHUP, server.again)
    child = os.fork()
    if child:
        (config.parent / "advertiser.pid").write_text(f"{child}\n")
        os._exit(0)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.close(nothing)
    if os.getuid() == 0 and server.orders.user != "root":
        user = pwd.getpwnam(server.orders.user)
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    server.run()


if __name__ == "__main__":
    main()
