"""Subnets: create, delete, describe, and which addresses launches there get. Their IPv6 blocks: `subnet_cidr_blocks.py`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import blocks, paging, vpcs
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    DefaultSubnetAlreadyExistsInAvailabilityZone,
    DefaultVpcDoesNotExist,
    DependencyViolation,
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidSubnetConflict,
    InvalidSubnetRange,
    MissingParameter,
    SubnetLimitExceeded,
    UnsupportedOperation,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.zones import zone_for_subnet, zone_id_filter, zone_ids
from eucapy.clc.store import ipv6_blocks, network_interfaces, route_tables, subnet_reservations, subnets, vpc_cidrs
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store import vpcs as vpc_rows
from eucapy.clc.store.private_ips import RESERVED
from eucapy.database import Row

SUBNET_IPV6_LENGTH = 64
_FLAGS_THAT_STAY_OFF = {
    "MapCustomerOwnedIpOnLaunch": "mapCustomerOwnedIpOnLaunch",
    "EnableDns64": "enableDns64",
    "EnableResourceNameDnsARecordOnLaunch": "enableResourceNameDnsARecordOnLaunch",
    "EnableResourceNameDnsAAAARecordOnLaunch": "enableResourceNameDnsAAAARecordOnLaunch",
}
"""Outposts, NAT64 and names by resource do not exist here; switching them off is what already is."""


@ec2.action("CreateSubnet")
async def create_subnet(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Without a zone the one with the fewest subnets of the VPC is taken."""
    vpc = await vpcs.required(call, p["VpcId"])
    if p.get("Ipv6Native") or any(p.get(name) for name in ("Ipv6IpamPoolId", "Ipv6NetmaskLength")):
        raise UnsupportedOperation("Subnets without IPv4, and IPv6 addresses of pools of your own, are not supported.")
    if p.get("OutpostArn"):
        raise InvalidParameterValue(f"Value ({p['OutpostArn']}) for parameter outpostArn is invalid.")
    if not p.get("CidrBlock"):
        raise MissingParameter("Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.")
    block = blocks.ipv4(p["CidrBlock"])
    around = [ipaddress.IPv4Network(one) for one in await vpc_cidrs.blocks_of(call.tx, vpc)]
    fits = vpcs.SHORTEST <= block.prefixlen <= vpcs.LONGEST
    if not fits or not any(block.subnet_of(one) for one in around):
        raise InvalidSubnetRange(cidr=p["CidrBlock"])
    others = await subnets.of_vpc(call.tx, vpc.id)
    if any(block.overlaps(ipaddress.IPv4Network(other.cidr)) for other in others):
        raise InvalidSubnetConflict(cidr=p["CidrBlock"])
    block6 = await ipv6_block(call, vpc, p["Ipv6CidrBlock"]) if p.get("Ipv6CidrBlock") else ""
    zone = zone_for_subnet(call, p) or _emptiest(call.config.zones, others)
    tags = tagging.from_specifications(p, "subnet")
    if len(others) >= quotas.SUBNETS_PER_VPC:
        raise SubnetLimitExceeded
    row = await subnets.insert(
        call.tx, account=call.account, vpc_id=vpc.id, zone=zone, cidr=str(block), now=call.now, cidr6=block6
    )
    tag_set = await tagging.put(call, "subnet", row.id, tags)
    call.wake("cluster_sync")
    return {"Subnet": view(call, row, row.size - RESERVED, tag_set)}


