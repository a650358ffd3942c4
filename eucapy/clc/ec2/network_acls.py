"""DescribeNetworkAcls: the default ACL of each VPC, which holds all its subnets and lets everything through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import network_acls, subnets
from eucapy.clc.store import tags as tag_rows


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
    held: dict[str, list[str]] = {}
    for subnet in await subnets.of_vpcs(call.tx, [row.vpc_id for row in rows]):
        held.setdefault(subnet.vpc_id, []).append(subnet.id)
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    views = [
        {
            "Associations": [
                {
                    "NetworkAclAssociationId": network_acls.association_id(subnet_id),
                    "NetworkAclId": row.id,
                    "SubnetId": subnet_id,
                }
                for subnet_id in held.get(row.vpc_id, ())
            ],
            "Entries": network_acls.ENTRIES,
            "IsDefault": True,
            "NetworkAclId": row.id,
            "Tags": tags.get(row.id, []),
            "VpcId": row.vpc_id,
            "OwnerId": row.account,
        }
        for row in rows
    ]
    return {"NetworkAcls": views, **more}
