"""Route tables, routes and associations.

Two routes carry packets: `local`, which every table is born with, one a block, and 0.0.0.0/0 to the VPC's internet gateway,
which is what gives a subnet's public addresses their way out, or to a NAT gateway, behind whose address a whole subnet goes
out; of IPv6 ::/0 to the internet gateway or to an egress-only one. A third kind leads to a peering connection, by any
destination, and carries them once that is active; a prefix list may be such a destination, for all the blocks that it holds
at the time, and weighs in the table's limit as many routes as it may have entries.
Targets and destinations beyond these are refused; gateways of kinds that this cloud has not are NotFound, each with EC2's own
code.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import blocks, egress_only_gateways, internet_gateways, managed_prefix_lists, paging, subnets, vpcs
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.absent import refuse_absent
from eucapy.clc.ec2.errors import (
    DependencyViolation,
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidRouteNotFound,
    MissingParameter,
    ResourceAlreadyAssociated,
    RouteAlreadyExists,
    RouteLimitExceeded,
    RouteTableLimitExceeded,
    UnsupportedOperation,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import (
    instances,
    ipv6_blocks,
    nat_gateways,
    network_interfaces,
    route_tables,
    vpc_cidrs,
    vpc_peerings,
)
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store import vpcs as vpc_rows
from eucapy.database import Row
from eucapy.lifecycle.nat_gateway import HELD
from eucapy.lifecycle.vpc_peering_connection import LIVE

_MEMBERS = {
    "nat": "NatGatewayId",
    "pcx": "VpcPeeringConnectionId",
    "eigw": "EgressOnlyInternetGatewayId",
}
"""Where a route names its target, by the prefix of that; the others are GatewayId."""
_TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "EgressOnlyInternetGatewayId",
    "VpcEndpointId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "CoreNetworkArn",
    "OdbNetworkArn",
    "InstanceId",
    "NetworkInterfaceId",
)


@ec2.action("CreateRouteTable")
async def create_route_table(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    vpc = await vpcs.required(call, p["VpcId"])
    tags = tagging.from_specifications(p, "route-table")
    if len(await route_tables.of_vpc(call.tx, vpc.id)) >= quotas.ROUTE_TABLES_PER_VPC:
        raise RouteTableLimitExceeded
    row = await route_tables.insert(call.tx, account=call.account, vpc_id=vpc.id, vpc_cidr=vpc.cidr, now=call.now)
    further = (await vpc_cidrs.blocks_of(call.tx, vpc))[1:]
    for block in (*further, *(one.cidr for one in await ipv6_blocks.of_vpc(call.tx, vpc.id))):
        await route_tables.insert_route(call.tx, row.id, block, "local", "CreateRouteTable")
    await tagging.put(call, "route-table", row.id, tags)
    return {"RouteTable": (await _views(call, [row]))[0]}


@ec2.action("DeleteRouteTable")
async def delete_route_table(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["RouteTableId"])
    if await route_tables.associations_of(call.tx, [row.id]):
        raise DependencyViolation(f"The routeTable '{row.id}' has dependencies and cannot be deleted.")
    await route_tables.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    return {}


@ec2.action("DescribeRouteTables")
async def describe_route_tables(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=route_tables.page,
        declared=route_tables.FILTERS,
        id_column=route_tables.route_tables.c.id,
        prefix="rtb",
        member="RouteTableIds",
    )
    return {"RouteTables": await _views(call, rows), **more}


@ec2.action("CreateRoute")
async def create_route(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    table = await required(call, p["RouteTableId"])
    destination = await _destination(call, p)
    gateway_id = await _target(call, table, p)
    _refuse_family(destination, gateway_id)
    vpc = await vpc_rows.by_id(call.tx, call.account, table.vpc_id)
    assert vpc is not None, "a table's VPC cannot be deleted before it"
    held = (await route_tables.routes_of(call.tx, [table.id])).get(table.id, [])
    if any(row.destination == destination for row in held):
        raise RouteAlreadyExists(cidr=destination)
    if not route_tables.is_list(destination) and await _is_inside(call, vpc, destination):
        raise InvalidParameterValue(
            f"The destination CIDR block {destination} is equal to or more specific than one of this VPC's CIDR blocks. "
            "This route can target only an interface or an instance."
        )
    if not gateway_id.startswith("pcx-"):
        _refuse_narrow(destination)
    wanted = [destination, *(row.destination for row in held)]
    sizes = await route_tables.list_sizes(call.tx, wanted)
    ((family, _),) = route_tables.weights([destination], sizes).items()
    if route_tables.weights(wanted, sizes)[family] > quotas.ROUTES_PER_TABLE:
        raise RouteLimitExceeded
    await route_tables.insert_route(call.tx, table.id, destination, gateway_id)
    call.wake("cluster_sync")
    return {"Return": True}


@ec2.action("ReplaceRoute")
async def replace_route(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    table = await required(call, p["RouteTableId"])
    destination = await _destination(call, p)
    route = await route_tables.route(call.tx, table.id, destination)
    if route is None:
        raise InvalidParameterValue(
            f"There is no route defined for '{destination}' in the route table. Use CreateRoute instead."
        )
    if route.gateway_id == "local":
        if p.get("LocalTarget") or p.get("GatewayId") == "local":
            return {}
        raise UnsupportedOperation("The local route can have no other target.")
    gateway_id = await _target(call, table, p)
    _refuse_family(destination, gateway_id)
    if not gateway_id.startswith("pcx-"):
        _refuse_narrow(destination)
    await route_tables.replace_route(call.tx, table.id, destination, gateway_id)
    call.wake("cluster_sync")
    return {}


@ec2.action("DeleteRoute")
async def delete_route(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    table = await required(call, p["RouteTableId"])
    destination = await _destination(call, p)
    route = await route_tables.route(call.tx, table.id, destination)
    if route is None:
        member = "prefix-list-id" if route_tables.is_list(destination) else "cidr-block"
        raise InvalidRouteNotFound(member=member, destination=destination, table=table.id)
    if route.gateway_id == "local":
        raise InvalidParameterValue(f"cannot remove local route {destination} in route table {table.id}")
    await route_tables.remove_route(call.tx, table.id, destination)
    call.wake("cluster_sync")
    return {}


@ec2.action("AssociateRouteTable")
async def associate_route_table(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    table = await required(call, p["RouteTableId"])
    if p.get("GatewayId") or p.get("PublicIpv4Pool"):
        raise UnsupportedOperation("Route tables can be associated with subnets only.")
    if not p.get("SubnetId"):
        raise MissingParameter("Either 'subnetId' or 'gatewayId' must be specified")
    subnet = await subnets.required(call, p["SubnetId"])
    if subnet.vpc_id != table.vpc_id:
        raise InvalidParameterValue(f"Route table {table.id} and subnet {subnet.id} belong to different networks")
    held = await route_tables.association_of_subnet(call.tx, subnet.id)
    if held is not None:
        if held.route_table_id == table.id:
            return _associated("AssociationId", held.id)
        raise ResourceAlreadyAssociated(
            f"the specified association for route table {table.id} conflicts with an existing association"
        )
    call.wake("cluster_sync")
    return _associated("AssociationId", await route_tables.associate(call.tx, table.id, table.vpc_id, subnet.id))


@ec2.action("DisassociateRouteTable")
async def disassociate_route_table(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _association(call, p["AssociationId"])
    if row.subnet_id is None:
        raise InvalidParameterValue(f"cannot disassociate the main route table association {row.id}")
    await route_tables.disassociate(call.tx, row.id)
    call.wake("cluster_sync")
    return {}


@ec2.action("ReplaceRouteTableAssociation")
async def replace_route_table_association(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Moves a subnet, or the VPC's main association, to another table; the association gets a new id."""
    held = await _association(call, p["AssociationId"])
    table = await required(call, p["RouteTableId"])
    if held.vpc_id != table.vpc_id:
        raise InvalidParameterValue(f"Route table {table.id} and association {held.id} belong to different networks")
    await route_tables.disassociate(call.tx, held.id)
    call.wake("cluster_sync")
    return _associated(
        "NewAssociationId", await route_tables.associate(call.tx, table.id, table.vpc_id, held.subnet_id)
    )