@ec2.action("CreateDefaultSubnet")
async def create_default_subnet(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    zone = zone_for_subnet(call, p)
    if zone is None:
        raise MissingParameter(name="availabilityZone")
    vpc = await vpc_rows.default_of(call.tx, call.account)
    if vpc is None:
        raise DefaultVpcDoesNotExist
    existing = await subnets.default_for(call.tx, call.account, zone)
    if existing is not None:
        raise DefaultSubnetAlreadyExistsInAvailabilityZone(subnet=existing.id, zone=zone)
    row = await vpc_rows.ensure_default_subnet(call.tx, vpc, zone, call.now)
    if row is None:
        raise InvalidSubnetConflict(cidr=vpc.cidr)
    call.wake("cluster_sync")
    return {"Subnet": view(call, row, row.size - RESERVED, [])}


@ec2.action("DeleteSubnet")
async def delete_subnet(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["SubnetId"])
    if await network_interfaces.in_subnet(call.tx, row.id):
        raise DependencyViolation(f"The subnet '{row.id}' has dependencies and cannot be deleted.")
    association = await route_tables.association_of_subnet(call.tx, row.id)
    if association is not None:
        await route_tables.disassociate(call.tx, association.id)
    for reservation in await subnet_reservations.of_subnet(call.tx, row.id):
        await subnet_reservations.remove(call.tx, reservation.id)
        await tag_rows.remove(call.tx, reservation.id)
    await subnets.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    call.wake("cluster_sync")
    return {}


@ec2.action("DescribeSubnets")
async def describe_subnets(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    zone_filter = zone_id_filter(call, subnets.subnets.c.zone)
    rows, more = await paging.described(
        call,
        p,
        page=subnets.page,
        declared={**subnets.FILTERS, "availability-zone-id": zone_filter, "availabilityZoneId": zone_filter},
        id_column=subnets.subnets.c.id,
        prefix="subnet",
        member="SubnetIds",
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"Subnets": [view(call, row, row.free, tags.get(row.id, [])) for row in rows], **more}


@ec2.action("ModifySubnetAttribute")
async def modify_subnet_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """One attribute a request, as in EC2."""
    row = await required(call, p["SubnetId"])
    given = [name for name, value in p.items() if value is not None and name not in ("SubnetId", "DryRun")]
    if not given:
        raise MissingParameter("You must specify a subnet attribute to modify")
    if len(given) > 1:
        raise InvalidParameterCombination("Only one subnet attribute can be modified in one request")
    name = given[0]
    if name == "MapPublicIpOnLaunch":
        await subnets.update(call.tx, row.id, map_public_ip=bool(p[name].get("Value")))
    elif name == "AssignIpv6AddressOnCreation":
        await subnets.update(call.tx, row.id, assign_ipv6=_assigns_ipv6(row, bool(p[name].get("Value"))))
    elif name == "PrivateDnsHostnameTypeOnLaunch":
        if p[name] != "ip-name":
            raise UnsupportedOperation(f"Host names of the type {p[name]} are not supported.")
    elif name in _FLAGS_THAT_STAY_OFF:
        if p[name].get("Value"):
            raise InvalidParameterValue(f"Invalid value 'true' for {_FLAGS_THAT_STAY_OFF[name]}. It is not supported.")
    else:
        raise UnsupportedOperation(f"{name} is not supported.")
    return {}


def _assigns_ipv6(row: Row, wanted: bool) -> bool:
    if wanted and not row.cidr6:
        raise InvalidParameterValue(
            "Invalid value 'true' for assign-ipv6-address-on-creation. Cannot set assign-ipv6-address-on-creation to true "
            f"unless the subnet ({row.id}) has an IPv6 CIDR block associated with it."
        )
    return wanted


async def ipv6_block(call: Call, vpc: Row, text: str) -> str:
    """The canonical block that a subnet of the VPC may have: a /64 of one of the VPC's, which no other subnet touches. EC2
    allows shorter ones, up to /44, where a VPC has more than the region gives here."""
    block = blocks.ipv6(text, "ipv6-cidr-block")
    if block.prefixlen != SUBNET_IPV6_LENGTH:
        raise InvalidParameterValue(f"invalid value for parameter ipv6-cidr-block: {text}")
    around = [ipaddress.IPv6Network(one.cidr) for one in await ipv6_blocks.of_vpc(call.tx, vpc.id)]
    if not any(block.subnet_of(one) for one in around):
        raise InvalidSubnetRange(cidr=text)
    held = [other.cidr6 for other in await subnets.of_vpc(call.tx, vpc.id) if other.cidr6]
    if any(block.overlaps(ipaddress.IPv6Network(other)) for other in held):
        raise InvalidSubnetConflict(cidr=text)
    return str(block)


async def required(call: Call, subnet_id: str) -> Row:
    """The caller's subnet; InvalidSubnetID.NotFound."""
    row = await subnets.by_id(call.tx, call.account, ids.check("subnet", subnet_id))
    if row is None:
        raise ids.missing("subnet", [subnet_id])
    return row


def view(call: Call, row: Row, free: int, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A row as EC2's Subnet."""
    return {
        "AvailabilityZoneId": zone_ids(call).get(row.zone),
        "MapCustomerOwnedIpOnLaunch": False,
        "OwnerId": row.account,
        "AssignIpv6AddressOnCreation": row.assign_ipv6,
        "Ipv6CidrBlockAssociationSet": [ipv6_association(row)] if row.cidr6 else [],
        "Tags": tags,
        "SubnetArn": f"arn:aws:ec2:{call.region}:{row.account}:subnet/{row.id}",
        "EnableDns64": False,
        "Ipv6Native": False,
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": row.hostname_type,
            "EnableResourceNameDnsARecord": False,
            "EnableResourceNameDnsAAAARecord": False,
        },
        "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"},
        "SubnetId": row.id,
        "State": "available",
        "VpcId": row.vpc_id,
        "CidrBlock": row.cidr,
        "AvailableIpAddressCount": free,
        "AvailabilityZone": row.zone,
        "DefaultForAz": row.is_default,
        "MapPublicIpOnLaunch": row.map_public_ip,
    }


def ipv6_association(row: Row, state: str = "associated") -> dict[str, Any]:
    """The IPv6 block of a row as EC2's SubnetIpv6CidrBlockAssociation."""
    return {
        "AssociationId": row.cidr6_association,
        "Ipv6CidrBlock": row.cidr6,
        "Ipv6CidrBlockState": {"State": state},
        "Ipv6AddressAttribute": "public",
        "IpSource": "amazon",
    }


def _emptiest(zones: Sequence[str], taken: Sequence[Row]) -> str:
    count = dict.fromkeys(zones, 0)
    for row in taken:
        if row.zone in count:
            count[row.zone] += 1
    return min(zones, key=lambda zone: count[zone])
