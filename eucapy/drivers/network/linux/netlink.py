"""Netlink dumps read by hand: thousands of messages, of each of which a few attributes are wanted.

pyroute2 speaks netlink for whatever changes something; it takes a millisecond for a message, which is too much for looking at
a thousand guests. Here a message is its bytes, and attributes are found in them as they are asked for. Layouts:
`linux/rtnetlink.h`, `linux/if_link.h`, `linux/neighbour.h`, `linux/netfilter/nf_tables.h`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator

from eucapy.drivers.network import netns

ROUTE, NETFILTER = 0, 12
"""Protocols."""
GETLINK, GETADDR, GETROUTE, GETNEIGH = 18, 22, 26, 30
NFPROTO_INET = 1

_REQUEST, _DUMP = 0x1, 0x300
_DUMP_INTERRUPTED = 0x10
_ERROR, _DONE = 2, 3
_GETGEN, _GETCHAIN = 16, 4
_NFTABLES = 10 << 8
_GEN_ID, _CHAIN_TABLE, _CHAIN_NAME = 1, 1, 3
_NESTED = 0x3FFF
_LARGEST = 1 << 18
_TRIES = 20

Attributes = dict[int, bytes]


def attributes(data: bytes, at: int = 0) -> Attributes:
    """The attributes from that offset on, by type; nested ones are bytes again."""
    found: Attributes = {}
    end = len(data)
    while at + 4 <= end:
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & _NESTED] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def listed(data: bytes) -> Iterator[bytes]:
    """The payloads of attributes that follow each other, all of one type: a list."""
    at = 0
    while at + 4 <= len(data):
        length = struct.unpack_from("=H", data, at)[0]
        if length < 4:
            break
        yield data[at + 4 : at + length]
        at += (length + 3) & ~3


def text(value: bytes | None) -> str:
    """A name; "" for none."""
    return value.rstrip(b"\0").decode() if value else ""


def number(value: bytes | None) -> int:
    return int(struct.unpack("=I", value[:4])[0]) if value else 0


def address(value: bytes | None) -> str:
    """An address of either family; "" for none."""
    if value and len(value) == 16:
        return socket.inet_ntop(socket.AF_INET6, value)
    return socket.inet_ntoa(value) if value and len(value) == 4 else ""


def mac(value: bytes | None) -> str:
    return value.hex(":") if value else ""


class Asking:
    """A netlink socket that lives in a namespace ("": where the thread is), for questions alone. `messages` counts what was
    answered."""

    def __init__(self, name: str, protocol: int) -> None:
        with netns.inside(name):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        self.messages = 0

    def close(self) -> None:
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """The payloads of all messages. A list that changed while it was told is asked for again. Raises OSError."""
        for _ in range(_TRIES):
            with contextlib.suppress(InterruptedError):
                return list(self._ask(kind, _REQUEST | _DUMP, body))
        raise OSError(errno.EAGAIN, "netlink: the list goes on changing")

    def one(self, kind: int, body: bytes) -> bytes:
        """The payload of the one answer. Raises OSError."""
        return next(self._ask(kind, _REQUEST, body))

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        self._sequence += 1
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, flags, self._sequence, 0) + body)
        interrupted = False
        while True:
            data, at = self._socket.recv(_LARGEST), 0
            while at + 16 <= len(data):
                length, got, marks, sequence, _ = struct.unpack_from("=IHHII", data, at)
                here, at = at, at + max(16, (length + 3) & ~3)
                if sequence != self._sequence:
                    continue  # the rest of an answer that nobody waited for
                interrupted = interrupted or bool(marks & _DUMP_INTERRUPTED)
                if got == _ERROR:
                    code = -struct.unpack_from("=i", data, here + 16)[0]
                    raise OSError(code, f"netlink: {os.strerror(code)}")
                if got == _DONE:
                    if interrupted:
                        raise InterruptedError
                    return
                self.messages += 1
                yield data[here + 16 : here + length]
                if not flags & _DUMP:
                    return


def generation(name: str) -> int:
    """How often the namespace's nftables rules have changed: the kernel's own count. Raises OSError."""
    with contextlib.closing(Asking(name, NETFILTER)) as asking:
        found = attributes(asking.one(_NFTABLES | _GETGEN, b"\0\0\0\0"), 4)
    return int.from_bytes(found[_GEN_ID], "big")


def chain_names(name: str, family: int, table: str) -> list[str]:
    """Of one nftables table. Raises OSError."""
    with contextlib.closing(Asking(name, NETFILTER)) as asking:
        messages = [attributes(each, 4) for each in asking.dump(_NFTABLES | _GETCHAIN, bytes((family, 0, 0, 0)))]
    return [text(each.get(_CHAIN_NAME)) for each in messages if text(each.get(_CHAIN_TABLE)) == table]


def has_chain(name: str, family: int, table: str, chain: str) -> bool:
    """Whether one nftables table has it. Raises OSError."""
    body = bytes((family, 0, 0, 0)) + attribute(_CHAIN_TABLE, table) + attribute(_CHAIN_NAME, chain)
    with contextlib.closing(Asking(name, NETFILTER)) as asking:
        try:
            asking.one(_NFTABLES | _GETCHAIN, body)
        except FileNotFoundError:
            return False
    return True


def attribute(kind: int, value: str) -> bytes:
    """A text, as a question names something by it."""
    data = value.encode() + b"\0"
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)
