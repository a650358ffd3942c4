"""NAT gateways: create, delete, describe. What leads to one: `route_tables.py`.

A gateway is an interface in its subnet, which nobody else may touch, with an elastic address. Which node translates is
decided by `reconcilers/nat_gateways.py`; a gateway that cannot work becomes `failed` there, as in EC2. A private gateway
leads to networks beyond the VPC that this cloud has not, so no packet passes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging, subnets
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    InvalidParameterValue,
    MissingParameter,
    NatGatewayLimitExceeded,
    ResourceAlreadyAssociated,
    UnsupportedOperation,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import addresses, nat_gateways, network_interfaces
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.advance import advance
from eucapy.database import Row
from eucapy.lifecycle import nat_gateway as life

_REFUSED = (
    "SecondaryAllocationIds",
    "SecondaryPrivateIpAddresses",
    "SecondaryPrivateIpAddressCount",
    "AvailabilityZoneAddresses",
)
_ADDRESS_STATUS = {life.PENDING: "associating", life.AVAILABLE: "succeeded", life.FAILED: "failed"}


@ec2.action("CreateNatGateway")
async def create_nat_gateway(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    for name in _REFUSED:
        if p.get(name):
            raise UnsupportedOperation(f"{name} is not supported.")
    if p.get("AvailabilityMode", "zonal") != "zonal":
        raise UnsupportedOperation("Regional NAT gateways are not supported.")
    if not p.get("SubnetId"):
        raise MissingParameter(name="subnetId")
    subnet = await subnets.required(call, p["SubnetId"])
    tags = tagging.from_specifications(p, "natgateway")
    connectivity = p.get("ConnectivityType") or nat_gateways.PUBLIC
    address = await _address(call, p, connectivity)
    if await nat_gateways.count_in(call.tx, call.account, subnet.zone) >= quotas.NAT_GATEWAYS_PER_ZONE:
        raise NatGatewayLimitExceeded(limit=quotas.NAT_GATEWAYS_PER_ZONE)
    gateway_id = nat_gateways.new_id()
    interface = await network_interfaces.create(
        call.tx,
        account=call.account,
        subnet=subnet,
        groups=[],
        description=f"Interface for NAT Gateway {gateway_id}",
        now=call.now,
        private_ip=p.get("PrivateIpAddress"),
        source_dest_check=False,
        nat_gateway_id=gateway_id,
    )
    association_id = ""
    if address is not None:
        association_id = await addresses.associate(call.tx, address, interface, interface.private_ip)
    row = await nat_gateways.insert(
        call.tx,
        gateway_id,
        interface=interface,
        connectivity=connectivity,
        address=address,
        association_id=association_id,
        now=call.now,
    )
    tag_set = await tagging.put(call, "natgateway", row.id, tags)
    call.wake("nat_gateways")
    out: dict[str, Any] = {"NatGateway": _view(row, tag_set)}
    if p.get("ClientToken"):
        out["ClientToken"] = p["ClientToken"]
    return out


@ec2.action("DeleteNatGateway")
async def delete_nat_gateway(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Routes to it stay, as black holes."""
    row = await nat_gateways.by_id(call.tx, call.account, ids.check("nat", p["NatGatewayId"]))
    if row is None:
        raise ids.missing("nat", [p["NatGatewayId"]])
    if life.NAT_GATEWAY.target(row.state, "delete"):
        await advance(call.tx, life.NAT_GATEWAY, row, "delete")
        call.wake("nat_gateways")
    return {"NatGatewayId": row.id}


@ec2.action("DescribeNatGateways")
async def describe_nat_gateways(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        {**p, "Filters": p.get("Filter")},
        page=nat_gateways.page,
        declared=nat_gateways.FILTERS,
        id_column=nat_gateways.nat_gateways.c.id,
        prefix="nat",
        member="NatGatewayIds",
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"NatGateways": [_view(row, tags.get(row.id, [])) for row in rows], **more}


async def _address(call: Call, p: Mapping[str, Any], connectivity: str) -> Row | None:
    """The elastic address that a public gateway needs and a private one must not have."""
    allocation_id = p.get("AllocationId")
    if connectivity == nat_gateways.PRIVATE:
        if allocation_id:
            raise InvalidParameterValue("AllocationId cannot be specified for a private NAT gateway.")
        return None
    if not allocation_id:
        raise MissingParameter(name="allocationId")
    row = await addresses.by_id(call.tx, call.account, ids.check("eipalloc", allocation_id))
    if row is None:
        raise ids.missing("eipalloc", [allocation_id])
    if row.interface_id:
        raise ResourceAlreadyAssociated(f"Elastic IP address [{row.id}] is already associated")
    return row


def _view(row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A row as EC2's NatGateway."""
    address: dict[str, Any] = {"NetworkInterfaceId": row.interface_id, "PrivateIp": row.private_ip, "IsPrimary": True}
    address["Status"] = _ADDRESS_STATUS.get(row.state, "disassociating")
    if row.public_ip:
        address.update(AllocationId=row.allocation_id, AssociationId=row.association_id, PublicIp=row.public_ip)
    view: dict[str, Any] = {
        "CreateTime": row.created_at,
        "NatGatewayAddresses": [address],
        "NatGatewayId": row.id,
        "State": row.state,
        "SubnetId": row.subnet_id,
        "VpcId": row.vpc_id,
        "Tags": tags,
        "ConnectivityType": row.connectivity,
    }
    if row.ended_at is not None:
        view["DeleteTime"] = row.ended_at
    if row.failure_code:
        view.update(FailureCode=row.failure_code, FailureMessage=row.failure_message)
    return view
