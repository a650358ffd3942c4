"""Whatever the parameters of a request, its answer is never a fault of ours; and none touches or shows what another
account has."""

from __future__ import annotations

import collections
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from eucapy.clc.ec2 import load
from eucapy.ids import KINDS
from tests.clc.chance import Chance
from tests.clc.launching import image, launch
from tests.harness.cloud import Cloud

SEED = 23
ROUNDS = 5
ZONE = "us-east-1a"
DESCRIPTIONS = {
    "describe_instances": "Reservations", "describe_volumes": "Volumes", "describe_snapshots": "Snapshots",
    "describe_images": "Images", "describe_security_groups": "SecurityGroups", "describe_key_pairs": "KeyPairs",
    "describe_security_group_rules": "SecurityGroupRules", "describe_vpcs": "Vpcs", "describe_subnets": "Subnets",
    "describe_network_interfaces": "NetworkInterfaces", "describe_addresses": "Addresses",
    "describe_route_tables": "RouteTables", "describe_internet_gateways": "InternetGateways",
    "describe_network_acls": "NetworkAcls", "describe_dhcp_options": "DhcpOptions", "describe_tags": "Tags",
}  # fmt: skip


def world(cloud: Cloud, account: str) -> dict[str, Any]:
    """All that an account is shown of its own."""
    ec2 = cloud.client("ec2", account)
    own: dict[str, Any] = {}
    for name, member in DESCRIPTIONS.items():
        asked: dict[str, Any] = {}
        if name == "describe_images":
            asked = {"Owners": ["self"]}
        if name == "describe_snapshots":
            asked = {"OwnerIds": ["self"]}
        own[member] = getattr(ec2, name)(**asked)[member]
    return own


def furnish(cloud: Cloud, account: str) -> None:
    """One of everything, marked with the account's name."""
    ec2 = cloud.client("ec2", account)
    ec2.create_key_pair(KeyName=f"key-of-{account}")
    (instance_id,) = launch(cloud, image(cloud, f"image-of-{account}", account), account=account)
    volume_id = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    cloud.settle()
    ec2.create_snapshot(VolumeId=volume_id, Description=f"snapshot of {account}")
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdf")
    spare = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    vpc_id = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet_id = ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.0.1.0/24", AvailabilityZone=ZONE)["Subnet"]["SubnetId"]
    group_id = ec2.create_security_group(VpcId=vpc_id, GroupName=f"group-of-{account}", Description="-")["GroupId"]
    ec2.create_network_interface(SubnetId=subnet_id, Groups=[group_id], Description=f"interface of {account}")
    ec2.create_internet_gateway()
    ec2.create_route_table(VpcId=vpc_id)
    ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": [f"{account}.example"]}])
    ec2.allocate_address(Domain="vpc")
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.associate_address(AllocationId=allocation, InstanceId=instance_id)
    ec2.create_tags(Resources=[spare, instance_id, group_id], Tags=[{"Key": "k", "Value": f"tag of {account}"}])
    cloud.settle()


def ids_of(own: Any) -> dict[str, list[str]]:
    """Every id in a description, by its prefix, and the names and addresses by which resources are called too."""
    found: dict[str, set[str]] = collections.defaultdict(set)

    def walk(node: Any, member: str = "") -> None:
        if isinstance(node, dict):
            for key, below in node.items():
                walk(below, key)
        elif isinstance(node, list):
            for below in node:
                walk(below, member)
        elif isinstance(node, str):
            if member in ("KeyName", "GroupName"):
                found[member.lower()].add(node)
            elif member == "PublicIp":
                found["ip"].add(node)
            elif member.endswith(("Id", "Ids")) and "-" in node and node != "default":
                prefix = node.rpartition("-")[0]
                found["association" if "assoc" in prefix else prefix].add(node)

    walk(own)
    return {kind: sorted(values) for kind, values in found.items()}


@pytest.mark.timeout(600)
def test_no_request_is_a_fault_of_ours_nor_reaches_another_account(cloud: Cloud) -> None:
    for account in ("victim", "stranger"):
        furnish(cloud, account)
    before = world(cloud, "victim")
    theirs, own = ids_of(before), ids_of(world(cloud, "stranger"))
    secret = {one for kind, many in theirs.items() if kind in KINDS for one in many}
    known = {kind: [*own.get(kind, ()), *theirs.get(kind, ())] for kind in {*own, *theirs}}
    ec2 = cloud.client("ec2", "stranger")
    chance = Chance(SEED, known)
    model = ec2.meta.service_model
    faults: list[str] = []
    seen: collections.Counter[str] = collections.Counter()
    for _ in range(ROUNDS):
        for action in load().actions():
            given = chance.parameters(model.operation_model(action).input_shape)
            try:
                answer = ec2._make_api_call(action, given)
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                seen[error.response["Error"]["Code"]] += 1
                if status >= 500 and error.response["Error"]["Code"] != "InsufficientInstanceCapacity":
                    faults.append(f"{action} {shown(given)}: {error}")
                continue
            except (ParamValidationError, AttributeError, TypeError, ValueError, RuntimeError):
                continue  # botocore cannot say it, or its signer (a RuntimeError) cannot sign it
            seen["answered"] += 1
            told = json.dumps({k: v for k, v in answer.items() if k != "ResponseMetadata"}, default=str)
            if any(one in told for one in secret) or " of victim" in told:
                faults.append(f"{action} {shown(given)} answers of another's: {told[:600]}")
        cloud.settle()
    assert not faults, "\n".join(faults)
    assert seen["answered"] > 50, seen
    assert world(cloud, "victim") == before


def shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) < 1500 else f"{text[:1500]}… ({len(text)} characters)"
