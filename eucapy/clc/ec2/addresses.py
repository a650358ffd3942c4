"""Elastic addresses: AllocateAddress, ReleaseAddress, AssociateAddress, DisassociateAddress, DescribeAddresses.

An association is a row; the node's one-to-one translation follows through `cluster_sync`. An interface that was launched
with an automatic address loses it to an elastic one and gets a new one when that leaves it, as in EC2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    AddressInUse,
    AddressLimitExceeded,
    GatewayNotAttached,
    InsufficientAddressCapacity,
    InvalidAddressNotFound,
    InvalidInstanceID,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    OperationNotPermitted,
    ResourceAlreadyAssociated,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import (
    addresses,
    filters,
    instances,
    internet_gateways,
    network_interfaces,
    public_ips,
    public_ranges,
)
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.free_numbers import holds
from eucapy.clc.store.tags import tag_filter
from eucapy.database import Row
from eucapy.lifecycle import instance as life


@ec2.action("AllocateAddress")
async def allocate_address(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """`Address` asks for one certain address of the pool."""
    if p.get("Domain") == "standard":
        raise InvalidParameterValue("Value (standard) for parameter domain is invalid. Only vpc is supported.")
    tags = tagging.from_specifications(p, "elastic-ip")
    for name in ("PublicIpv4Pool", "CustomerOwnedIpv4Pool", "IpamPoolId"):
        if p.get(name) and p[name] != "amazon":
            raise InvalidParameterValue(f"The pool '{p[name]}' does not exist")
    _check_border_group(call, p)
    if await addresses.count(call.tx, call.account) >= quotas.ELASTIC_ADDRESSES:
        raise AddressLimitExceeded
    ip = await _certain(call, p["Address"]) if p.get("Address") else None
    ip = ip or await public_ips.free(call.tx, call.config.public_ranges)
    if ip is None:
        raise InsufficientAddressCapacity
    row = await addresses.allocate(call.tx, account=call.account, ip=ip, now=call.now)
    await tag_rows.put(call.tx, call.account, "elastic-ip", row.id, tags)
    return {
        "AllocationId": row.id,
        "PublicIpv4Pool": "amazon",
        "NetworkBorderGroup": call.region,
        "Domain": "vpc",
        "PublicIp": row.ip,
    }


@ec2.action("ReleaseAddress")
async def release_address(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    _check_border_group(call, p)
    row = await _address(call, p)
    if row.interface_id:
        raise AddressInUse(ip=row.ip)
    await addresses.release(call.tx, row.id)
    return {}


@ec2.action("AssociateAddress")
async def associate_address(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """An address that is associated elsewhere moves, unless `AllowReassociation` is false."""
    row = await _address(call, p)
    interface = await _target(call, p)
    private_ip = p.get("PrivateIpAddress") or interface.private_ip
    if private_ip not in (interface.private_ip, *interface.secondary_ips):
        raise InvalidParameterValue(
            f"Value ({private_ip}) for parameter privateIpAddress is invalid. "
            f"The address is not assigned to interface {interface.id}."
        )
    if await internet_gateways.of_vpc(call.tx, interface.vpc_id) is None:
        raise GatewayNotAttached(f"Network {interface.vpc_id} is not attached to any internet gateway")
    if row.interface_id == interface.id and row.private_ip == private_ip:
        return {"AssociationId": row.association_id}
    if p.get("AllowReassociation") is False:
        if row.interface_id:
            raise ResourceAlreadyAssociated(
                f"resource {row.id} is already associated with associate-id {row.association_id}"
            )
        for other in (await public_ips.of_interfaces(call.tx, [interface.id])).get(interface.id, ()):
            if other.elastic and other.private_ip == private_ip:
                raise ResourceAlreadyAssociated(
                    f"resource {interface.id} is already associated with associate-id {other.association_id}"
                )
    left = row.interface_id
    await _refuse_gateways(call, left, interface.id)
    association_id = await addresses.associate(call.tx, row, interface, private_ip)
    if left and left != interface.id:
        await _automatic_again(call, left)
    call.wake("cluster_sync")
    return {"AssociationId": association_id}


@ec2.action("DisassociateAddress")
async def disassociate_address(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """An address that is not associated is none of EC2's errors when it is named by its IP."""
    if p.get("AssociationId"):
        if p.get("PublicIp"):
            raise InvalidParameterCombination(
                "You may specify public IP or association id, but not both in the same call"
            )
        association_id = ids.check("eipassoc", p["AssociationId"])
        row = await addresses.by_association(call.tx, call.account, association_id)
        if row is None:
            raise ids.missing("eipassoc", [association_id])
    elif p.get("PublicIp"):
        row = await _by_ip(call, p["PublicIp"])
    else:
        raise MissingParameter("Either PublicIp or AssociationId must be specified")
    if row.interface_id:
        await _refuse_gateways(call, row.interface_id)
        await addresses.disassociate(call.tx, row)
        await _automatic_again(call, row.interface_id)
        call.wake("cluster_sync")
    return {}


@ec2.action("DescribeAddresses")
async def describe_addresses(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    declared = {**addresses.FILTERS, "network-border-group": filters.constant(call.region)}
    table = public_ips.public_ips
    conditions = filters.where(declared, p.get("Filters"), tags=tag_filter(table.c.id))
    for allocation_id in dict.fromkeys(p.get("AllocationIds") or ()):
        if await addresses.by_id(call.tx, call.account, ids.check("eipalloc", allocation_id)) is None:
            raise ids.missing("eipalloc", [allocation_id])
    for ip in p.get("PublicIps") or ():
        await _by_ip(call, ip)
    if p.get("AllocationIds"):
        conditions.append(table.c.id.in_(p["AllocationIds"]))
    if p.get("PublicIps"):
        conditions.append(table.c.ip.in_(p["PublicIps"]))
    rows = await addresses.find(call.tx, call.account, conditions)
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"Addresses": [_view(call, row, tags.get(row.id, ())) for row in rows]}


