"""What may stand in a rule set or a resolver's file. Specs come over mutual TLS, and still no value of theirs is pasted
into another program's language unread. Each function returns its argument in canonical form or raises ValueError. The same
few thousand words are asked for at every compilation, so what was read once is remembered."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

_LINK = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_REMEMBERED = 1 << 16
_ID = re.compile(r"[a-z]+-[A-Za-z0-9-]{1,100}")


def link(name: str) -> str:
    if not _LINK.fullmatch(name):
        raise ValueError(f"{name!r} is not a link's name")
    return name


@lru_cache(_REMEMBERED)
def mac(address: str) -> str:
    lowered = address.lower()
    if not _MAC.fullmatch(lowered):
        raise ValueError(f"{address!r} is not a MAC address")
    return lowered


@lru_cache(_REMEMBERED)
def ip(address: str) -> str:
    return str(ipaddress.IPv4Address(address))


@lru_cache(_REMEMBERED)
def cidr(block: str) -> str:
    return str(ipaddress.IPv4Network(block, strict=False))


@lru_cache(_REMEMBERED)
def ip6(address: str) -> str:
    return str(ipaddress.IPv6Address(_without_zone(address)))


@lru_cache(_REMEMBERED)
def cidr6(block: str) -> str:
    return str(ipaddress.IPv6Network(_without_zone(block), strict=False))


def _without_zone(address: str) -> str:
    if "%" in address:
        raise ValueError(f"{address!r} has a zone")
    return address


def either(address: str) -> str:
    """An address of either family."""
    return ip6(address) if is6(address) else ip(address)


def is6(address: str) -> bool:
    """Whether an address or a block is meant to be one of IPv6."""
    return ":" in address


@lru_cache(_REMEMBERED)
def label(name: str) -> str:
    """One label of a host name."""
    if not _LABEL.fullmatch(name):
        raise ValueError(f"{name!r} is not a host name")
    return name


def domain(name: str) -> str:
    """A domain name, or nothing."""
    return ".".join(label(part) for part in name.split(".")) if name else ""


@lru_cache(_REMEMBERED)
def identifier(resource_id: str) -> str:
    """A resource id as an nftables name."""
    if not _ID.fullmatch(resource_id):
        raise ValueError(f"{resource_id!r} is not a resource id")
    return resource_id.replace("-", "_")


def elements(items: Iterable[str]) -> str:
    """The elements line of a set or map, or nothing for an empty one, which nftables has no words for."""
    joined = ",\n      ".join(items)
    return f"    elements = {{\n      {joined}\n    }}\n" if joined else ""
