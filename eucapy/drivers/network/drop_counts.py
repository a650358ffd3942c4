"""Dropped packets as a VPC's rules count them: the words of the sets. Pure."""

from __future__ import annotations

LINKS = {"spoofed": "iifname", "refused_out": "iifname", "refused_in": "oifname", "refused_acl": "iifname"}
"""The reasons, and which of a packet's links tells whose it was."""
SIZE = 65536


def by_link(reason: str) -> str:
    """The name of the set."""
    return f"{reason}_by"


def chain(reason: str) -> str:
    """The name of the chain that ends a packet."""
    return f"drop_{reason}"
