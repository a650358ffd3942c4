"""Placement groups: their calls through boto3, and where the fake nodes really have their instances."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.clc.placement import Demand, Group, Members, Room, choose, how_many, partitions, place
from tests.clc.launching import described, error, image, launch, node_of
from tests.harness.cloud import Cloud

ZONE = {"AvailabilityZone": "us-east-1a"}


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    """A cloud of two zones with three nodes each."""
    folder: Path = tmp_path_factory.mktemp("groups") / "cloud"
    zones = ("a", "b")
    with new_database() as url, Cloud(folder, database=url, zones=zones, nodes_per_zone=3) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def ami(roomy: Cloud) -> str:
    return image(roomy)


def group(cloud: Cloud, name: str, strategy: str, **given: Any) -> dict[str, Any]:
    made: dict[str, Any] = cloud.client("ec2").create_placement_group(GroupName=name, Strategy=strategy, **given)
    return dict(made["PlacementGroup"])


def end(cloud: Cloud, *instance_ids: str) -> None:
    cloud.client("ec2").terminate_instances(InstanceIds=list(instance_ids))
    cloud.settle()


def hosts(cloud: Cloud, instance_ids: list[str]) -> list[str]:
    return [str(node_of(cloud, one).name) for one in instance_ids]


def test_a_group_is_made_described_by_what_it_is_and_deleted(roomy: Cloud) -> None:
    ec2 = roomy.client("ec2")
    tags = [{"ResourceType": "placement-group", "Tags": [{"Key": "of", "Value": "mine"}]}]
    made = group(roomy, "parts", "partition", PartitionCount=3, TagSpecifications=tags)
    group(roomy, "apart", "spread")
    assert made == {
        "GroupId": made["GroupId"],
        "GroupName": "parts",
        "GroupArn": f"arn:aws:ec2:us-east-1:{roomy.account('eucalyptus')['account_id']}:placement-group/parts",
        "State": "available",
        "Strategy": "partition",
        "PartitionCount": 3,
        "Tags": [{"Key": "of", "Value": "mine"}],
    }
    for asked in (
        {"GroupIds": [made["GroupId"]]},
        {"GroupNames": ["parts"]},
        {"Filters": [{"Name": "strategy", "Values": ["partition"]}]},
        {"Filters": [{"Name": "group-arn", "Values": [made["GroupArn"]]}]},
        {"Filters": [{"Name": "tag:of", "Values": ["mine"]}]},
    ):
        assert ec2.describe_placement_groups(**asked)["PlacementGroups"] == [made], asked
    (apart,) = ec2.describe_placement_groups(Filters=[{"Name": "spread-level", "Values": ["rack"]}])["PlacementGroups"]
    assert (apart["GroupName"], apart["SpreadLevel"]) == ("apart", "rack")
    for name in ("parts", "apart"):
        ec2.delete_placement_group(GroupName=name)
    assert ec2.describe_placement_groups()["PlacementGroups"] == []
    assert ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [made["GroupId"]]}])["Tags"] == []


def test_what_is_refused(roomy: Cloud, ami: str) -> None:
    ec2 = roomy.client("ec2")
    group(roomy, "once", "cluster")
    assert error(ec2.create_placement_group, GroupName="once") == (
        "InvalidPlacementGroup.Duplicate",
        "The Placement Group 'once' already exists.",
    )
    unknown = ("InvalidPlacementGroup.Unknown", "The Placement Group 'never' is unknown.")
    assert error(ec2.delete_placement_group, GroupName="never") == unknown
    assert error(ec2.describe_placement_groups, GroupNames=["once", "never"]) == unknown
    run = {"ImageId": ami, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro"}
    assert error(ec2.run_instances, **run, Placement={"GroupName": "never"}) == unknown
    for given, code in (
        ({}, "MissingParameter"),
        ({"GroupName": "x", "Strategy": "cluster", "PartitionCount": 2}, "InvalidParameterCombination"),
        ({"GroupName": "x", "Strategy": "partition", "PartitionCount": 8}, "InvalidParameterValue"),
        ({"GroupName": "x", "Strategy": "spread", "SpreadLevel": "host"}, "Unsupported"),
    ):
        assert error(ec2.create_placement_group, **given)[0] == code, given
    number = {"GroupName": "once", "PartitionNumber": 1}
    assert error(ec2.run_instances, **run, Placement=number)[0] == "InvalidParameterCombination"
    ec2.delete_placement_group(GroupName="once")


def test_members_of_a_spread_group_have_a_host_each_and_no_more_than_there_are(roomy: Cloud, ami: str) -> None:
    ec2 = roomy.client("ec2")
    made = group(roomy, "spread", "spread")
    where = {**ZONE, "GroupName": "spread"}
    ids = launch(roomy, ami, 2, Placement=where)
    ids += launch(roomy, ami, 1, Placement={**ZONE, "GroupId": made["GroupId"]})
    assert len(set(hosts(roomy, ids))) == 3
    shown = described(roomy, ids[0])["Placement"]
    assert (shown["GroupName"], shown["GroupId"]) == ("spread", made["GroupId"])
    run = {"ImageId": ami, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro"}
    assert error(ec2.run_instances, **run, Placement=where)[0] == "InsufficientInstanceCapacity"
    found = ec2.describe_instances(Filters=[{"Name": "placement-group-name", "Values": ["spread"]}])
    assert {one["InstanceId"] for each in found["Reservations"] for one in each["Instances"]} == set(ids)
    assert error(ec2.delete_placement_group, GroupName="spread")[0] == "InvalidPlacementGroup.InUse"
    end(roomy, *ids)
    ec2.delete_placement_group(GroupName="spread")


def test_no_host_has_two_partitions(roomy: Cloud, ami: str) -> None:
    ec2 = roomy.client("ec2")
    group(roomy, "parted", "partition", PartitionCount=3)
    ids = launch(roomy, ami, 6, Placement={**ZONE, "GroupName": "parted"})
    numbers = [described(roomy, one)["Placement"]["PartitionNumber"] for one in ids]
    assert sorted(numbers) == [1, 1, 2, 2, 3, 3]
    assert len(set(zip(numbers, hosts(roomy, ids), strict=True))) == 3
    (more,) = launch(roomy, ami, 1, Placement={**ZONE, "GroupName": "parted", "PartitionNumber": 2})
    second = [{"Name": "placement-partition-number", "Values": ["2"]}]
    found = ec2.describe_instances(Filters=second)["Reservations"]
    assert len({one["InstanceId"] for each in found for one in each["Instances"]} | {more}) == 3
    end(roomy, *ids, more)
    ec2.delete_placement_group(GroupName="parted")


def test_a_cluster_stays_together_in_its_zone(roomy: Cloud, ami: str) -> None:
    ec2 = roomy.client("ec2")
    group(roomy, "close", "cluster")
    ids = launch(roomy, ami, 1, Placement={"AvailabilityZone": "us-east-1b", "GroupName": "close"})
    ids += launch(roomy, ami, 2, Placement={"GroupName": "close"})
    assert {described(roomy, one)["Placement"]["AvailabilityZone"] for one in ids} == {"us-east-1b"}
    assert len(set(hosts(roomy, ids))) == 1
    run = {"ImageId": ami, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro"}
    elsewhere = {**ZONE, "GroupName": "close"}
    assert error(ec2.run_instances, **run, Placement=elsewhere)[0] == "InsufficientInstanceCapacity"
    end(roomy, *ids)
    ec2.delete_placement_group(GroupName="close")


def test_a_stopped_instance_may_join_and_leave(roomy: Cloud, ami: str) -> None:
    ec2 = roomy.client("ec2")
    group(roomy, "late", "spread")
    (one,) = launch(roomy, ami)
    assert error(ec2.modify_instance_placement, InstanceId=one, GroupName="late")[0] == "IncorrectInstanceState"
    ec2.stop_instances(InstanceIds=[one])
    roomy.settle()
    ec2.modify_instance_placement(InstanceId=one, GroupName="late")
    assert described(roomy, one)["Placement"]["GroupName"] == "late"
    assert error(ec2.delete_placement_group, GroupName="late")[0] == "InvalidPlacementGroup.InUse"
    ec2.modify_instance_placement(InstanceId=one, GroupName="")
    assert described(roomy, one)["Placement"]["GroupName"] == ""
    ec2.delete_placement_group(GroupName="late")
    end(roomy, one)


def test_spread_stops_at_seven_in_a_zone() -> None:
    apart = Group("pg-1", "spread")
    rooms = [Room(host=f"n{n}", zone="a", vcpus=8, memory_mib=8192) for n in range(9)]
    assert how_many([Demand("a", 1, 1024, group=apart)] * 9, rooms) == 7
    other = Room(host="m1", zone="b", vcpus=8, memory_mib=8192)
    assert how_many([Demand("b", 1, 1024, group=apart)], [*rooms, other]) == 1


def test_the_first_that_does_not_fit_ends_the_count() -> None:
    rooms = [Room("n1", "a", 8, 8192, members={"pg-1": Members(1, 2)}), Room("n2", "a", 8, 8192)]
    wanted = [Demand("a", 1, 1024, group=Group("pg-1", "partition", number)) for number in (1, 3, 2)]
    assert how_many(wanted, rooms) == 1
    assert place({str(n): each for n, each in enumerate(wanted)}, rooms) == {"0": "n2", "2": "n1"}


def test_a_cluster_goes_where_most_of_it_is_and_overflows() -> None:
    close = Demand("a", 1, 1024, group=Group("pg-1", "cluster"))
    small = Room("n1", "a", 8, 1500, members={"pg-1": Members(1)})
    rooms = [small, Room("n2", "a", 8, 8192)]
    first = choose(close, rooms)
    assert first is not None and first.host == "n1"
    assert place({"x": close, "y": close}, rooms) == {"x": "n1", "y": "n2"}


def test_partitions_fill_evenly() -> None:
    assert partitions(3, 4, {}) == [1, 2, 3, 1]
    assert partitions(3, 3, {1: 2, 3: 1}) == [2, 2, 3]