async def required(call: Call, table_id: str) -> Row:
    """The caller's table; InvalidRouteTableID.NotFound."""
    row = await route_tables.by_id(call.tx, call.account, ids.check("rtb", table_id))
    if row is None:
        raise ids.missing("rtb", [table_id])
    return row


async def _association(call: Call, association_id: str) -> Row:
    row = await route_tables.association(call.tx, call.account, ids.check("rtbassoc", association_id))
    if row is None:
        raise ids.missing("rtbassoc", [association_id])
    return row


def _associated(member: str, association_id: str) -> dict[str, Any]:
    return {member: association_id, "AssociationState": {"State": "associated"}}


async def _destination(call: Call, p: Mapping[str, Any]) -> str:
    """The block or the prefix list that the request is about."""
    if p.get("DestinationPrefixListId"):
        for member in ("destinationCidrBlock", "destinationIpv6CidrBlock"):
            if p.get(member[:1].upper() + member[1:]):
                raise InvalidParameterCombination(
                    f"The parameter destinationPrefixListId cannot be used with the parameter {member}"
                )
        return str((await managed_prefix_lists.required(call, p["DestinationPrefixListId"])).id)
    if p.get("DestinationIpv6CidrBlock"):
        if p.get("DestinationCidrBlock"):
            raise InvalidParameterCombination(
                "The parameter destinationIpv6CidrBlock cannot be used with the parameter destinationCidrBlock"
            )
        return str(blocks.ipv6(p["DestinationIpv6CidrBlock"], "destination-ipv6-cidr-block"))
    if not p.get("DestinationCidrBlock"):
        raise MissingParameter(
            "The request must contain exactly one of destinationCidrBlock, destinationIpv6CidrBlock or "
            "destinationPrefixListId"
        )
    return str(blocks.ipv4(p["DestinationCidrBlock"], "destinationCidrBlock"))


