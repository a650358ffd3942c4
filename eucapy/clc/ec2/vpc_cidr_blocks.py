"""Further CIDR blocks of a VPC, and its IPv6 blocks: AssociateVpcCidrBlock, DisassociateVpcCidrBlock.

Every route table of the VPC has a `local` route to each of its blocks. Which blocks go together: "VPC CIDR blocks" in the
VPC User Guide, "IPv4 CIDR block association restrictions".
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import blocks, vpc_peerings, vpcs
from eucapy.clc.ec2.errors import (
    CidrLimitExceeded,
    InvalidCidrBlockInUse,
    InvalidParameterCombination,
    InvalidVpcRange,
    MissingParameter,
    OperationNotPermitted,
    UnsupportedOperation,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import ipv6_blocks, route_tables, subnets, vpc_cidrs
from eucapy.clc.store import vpcs as vpc_rows
from eucapy.database import Row

_PRIVATE = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.19.0.0/16"))
_RESERVED = IPv4Network("172.31.0.0/16")
"""Of 172.16.0.0/12 this may not be added."""


@ec2.action("AssociateVpcCidrBlock")
async def associate_vpc_cidr_block(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The answer says `associating`: it is `associated` once this is committed."""
    vpc = await vpcs.required(call, p["VpcId"])
    if any(p.get(name) for name in vpcs.OWN_IPV6):
        raise UnsupportedOperation("IPv6 addresses of pools of your own are not supported.")
    vpcs.check_border_group(call, p)
    if p.get("AmazonProvidedIpv6CidrBlock"):
        if p.get("CidrBlock"):
            raise InvalidParameterCombination(
                "The parameter amazonProvidedIpv6CidrBlock cannot be used with the parameter cidrBlock"
            )
        return await _associate_ipv6(call, vpc)
    if not p.get("CidrBlock"):
        raise MissingParameter("Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.")
    block = blocks.ipv4(p["CidrBlock"])
    held = [IPv4Network(one) for one in await vpc_cidrs.blocks_of(call.tx, vpc)]
    if len(held) >= quotas.CIDRS_PER_VPC:
        raise CidrLimitExceeded(vpc=vpc.id, most=quotas.CIDRS_PER_VPC)
    if not vpcs.SHORTEST <= block.prefixlen <= vpcs.LONGEST:
        raise InvalidVpcRange(cidr=p["CidrBlock"])
    if any(block.overlaps(other) for other in held):
        raise InvalidVpcRange(f"The CIDR '{block}' conflicts with another CIDR block of the VPC.")
    if _restricted(held[0], block):
        raise InvalidVpcRange(
            f"The CIDR '{block}' is restricted. Use a CIDR from the same private address range as the current VPC CIDR, or "
            "use a publicly-routable CIDR. For additional restrictions, see "
            "https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Subnets.html"
        )
    if await vpc_peerings.overlapping(call, vpc.id, block):
        raise InvalidVpcRange(f"The CIDR '{block}' conflicts with a CIDR block of a peered VPC.")
    row = await vpc_cidrs.insert(call.tx, vpc.id, str(block), call.now)
    for table in await route_tables.of_vpc(call.tx, vpc.id):
        await route_tables.insert_route(call.tx, table.id, row.cidr, "local", "CreateRouteTable")
    call.wake("cluster_sync")
    return _answer(row, "associating")


@ec2.action("DisassociateVpcCidrBlock")
async def disassociate_vpc_cidr_block(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Refused for a VPC's first block, and while a subnet lies in the block."""
    association_id = ids.check("vpc-cidr-assoc", p["AssociationId"])
    six = await ipv6_blocks.by_id(call.tx, association_id)
    if six is not None:
        return await _disassociate_ipv6(call, six)
    row = await vpc_cidrs.by_id(call.tx, association_id)
    vpc = await vpc_rows.by_id(
        call.tx, call.account, row.vpc_id if row else vpc_rows.vpc_of_association(association_id)
    )
    if vpc is None:
        raise ids.missing("vpc-cidr-assoc", [association_id])
    if row is None:
        raise OperationNotPermitted(
            f"The vpc CIDR block with association ID {association_id} may not be disassociated. It is the primary IPv4 CIDR "
            "block of the VPC"
        )
    block = IPv4Network(row.cidr)
    if any(IPv4Network(subnet.cidr).subnet_of(block) for subnet in await subnets.of_vpc(call.tx, vpc.id)):
        raise InvalidCidrBlockInUse(vpc=vpc.id, block=row.cidr)
    for table in await route_tables.of_vpc(call.tx, vpc.id):
        await route_tables.remove_route(call.tx, table.id, row.cidr)
    await vpc_cidrs.remove(call.tx, association_id)
    call.wake("cluster_sync")
    return _answer(row, "disassociating")


async def _associate_ipv6(call: Call, vpc: Row) -> dict[str, Any]:
    if len(await ipv6_blocks.of_vpc(call.tx, vpc.id)) >= quotas.CIDRS_PER_VPC:
        raise CidrLimitExceeded(vpc=vpc.id, most=quotas.CIDRS_PER_VPC)
    row = await vpcs.give_ipv6(call, vpc)
    return {"VpcId": vpc.id, "Ipv6CidrBlockAssociation": vpcs.block6(call, row, "associating")}


async def _disassociate_ipv6(call: Call, row: Row) -> dict[str, Any]:
    """What ACLs and groups say of IPv6 stays."""
    vpc = await vpc_rows.by_id(call.tx, call.account, row.vpc_id)
    if vpc is None:
        raise ids.missing("vpc-cidr-assoc", [row.id])
    block = IPv6Network(row.cidr)
    held = [subnet.cidr6 for subnet in await subnets.of_vpc(call.tx, vpc.id) if subnet.cidr6]
    if any(IPv6Network(each).subnet_of(block) for each in held):
        raise InvalidCidrBlockInUse(vpc=vpc.id, block=row.cidr)
    for table in await route_tables.of_vpc(call.tx, vpc.id):
        await route_tables.remove_route(call.tx, table.id, row.cidr)
    await ipv6_blocks.remove(call.tx, row.id)
    call.wake("cluster_sync")
    return {"VpcId": vpc.id, "Ipv6CidrBlockAssociation": vpcs.block6(call, row, "disassociating")}


def _answer(row: Row, state: str) -> dict[str, Any]:
    return {
        "VpcId": row.vpc_id,
        "CidrBlockAssociation": {
            "AssociationId": row.id,
            "CidrBlock": row.cidr,
            "CidrBlockState": {"State": state},
        },
    }


def _restricted(first: IPv4Network, block: IPv4Network) -> bool:
    """A private block goes with first blocks of its own range alone."""
    if block.overlaps(_RESERVED):
        return True
    return any(block.overlaps(private) and not first.subnet_of(private) for private in _PRIVATE)
