"""DescribeAccountAttributes: what the account may have, and its default VPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameterValue
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import vpcs


# The model's enum has two of the six names that EC2 knows.
@ec2.action("DescribeAccountAttributes", unchecked=("AttributeNames",))
async def describe_account_attributes(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    vpc = await vpcs.default_of(call.tx, call.account)
    known = {
        "vpc-max-security-groups-per-interface": quotas.GROUPS_PER_INTERFACE,
        "max-instances": quotas.INSTANCES,
        "supported-platforms": "VPC",
        "default-vpc": vpc.id if vpc is not None else "none",
        "max-elastic-ips": quotas.ELASTIC_ADDRESSES,
        "vpc-max-elastic-ips": quotas.ELASTIC_ADDRESSES,
    }
    wanted = p.get("AttributeNames") or list(known)
    for name in wanted:
        if name not in known:
            raise InvalidParameterValue(f"Value ({name}) for parameter attributeName is invalid. Unknown attribute.")
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": str(known[name])}]} for name in wanted
        ]
    }