async def _target(call: Call, table: Row, p: Mapping[str, Any]) -> str:
    """The internet gateway, NAT gateway or peering connection that the route leads to."""
    given = [name for name in _TARGETS if p.get(name)]
    if not given:
        raise MissingParameter(
            "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, "
            "vpcPeeringConnectionId, egressOnlyInternetGatewayId, transitGatewayId, localGatewayId, instanceId"
        )
    if len(given) > 1:
        raise InvalidParameterCombination(f"The parameter {given[1]} cannot be used with the parameter {given[0]}")
    name, value = given[0], p[given[0]]
    if name in ("InstanceId", "NetworkInterfaceId"):
        known = instances if name == "InstanceId" else network_interfaces
        prefix = "i" if name == "InstanceId" else "eni"
        if await known.by_id(call.tx, call.account, ids.check(prefix, value)) is None:
            raise ids.missing(prefix, [value])
        raise UnsupportedOperation("Routes to an instance or a network interface are not supported.")
    if name == "NatGatewayId":
        nat = await nat_gateways.by_id(call.tx, call.account, value)
        if nat is None or nat.state not in HELD:
            refuse_absent(name, value)
        if nat.vpc_id != table.vpc_id:
            raise InvalidParameterValue(f"route table {table.id} and NAT gateway {nat.id} belong to different networks")
        return str(nat.id)
    if name == "VpcPeeringConnectionId":
        peering = await vpc_peerings.by_id(call.tx, call.account, ids.check("pcx", value))
        if peering is None or peering.state not in LIVE:
            raise ids.missing("pcx", [value])
        if table.vpc_id not in (peering.requester_vpc, peering.accepter_vpc):
            raise InvalidParameterValue(
                f"route table {table.id} and vpc peering connection {peering.id} belong to different networks"
            )
        return str(peering.id)
    if name == "EgressOnlyInternetGatewayId":
        outgoing = await egress_only_gateways.required(call, value)
        if outgoing.vpc_id != table.vpc_id:
            raise InvalidParameterValue(
                f"route table {table.id} and egress-only internet gateway {outgoing.id} belong to different networks"
            )
        return str(outgoing.id)
    if name != "GatewayId" or value.startswith("vgw-"):
        refuse_absent("VpnGatewayId" if name == "GatewayId" else name, value)
    gateway = await internet_gateways.required(call, value)
    if gateway.vpc_id != table.vpc_id:
        raise InvalidParameterValue(
            f"route table {table.id} and network gateway {gateway.id} belong to different networks"
        )
    return str(gateway.id)


