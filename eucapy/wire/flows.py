"""What flow logs have seen, as it comes up from the nodes: windows of time, each told again for as long as it is kept.

Asking changes nothing, so that whoever asks may fail at any point and ask again. A node keeps what it has room for.
"""

from __future__ import annotations

from typing import Protocol

from eucapy.wire.contract import Message


class FlowRecord(Message, frozen=True, kw_only=False, array_like=True):
    """Packets of one 5-tuple, as one interface sent or `received` them in one window. `owner` is the interface, or the VPC
    where the interface is another node's: then `target` is what is known of it. Ports are 0 where the protocol has none;
    `tcp_flags` as flow logs say them."""

    owner: str
    received: bool
    refused: bool
    source: str
    target: str
    source_port: int
    target_port: int
    protocol: int
    packets: int
    bytes: int
    tcp_flags: int


class FlowInterface(Message, frozen=True, kw_only=True):
    """An interface that was watched. `address` is its primary one."""

    interface_id: str
    instance_id: str
    vpc_id: str
    subnet_id: str
    address: str


class FlowWindow(Message, frozen=True, kw_only=True):
    """What a node saw between two moments, in seconds since the epoch. Windows of a node do not overlap, and a later one
    begins and ends later."""

    begin: int
    end: int
    interfaces: tuple[FlowInterface, ...] = ()
    records: tuple[FlowRecord, ...] = ()
    skipped: tuple[str, ...] = ()
    """VPCs of which more flows were there than could be counted."""


class FlowPage(Message, frozen=True, kw_only=True):
    """Windows in their order; `more` of them are kept."""

    windows: tuple[FlowWindow, ...] = ()
    more: bool = False


class FlowReads(Protocol):
    """What a network agent tells of flows."""

    async def flows(self, after: int) -> FlowPage:
        """The windows that end later than `after`, the earliest first, as many as one answer holds. Raises Unreachable
        (clients only)."""
        ...


class ZoneFlowReads(Protocol):
    """The same of all nodes of a zone."""

    async def flows(self, node: str, after: int) -> FlowPage:
        """Raises LookupError for a node that is none, Unreachable."""
        ...
