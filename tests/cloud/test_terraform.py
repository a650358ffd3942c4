"""Terraform's AWS provider against the whole cloud: it makes a small world, finds nothing to change, and takes it down.

The provider is some hundred megabytes, so it is never fetched from here: EUCAPY_TERRAFORM_PLUGINS names a folder that
holds it, as `terraform providers mirror` writes one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.run import Result, run_now
from tests.harness.cloud import Cloud

WORLD = Path(__file__).parent / "terraform" / "main.tf"
Terraform = Callable[..., Result]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud that moves by itself: Terraform waits for states."""
    with Cloud(tmp_path / "cloud", stepped=False) as cloud:
        yield cloud


@pytest.fixture
def terraform(running: Cloud, tmp_path: Path) -> Terraform:
    mirror = os.environ.get("EUCAPY_TERRAFORM_PLUGINS")
    if shutil.which("terraform") is None or not mirror:
        pytest.skip("needs terraform, and EUCAPY_TERRAFORM_PLUGINS with the AWS provider")
    folder, keys = tmp_path / "terraform", running.account("eucalyptus")
    folder.mkdir()
    shutil.copy(WORLD, folder)
    environment = {
        "AWS_ACCESS_KEY_ID": keys["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_access_key"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": os.devnull,
        "TF_IN_AUTOMATION": "1",
        "TF_VAR_endpoint": running.endpoint,
    }

    def run(*words: str, check: bool = True) -> Result:
        return run_now("terraform", f"-chdir={folder}", *words, env=environment, timeout_s=600, check=check)

    run("init", "-no-color", f"-plugin-dir={mirror}")
    return run


def ids(ec2: Any) -> set[str]:
    """Everything of the network that the account has."""
    return {
        *(entry["VpcId"] for entry in ec2.describe_vpcs()["Vpcs"]),
        *(entry["SubnetId"] for entry in ec2.describe_subnets()["Subnets"]),
        *(entry["GroupId"] for entry in ec2.describe_security_groups()["SecurityGroups"]),
        *(entry["RouteTableId"] for entry in ec2.describe_route_tables()["RouteTables"]),
        *(entry["InternetGatewayId"] for entry in ec2.describe_internet_gateways()["InternetGateways"]),
        *(entry["NetworkInterfaceId"] for entry in ec2.describe_network_interfaces()["NetworkInterfaces"]),
        *(entry["AllocationId"] for entry in ec2.describe_addresses()["Addresses"]),
    }


@pytest.mark.timeout(1200)
def test_a_world_is_made_is_found_as_it_was_made_and_goes(running: Cloud, terraform: Terraform) -> None:
    ec2 = running.client("ec2")
    before = ids(ec2)
    terraform("apply", "-no-color", "-input=false", "-auto-approve")
    (reservation,) = ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["web"]}])["Reservations"]
    (address,) = ec2.describe_addresses()["Addresses"]
    assert reservation["Instances"][0]["PublicIpAddress"] == address["PublicIp"]
    assert terraform("plan", "-no-color", "-input=false", "-detailed-exitcode", check=False).status == 0
    terraform("destroy", "-no-color", "-input=false", "-auto-approve")
    assert ids(ec2) == before
    left = {entry["ResourceType"] for entry in ec2.describe_tags()["Tags"]}
    assert left <= {"instance"}, "a terminated instance keeps its tags for as long as it is shown"