async def _is_inside(call: Call, vpc: Row, destination: str) -> bool:
    """Whether the destination is (a part of) a block of the VPC."""
    if ":" not in destination:
        wanted = ipaddress.IPv4Network(destination)
        own = await vpc_cidrs.blocks_of(call.tx, vpc)
        return any(wanted.subnet_of(ipaddress.IPv4Network(block)) for block in own)
    wanted6 = ipaddress.IPv6Network(destination)
    own6 = await ipv6_blocks.of_vpc(call.tx, vpc.id)
    return any(wanted6.subnet_of(ipaddress.IPv6Network(block.cidr)) for block in own6)


def _refuse_narrow(destination: str) -> None:
    if destination not in (route_tables.EVERYWHERE, route_tables.EVERYWHERE6):
        raise UnsupportedOperation("A gateway can be the target of a route to 0.0.0.0/0 or ::/0 only.")


def _refuse_family(destination: str, gateway_id: str) -> None:
    """An egress-only gateway carries IPv6 alone, NAT gateways here IPv4 alone; none of them a list."""
    if route_tables.is_list(destination):
        return
    kind, ipv6 = gateway_id.partition("-")[0], ":" in destination
    if kind == "eigw" and not ipv6:
        raise InvalidParameterValue(
            f"Invalid value '{destination}' for destinationCidrBlock. An egress-only internet gateway carries IPv6 only."
        )
    if kind == "nat" and ipv6:
        raise UnsupportedOperation("NAT gateways do not translate IPv6 (NAT64) in this region.")


async def _views(call: Call, rows: Sequence[Row]) -> list[dict[str, Any]]:
    wanted = [row.id for row in rows]
    routes = await route_tables.routes_of(call.tx, wanted)
    associations = await route_tables.associations_of(call.tx, wanted)
    tags = await tag_rows.of(call.tx, wanted)
    return [
        {
            "Associations": [_association_view(entry) for entry in associations.get(row.id, ())],
            "PropagatingVgws": [],
            "RouteTableId": row.id,
            "Routes": [
                {
                    _destination_member(route.destination): route.destination,
                    _MEMBERS.get(route.gateway_id.partition("-")[0], "GatewayId"): route.gateway_id,
                    "Origin": route.origin,
                    "State": "active" if route.active else "blackhole",
                }
                for route in routes.get(row.id, ())
            ],
            "Tags": tags.get(row.id, []),
            "VpcId": row.vpc_id,
            "OwnerId": row.account,
        }
        for row in rows
    ]


def _destination_member(destination: str) -> str:
    if route_tables.is_list(destination):
        return "DestinationPrefixListId"
    return "DestinationIpv6CidrBlock" if ":" in destination else "DestinationCidrBlock"


def _association_view(row: Row) -> dict[str, Any]:
    view: dict[str, Any] = {
        "Main": row.subnet_id is None,
        "RouteTableAssociationId": row.id,
        "RouteTableId": row.route_table_id,
        "AssociationState": {"State": "associated"},
    }
    if row.subnet_id is not None:
        view["SubnetId"] = row.subnet_id
    return view