@ec2.action("DescribeAddressesAttribute")
async def describe_addresses_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The addresses that have a reverse DNS name of the account's own: nobody can set one, so the set is empty."""
    _, token = paging.bounds(p, low=1)
    for allocation_id in p.get("AllocationIds") or ():
        if await addresses.by_id(call.tx, call.account, ids.check("eipalloc", allocation_id)) is None:
            raise ids.missing("eipalloc", [allocation_id])
    paging.position(call, token)
    return {"Addresses": []}


def _view(call: Call, row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    view: dict[str, Any] = {"AllocationId": row.id, "Domain": "vpc"}
    if row.interface_id:
        view.update(
            AssociationId=row.association_id,
            NetworkInterfaceId=row.interface_id,
            NetworkInterfaceOwnerId=row.interface_account,
            PrivateIpAddress=row.private_ip,
        )
    if tags:
        view["Tags"] = tags
    if row.instance_id:
        view["InstanceId"] = row.instance_id
    view.update(PublicIpv4Pool="amazon", NetworkBorderGroup=call.region, PublicIp=row.ip)
    return view


def _check_border_group(call: Call, p: Mapping[str, Any]) -> None:
    group = p.get("NetworkBorderGroup")
    if group and group != call.region:
        raise InvalidParameterValue(f"Value ({group}) for parameter networkBorderGroup is invalid.")


async def _certain(call: Call, text: str) -> str:
    try:
        number = int(ipaddress.IPv4Address(text))
    except ValueError:
        raise InvalidParameterValue(f"Value ({text}) for parameter address is invalid.") from None
    if not holds(public_ranges.spans(call.config.public_ranges), number):
        raise InvalidAddressNotFound(ip=text)
    if await public_ips.by_ip(call.tx, text) is not None:
        raise AddressInUse(ip=text)
    return text


async def _address(call: Call, p: Mapping[str, Any]) -> Row:
    """The elastic address that `AllocationId` or `PublicIp` names."""
    allocation_id, ip = p.get("AllocationId"), p.get("PublicIp")
    if allocation_id and ip:
        raise InvalidParameterCombination("You may specify public IP or allocation id, but not both in the same call")
    if allocation_id:
        row = await addresses.by_id(call.tx, call.account, ids.check("eipalloc", allocation_id))
        if row is None:
            raise ids.missing("eipalloc", [allocation_id])
        return row
    if ip:
        return await _by_ip(call, ip)
    raise MissingParameter("Either PublicIp or AllocationId must be specified")


async def _by_ip(call: Call, ip: str) -> Row:
    row = await public_ips.by_ip(call.tx, ip)
    if row is None or not row.elastic or row.account != call.account:
        raise InvalidAddressNotFound(ip=ip)
    return row


async def _target(call: Call, p: Mapping[str, Any]) -> Row:
    """The interface that `NetworkInterfaceId` names, or the only one of `InstanceId`."""
    interface_id, instance_id = p.get("NetworkInterfaceId"), p.get("InstanceId")
    if interface_id:
        if instance_id:
            raise InvalidParameterCombination(
                "You may specify either a network interface ID or an instance ID, but not both in the same call"
            )
        row = await network_interfaces.by_id(call.tx, call.account, ids.check("eni", interface_id))
        if row is None:
            raise ids.missing("eni", [interface_id])
        return row
    if not instance_id:
        raise MissingParameter("Either NetworkInterfaceId or InstanceId must be specified")
    instance = await instances.by_id(call.tx, call.account, ids.check("i", instance_id))
    if instance is None:
        raise ids.missing("i", [instance_id])
    if instance.state not in (life.RUNNING, life.STOPPING, life.STOPPED):
        raise InvalidInstanceID(
            f"The {instance.state} instance '{instance_id}' is not in a valid state for this operation."
        )
    found = (await network_interfaces.of_instances(call.tx, [instance_id])).get(instance_id, [])
    if not found:
        raise InvalidInstanceID(f"The instance '{instance_id}' has no network interface.")
    if len(found) > 1:
        raise InvalidInstanceID(
            f"There are multiple interfaces attached to instance '{instance_id}'. "
            "Please specify an interface ID for the operation instead."
        )
    return found[0]


async def _refuse_gateways(call: Call, *interface_ids: str) -> None:
    """The interface of a NAT gateway is EC2's own to change."""
    for interface_id in filter(None, interface_ids):
        interface = await network_interfaces.by_id(call.tx, call.account, interface_id)
        if interface is not None and interface.nat_gateway_id:
            raise OperationNotPermitted("You do not have permission to access the specified resource.")


async def _automatic_again(call: Call, interface_id: str) -> None:
    """The interface of a running instance that was launched with an automatic address gets one anew."""
    interface = await network_interfaces.by_id(call.tx, call.account, interface_id)
    if interface is None or not interface.instance_id:
        return
    instance = await instances.by_id(call.tx, call.account, interface.instance_id)
    if instance is not None and instance.state in (life.PENDING, life.RUNNING):
        await addresses.assign_auto(call.tx, interface_id, call.config.public_ranges, call.now)
