"""What these tests ask again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


def error(call: Callable[..., Any], **given: Any) -> tuple[str, str]:
    """Code and message of the refusal."""
    with pytest.raises(ClientError) as caught:
        call(**given)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def code(call: Callable[..., Any], **given: Any) -> str:
    return error(call, **given)[0]


def named(**values: str) -> list[dict[str, Any]]:
    """`named(vpc_id="vpc-1")` as Filters."""
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in values.items()]


def default_vpc(ec2: Any) -> str:
    (vpc,) = ec2.describe_vpcs(Filters=named(is_default="true"))["Vpcs"]
    return str(vpc["VpcId"])


def default_group(ec2: Any, vpc_id: str = "") -> str:
    wanted = named(group_name="default", vpc_id=vpc_id or default_vpc(ec2))
    (group,) = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
    return str(group["GroupId"])


def own_vpc(ec2: Any, cidr: str = "10.0.0.0/16") -> str:
    return str(ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"])


def subnet(ec2: Any, vpc_id: str, cidr: str = "10.0.1.0/24", zone: str = "us-east-1a") -> str:
    made = ec2.create_subnet(VpcId=vpc_id, CidrBlock=cidr, AvailabilityZone=zone)
    return str(made["Subnet"]["SubnetId"])


def gateway(ec2: Any, vpc_id: str) -> str:
    """An internet gateway, attached."""
    made = str(ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"])
    ec2.attach_internet_gateway(InternetGatewayId=made, VpcId=vpc_id)
    return made


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}
