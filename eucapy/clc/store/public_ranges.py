"""The pool of public addresses, as the operator writes it: `first-last` or CIDR, each; nothing is kept back."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence

from eucapy.clc.store.free_numbers import Span


def spans(ranges: Sequence[str]) -> tuple[Span, ...]:
    """The spans of addresses, as numbers, in the order given. Raises ValueError for what is no range of IPv4 addresses."""
    return _spans(tuple(ranges))


@functools.lru_cache(maxsize=8)
def _spans(ranges: tuple[str, ...]) -> tuple[Span, ...]:
    found: list[Span] = []
    for text in ranges:
        first, dash, last = (part.strip() for part in text.partition("-"))
        if dash:
            span = int(ipaddress.IPv4Address(first)), int(ipaddress.IPv4Address(last))
        else:
            network = ipaddress.IPv4Network(first, strict=False)
            span = int(network.network_address), int(network.broadcast_address)
        if span[0] > span[1]:
            raise ValueError(f"the range {text!r} ends before it begins")
        for other in found:
            if span[0] <= other[1] and other[0] <= span[1]:
                raise ValueError(f"the range {text!r} overlaps another one")
        found.append(span)
    return tuple(found)


def blocks(ranges: Sequence[str]) -> list[str]:
    """The same addresses as CIDRs. Raises ValueError as `spans` does."""
    return [
        str(network)
        for first, last in spans(ranges)
        for network in ipaddress.summarize_address_range(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last))
    ]
