"""What nodes saw, as the lines of one flow log. Pure.

    windows of a node ─► those of what the log is about ─► records (NODATA where there are none, SKIPDATA where some are
                                                            missing) ─► lines of the log's fields

The IPv4 address of an interface is always told as its primary one; the packet's own stands beside it. Source: "Flow log
records", VPC user guide.
"""

from __future__ import annotations

import gzip
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eucapy.clc import flow_fields
from eucapy.wire.flows import FlowInterface, FlowRecord, FlowWindow

_ACTIONS = {"ACCEPT": (False,), "REJECT": (True,), "ALL": (False, True)}
IN_VPC, PEERED, INTERNET = 1, 4, 8
"""Of traffic-path."""

Blocks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


@dataclass(frozen=True)
class Surroundings:
    """What rows know: `az_ids` by subnet; the address blocks of VPCs and of their active peers; `elsewhere` the interfaces
    that a node knows by VPC and address alone."""

    region: str
    az_ids: Mapping[str, str] = field(default_factory=dict)
    blocks: Mapping[str, Blocks] = field(default_factory=dict)
    peers: Mapping[str, Blocks] = field(default_factory=dict)
    elsewhere: Mapping[tuple[str, str], FlowInterface] = field(default_factory=dict)


def content(log: Any, windows: Sequence[FlowWindow], around: Surroundings) -> bytes:
    """The file of a flow log (a row), compressed, and always the same for the same; nothing where it has no line."""
    names = flow_fields.fields(log.log_format)
    found = [flow_fields.line(names, known) for window in windows for known in _known(log, names, window, around)]
    if not found:
        return b""
    text = "\n".join([flow_fields.header(names), *found, ""])
    return gzip.compress(text.encode(), mtime=0)


def _known(log: Any, names: Sequence[str], window: FlowWindow, around: Surroundings) -> Iterator[Mapping[str, object]]:
    """What is known of each line of a window."""
    if window.end <= log.created_at:
        return
    interfaces = {one.interface_id: one for one in window.interfaces if _is_about(log, one)}
    wanted = _ACTIONS[log.traffic_type]
    silent = dict(interfaces)
    version = flow_fields.version(names)
    for record in window.records:
        interface = interfaces.get(record.owner) or around.elsewhere.get((record.owner, record.target))
        if interface is None or not _is_about(log, interface):
            continue
        silent.pop(interface.interface_id, None)
        if record.refused in wanted:
            known = {**_of_window(log, version, window, interface, around), **_of_record(record, interface, around)}
            yield {**known, "log-status": "OK"}
    for interface in interfaces.values():
        known = _of_window(log, version, window, interface, around)
        if interface.vpc_id in window.skipped:
            yield {**known, "log-status": "SKIPDATA"}
        elif interface.interface_id in silent:
            yield {**known, "log-status": "NODATA"}


def _is_about(log: Any, interface: FlowInterface) -> bool:
    return log.resource_id in (interface.interface_id, interface.subnet_id, interface.vpc_id)


def _of_window(
    log: Any, version: str, window: FlowWindow, interface: FlowInterface, around: Surroundings
) -> dict[str, object]:
    return {
        "version": version,
        "account-id": log.account,
        "interface-id": interface.interface_id,
        "start": window.begin,
        "end": window.end,
        "vpc-id": interface.vpc_id,
        "subnet-id": interface.subnet_id,
        "instance-id": interface.instance_id or flow_fields.UNKNOWN,
        "region": around.region,
        "az-id": around.az_ids.get(interface.subnet_id, flow_fields.UNKNOWN),
    }


def _of_record(record: FlowRecord, interface: FlowInterface, around: Surroundings) -> dict[str, object]:
    of6 = ":" in record.source
    known: dict[str, object] = {
        "srcaddr": record.source if record.received or of6 else interface.address,
        "dstaddr": interface.address if record.received and not of6 else record.target,
        "srcport": record.source_port,
        "dstport": record.target_port,
        "protocol": record.protocol,
        "packets": record.packets,
        "bytes": record.bytes,
        "action": "REJECT" if record.refused else "ACCEPT",
        "tcp-flags": record.tcp_flags,
        "type": "IPv6" if of6 else "IPv4",
        "pkt-srcaddr": record.source,
        "pkt-dstaddr": record.target,
        "flow-direction": "ingress" if record.received else "egress",
    }
    if not record.received and not record.refused:
        known["traffic-path"] = _path(record.target, interface.vpc_id, around)
    return known


def _path(target: str, vpc_id: str, around: Surroundings) -> int:
    """The way that what is sent takes."""
    address = ipaddress.ip_address(target)
    if any(address in block for block in around.blocks.get(vpc_id, ())):
        return IN_VPC
    if any(address in block for block in around.peers.get(vpc_id, ())):
        return PEERED
    return INTERNET
