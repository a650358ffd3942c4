"""Network ACLs: create, delete, describe, and which of them guards a subnet. Their entries: `network_acl_entries.py`.

Packets are judged by the nodes, without memory, as they leave and enter a subnet: `eucanetd/compile/acls.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import network_acl_entries, paging, vpcs
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import DependencyViolation, InvalidParameterValue, NetworkAclLimitExceeded
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import network_acl_entries as entry_rows
from eucapy.clc.store import network_acls
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row


@ec2.action("CreateNetworkAcl")
async def create_network_acl(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """A new ACL guards nothing, and denies everything."""
    vpc = await vpcs.required(call, p["VpcId"])
    tags = tagging.from_specifications(p, "network-acl")
    if len(await network_acls.of_vpc(call.tx, vpc.id)) >= quotas.NETWORK_ACLS_PER_VPC:
        raise NetworkAclLimitExceeded
    row = await network_acls.insert(call.tx, account=call.account, vpc_id=vpc.id, now=call.now)
    await tagging.put(call, "network-acl", row.id, tags)
    return {"NetworkAcl": (await _views(call, [row]))[0]}


@ec2.action("DeleteNetworkAcl")
async def delete_network_acl(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await network_acl_entries.required_acl(call, p["NetworkAclId"])
    if row.is_default:
        raise InvalidParameterValue(f"cannot delete default network ACL {row.id}")
    if await network_acls.associations_of(call.tx, [row.id]):
        raise DependencyViolation(f"The networkAcl '{row.id}' has dependencies and cannot be deleted.")
    await network_acls.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    return {}


@ec2.action("ReplaceNetworkAclAssociation")
async def replace_network_acl_association(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Moves a subnet to another ACL of its VPC; the association gets a new id."""
    held = await network_acls.association(call.tx, call.account, ids.check("aclassoc", p["AssociationId"]))
    if held is None:
        raise ids.missing("aclassoc", [p["AssociationId"]])
    acl = await network_acl_entries.required_acl(call, p["NetworkAclId"])
    if acl.vpc_id != held.vpc_id:
        raise InvalidParameterValue(f"Network ACL {acl.id} and subnet {held.subnet_id} belong to different networks")
    await network_acls.disassociate(call.tx, held.subnet_id)
    call.wake("cluster_sync")
    return {"NewAssociationId": await network_acls.associate(call.tx, acl.id, held.subnet_id)}


@ec2.action("DescribeNetworkAcls")
async def describe_network_acls(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=network_acls.page,
        declared=network_acls.FILTERS,
        id_column=network_acls.network_acls.c.id,
        prefix="acl",
        member="NetworkAclIds",
    )
    return {"NetworkAcls": await _views(call, rows), **more}


async def _views(call: Call, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as EC2's NetworkAcl."""
    wanted = [row.id for row in rows]
    held = await network_acls.associations_of(call.tx, wanted)
    entries = await entry_rows.of_acls(call.tx, wanted)
    tags = await tag_rows.of(call.tx, wanted)
    return [
        {
            "Associations": [
                {
                    "NetworkAclAssociationId": one.id,
                    "NetworkAclId": row.id,
                    "SubnetId": one.subnet_id,
                }
                for one in held.get(row.id, ())
            ],
            "Entries": [network_acl_entries.view(entry) for entry in entries.get(row.id, ())],
            "IsDefault": row.is_default,
            "NetworkAclId": row.id,
            "Tags": tags.get(row.id, []),
            "VpcId": row.vpc_id,
            "OwnerId": row.account,
        }
        for row in rows
    ]
