"""IPv6 addresses of network interfaces: AssignIpv6Addresses, UnassignIpv6Addresses, and what other requests say of them.

An interface has them of its subnet's block; there are no others that stand for them outside. The first one is the primary one
where that was asked for, and stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import (
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    PrivateIpAddressLimitExceeded,
    UnsupportedOperation,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import network_interfaces, subnets
from eucapy.clc.store.ipv6_addresses import NoIpv6Block, canonical
from eucapy.database import Row


class Wanted(NamedTuple):
    """What a request wants for a new interface: addresses by name, and how many `further` ones; `primary`: the first one shall
    be the interface's for good."""

    named: tuple[str, ...] = ()
    further: int = 0
    primary: bool = False


@ec2.action("AssignIpv6Addresses")
async def assign_ipv6_addresses(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _required(call, p["NetworkInterfaceId"])
    _refuse_prefixes(p)
    named, count = list(dict.fromkeys(p.get("Ipv6Addresses") or ())), p.get("Ipv6AddressCount") or 0
    if named and count:
        raise _both()
    if not named and not count:
        raise MissingParameter(name="ipv6Addresses or ipv6AddressCount")
    _counted(count)
    _within_limit(len(row.ipv6s) + len(named) + count)
    subnet = await subnets.by_id(call.tx, call.account, row.subnet_id)
    assert subnet is not None, "a subnet stays while it has interfaces"
    got = await network_interfaces.add_ipv6s(call.tx, row, subnet, named, count)
    call.wake("cluster_sync")
    return {"NetworkInterfaceId": row.id, "AssignedIpv6Addresses": got, "AssignedIpv6Prefixes": []}


@ec2.action("UnassignIpv6Addresses")
async def unassign_ipv6_addresses(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _required(call, p["NetworkInterfaceId"])
    _refuse_prefixes(p)
    gone = [canonical(text) or text for text in dict.fromkeys(p.get("Ipv6Addresses") or ())]
    if not gone:
        raise MissingParameter(name="ipv6Addresses")
    if not set(gone) <= set(row.ipv6s):
        raise InvalidParameterValue(f"Some of the specified addresses are not assigned to interface {row.id}")
    if row.primary_ipv6 and row.ipv6s[0] in gone:
        raise InvalidParameterValue(f"Primary IPv6 address {row.ipv6s[0]} cannot be unassigned")
    await network_interfaces.remove_ipv6s(call.tx, row, gone)
    call.wake("cluster_sync")
    return {"NetworkInterfaceId": row.id, "UnassignedIpv6Addresses": gone, "UnassignedIpv6Prefixes": []}


async def set_primary(call: Call, row: Row, wanted: bool) -> None:
    """EnablePrimaryIpv6 of ModifyNetworkInterfaceAttribute; once it is on it stays."""
    if not wanted:
        if row.primary_ipv6:
            raise InvalidParameterValue("A primary IPv6 address cannot be disabled once it is enabled.")
        return
    if not row.ipv6s:
        raise InvalidParameterValue(f"Network interface {row.id} has no IPv6 address.")
    await network_interfaces.update(call.tx, row.id, primary_ipv6=True)


def parse(p: Mapping[str, Any], named: Sequence[str], primary: str) -> tuple[tuple[str, ...], int | None, bool]:
    """The addresses by name, the number asked for or None, and whether the first is to be primary; of a request, or of an
    interface of a launch, whose member for that is `primary`.

    Raises InvalidParameterCombination, InvalidParameterValue, PrivateIpAddressLimitExceeded.
    """
    count: int | None = p.get("Ipv6AddressCount")
    if named and count:
        raise _both()
    _counted(count or 0)
    _within_limit(len(named) + (count or 0))
    return tuple(named), count, bool(p.get(primary))


def settled(named: Sequence[str], count: int | None, primary: bool, subnet: Row) -> Wanted:
    """What it comes to in the subnet: where nothing was said, one address if the subnet says so. Raises InvalidParameterValue
    where there is no block, or no address to be primary."""
    if (named or count) and not subnet.cidr6:
        raise NoIpv6Block
    if not named and count is None:
        count = 1 if subnet.assign_ipv6 or (primary and subnet.cidr6) else 0
    if primary and not named and not count:
        raise NoIpv6Block
    return Wanted(tuple(named), count or 0, primary)


def wanted(p: Mapping[str, Any], subnet: Row) -> Wanted:
    """What CreateNetworkInterface asks for."""
    named = [each.get("Ipv6Address") or "" for each in p.get("Ipv6Addresses") or ()]
    return settled(*parse(p, named, "EnablePrimaryIpv6"), subnet)


def views(ipv6s: Sequence[str], primary: bool) -> list[dict[str, Any]]:
    """The addresses as EC2's list of NetworkInterfaceIpv6Address."""
    return [{"Ipv6Address": ip, "IsPrimaryIpv6": primary and position == 0} for position, ip in enumerate(ipv6s)]


async def _required(call: Call, interface_id: str) -> Row:
    row = await network_interfaces.by_id(call.tx, call.account, ids.check("eni", interface_id))
    if row is None:
        raise ids.missing("eni", [interface_id])
    return row


def _refuse_prefixes(p: Mapping[str, Any]) -> None:
    if p.get("Ipv6Prefixes") or p.get("Ipv6PrefixCount"):
        raise UnsupportedOperation("IPv6 prefixes are not supported.")


def _both() -> InvalidParameterCombination:
    return InvalidParameterCombination("Ipv6AddressCount cannot be specified together with Ipv6Addresses")


def _counted(count: int) -> None:
    if count < 0:
        raise InvalidParameterValue(f"Value ({count}) for parameter ipv6AddressCount is invalid.")


def _within_limit(count: int) -> None:
    if count > quotas.IPS_PER_INTERFACE:
        raise PrivateIpAddressLimitExceeded
