"""The IPv6 block of a subnet, of which it has one at most: AssociateSubnetCidrBlock, DisassociateSubnetCidrBlock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import subnets, vpcs
from eucapy.clc.ec2.errors import (
    InvalidCidrBlockInUse,
    MissingParameter,
    SubnetCidrLimitExceeded,
    UnsupportedOperation,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import ipv6_addresses
from eucapy.clc.store import subnets as subnet_rows


@ec2.action("AssociateSubnetCidrBlock")
async def associate_subnet_cidr_block(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The answer says `associating`: it is `associated` once this is committed."""
    row = await subnets.required(call, p["SubnetId"])
    if p.get("Ipv6IpamPoolId") or p.get("Ipv6NetmaskLength"):
        raise UnsupportedOperation("IPv6 addresses of pools of your own are not supported.")
    if not p.get("Ipv6CidrBlock"):
        raise MissingParameter(name="ipv6CidrBlock")
    if row.cidr6:
        raise SubnetCidrLimitExceeded(subnet=row.id, most=1)
    block = await subnets.ipv6_block(call, await vpcs.required(call, row.vpc_id), p["Ipv6CidrBlock"])
    await subnet_rows.update(call.tx, row.id, cidr6=block, cidr6_association=ids.new("subnet-cidr-assoc"))
    row = await subnets.required(call, row.id)
    call.wake("cluster_sync")
    return {"SubnetId": row.id, "Ipv6CidrBlockAssociation": subnets.ipv6_association(row, "associating")}


@ec2.action("DisassociateSubnetCidrBlock")
async def disassociate_subnet_cidr_block(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Refused while an interface has an address of the block, or new ones get one."""
    association_id = ids.check("subnet-cidr-assoc", p["AssociationId"])
    row = await subnet_rows.by_association(call.tx, call.account, association_id)
    if row is None:
        raise ids.missing("subnet-cidr-assoc", [association_id])
    kept = f"The subnet IPv6 CIDR block with association ID {association_id} may not be disassociated"
    if row.assign_ipv6:
        raise InvalidCidrBlockInUse(f"{kept}, because its subnet has assign-ipv6-address-on-creation set to true.")
    if await ipv6_addresses.in_subnet(call.tx, row.id):
        raise InvalidCidrBlockInUse(f"{kept}. It contains addresses that are assigned to network interfaces.")
    await subnet_rows.update(call.tx, row.id, cidr6="", cidr6_association="")
    call.wake("cluster_sync")
    return {"SubnetId": row.id, "Ipv6CidrBlockAssociation": subnets.ipv6_association(row, "disassociating")}
