"""The account's limit on virtual processors that run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clc.launching import error, image, launch, state
from tests.harness.cloud import Cloud

LIMIT = 4


@pytest.fixture
def small(tmp_path: Path, new_database: Any) -> Iterator[Cloud]:
    """A cloud whose accounts may have four virtual processors each."""
    with new_database() as url, Cloud(tmp_path / "cloud", database=url, vcpus_per_account=LIMIT) as running:
        yield running


def asked(ami: str, least: int, most: int, kind: str = "t2.micro") -> dict[str, Any]:
    return {"ImageId": ami, "MinCount": least, "MaxCount": most, "InstanceType": kind}


def test_more_than_the_limit_is_refused_whatever_runs(small: Cloud) -> None:
    ec2, ami = small.client("ec2"), image(small)
    code, message = error(ec2.run_instances, **asked(ami, 1, 10**9))
    assert code == "VcpuLimitExceeded"
    assert message.startswith("You have requested more vCPU capacity than your current vCPU limit of 4 allows")
    assert error(ec2.run_instances, **asked(ami, 1, 1, "m5.2xlarge"))[0] == "VcpuLimitExceeded"
    assert ec2.describe_instances()["Reservations"] == []


def test_as_many_are_launched_as_the_rest_of_the_limit_allows(small: Cloud) -> None:
    ec2, ami = small.client("ec2"), image(small)
    launch(small, ami, 3)
    assert len(ec2.run_instances(**asked(ami, 1, 4))["Instances"]) == 1
    assert error(ec2.run_instances, **asked(ami, 1, 1))[0] == "VcpuLimitExceeded"
    stranger = small.client("ec2", "lab")
    assert len(stranger.run_instances(**asked(image(small, account="lab"), 4, 4))["Instances"]) == 4


def test_stopped_and_ended_instances_do_not_count_until_they_start(small: Cloud) -> None:
    ec2, ami = small.client("ec2"), image(small)
    first, second = launch(small, ami, 2)
    ec2.stop_instances(InstanceIds=[first])
    ec2.terminate_instances(InstanceIds=[second])
    small.settle()
    others = launch(small, ami, 4)
    assert error(ec2.start_instances, InstanceIds=[first])[0] == "VcpuLimitExceeded"
    ec2.terminate_instances(InstanceIds=others[:1])
    small.settle()
    ec2.start_instances(InstanceIds=[first])
    small.settle()
    assert state(small, first) == "running"


def test_one_request_launches_a_thousand_at_most(cloud: Cloud) -> None:
    code, message = error(cloud.client("ec2").run_instances, **asked(image(cloud), 1001, 1001))
    assert code == "InstanceLimitExceeded"
    assert message.startswith(
        "You have requested more instances (1001) than your current instance limit of 1000 allows"
    )
