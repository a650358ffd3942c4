"""The range of public addresses: parsed, judged, or chosen when none is given. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from eucapy.cli.installation import CliError

FEWEST = 10
MOST = 65536
# Blocks set aside for documentation (RFC 5737): no real network uses them, so a host may keep one to itself.
HOST_LOCAL = ("198.51.100.10-198.51.100.250", "203.0.113.10-203.0.113.250", "192.0.2.10-192.0.2.250")


@dataclass(frozen=True)
class PublicRange:
    """First and last address, both included."""

    first: ipaddress.IPv4Address
    last: ipaddress.IPv4Address

    @property
    def count(self) -> int:
        return int(self.last) - int(self.first) + 1

    def overlaps(self, network: ipaddress.IPv4Network) -> bool:
        return self.first <= network.broadcast_address and network.network_address <= self.last

    def within(self, network: ipaddress.IPv4Network) -> bool:
        return self.first in network and self.last in network

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def parse(text: str) -> PublicRange:
    """`A-B`, `A-N` (last number of the last address) or a CIDR block (without its first and last address).

    Raises CliError, saying what is wrong and how a range looks.
    """
    try:
        if "/" in text:
            network = ipaddress.IPv4Network(text.strip())
            found = PublicRange(network.network_address + 1, network.broadcast_address - 1)
        else:
            first, dash, last = (part.strip() for part in text.partition("-"))
            if not dash:
                raise ValueError("it has no '-'")
            if last.isdigit():
                last = f"{first.rpartition('.')[0]}.{last}"
            found = PublicRange(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last))
    except ValueError as error:
        raise CliError(f"{text!r} is not an address range such as 192.168.1.100-192.168.1.120 ({error})") from error
    if found.count < FEWEST:
        raise CliError(f"{text} holds {max(0, found.count)} addresses; at least {FEWEST} are needed")
    if found.count > MOST:
        raise CliError(f"{text} holds {found.count} addresses; at most {MOST} can be given")
    special = next((at for at in (found.first, found.last) if _unusable(at)), None)
    if special is not None:
        raise CliError(f"{special} cannot be a guest's public address")
    return found


def host_local(networks: Iterable[ipaddress.IPv4Network]) -> PublicRange:
    """A range that only this host reaches, clear of every network it knows. Raises CliError."""
    known = list(networks)
    for text in HOST_LOCAL:
        candidate = parse(text)
        if not any(candidate.overlaps(network) for network in known):
            return candidate
    raise CliError("no free range was found by itself: give one with --public-range A-B")


def _unusable(address: ipaddress.IPv4Address) -> bool:
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or int(address) >= 0xF0000000
    )
