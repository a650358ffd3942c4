"""Every operation that is served declares what it takes to be allowed, and from a request follows what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc import actions
from eucapy.clc.actions import Ask, Scope
from eucapy.clc.app import services

SCOPE = Scope("123456789012", "us-east-1", "bob", "/dev/")
TAG = [{"Key": "Team", "Value": "blue"}]


def asked(service: str, operation: str, **parameters: Any) -> list[tuple[str, str]]:
    """(action, resource) of each ask."""
    return [(ask.action, resource(ask)) for ask in asks(service, operation, **parameters)]


def asks(service: str, operation: str, **parameters: Any) -> list[Ask]:
    declaration = actions.declared(service, operation)
    assert declaration is not None
    return declaration.asks(service, operation, parameters, SCOPE)


def resource(ask: Ask) -> str:
    return "*" if ask.touched is None else ask.touched.arn(SCOPE)


def facts(ask: Ask) -> Mapping[str, Any]:
    return {**(ask.touched.facts if ask.touched is not None else {}), **ask.facts}


def test_no_operation_is_without_its_declaration() -> None:
    lacking = {
        f"{service.name}:{operation}"
        for service in services()
        for operation in service.actions()
        if actions.declared(service.name, operation) is None
    }
    assert lacking == set()


def test_what_is_declared_is_an_operation_of_the_service() -> None:
    for service in services():
        declared = set(actions.services()[service.name])
        assert declared - set(service.operations()) == set(), service.name


def test_ids_of_a_request_become_arns() -> None:
    found = asked("ec2", "TerminateInstances", InstanceIds=["i-1", "i-2", "i-1"])
    assert found == [
        ("ec2:TerminateInstances", "arn:aws:ec2:us-east-1:123456789012:instance/i-1"),
        ("ec2:TerminateInstances", "arn:aws:ec2:us-east-1:123456789012:instance/i-2"),
    ]


def test_all_kinds_of_resources_of_a_request_are_asked_for() -> None:
    found = asked("ec2", "AttachVolume", InstanceId="i-1", VolumeId="vol-1", Device="/dev/sdf")
    assert {where.rpartition(":")[2] for _, where in found} == {"instance/i-1", "volume/vol-1"}


def test_what_a_request_does_not_name_is_any_of_its_type() -> None:
    assert asked("ec2", "StartInstances") == [("ec2:StartInstances", "arn:aws:ec2:us-east-1:123456789012:instance/*")]
    assert asked("ec2", "DescribeInstances", InstanceIds=["i-1"]) == [("ec2:DescribeInstances", "*")]


def test_images_and_snapshots_belong_to_no_account_in_their_arns() -> None:
    assert asked("ec2", "DeregisterImage", ImageId="ami-1")[0][1] == "arn:aws:ec2:us-east-1::image/ami-1"
    assert asked("ec2", "DeleteSnapshot", SnapshotId="snap-1")[0][1] == "arn:aws:ec2:us-east-1::snapshot/snap-1"


def test_tags_that_come_with_a_request_need_create_tags() -> None:
    first, second = asks(
        "ec2", "CreateVolume", AvailabilityZone="us-east-1a", Size=5, VolumeType="gp3",
        TagSpecifications=[{"ResourceType": "volume", "Tags": TAG}],
    )  # fmt: skip
    assert (first.action, resource(first)) == ("ec2:CreateVolume", "arn:aws:ec2:us-east-1:123456789012:volume/*")
    assert facts(first)["ec2:volumesize"] == "5"
    assert facts(first)["ec2:volumetype"] == "gp3"
    assert facts(first)["aws:requesttag/team"] == "blue"
    assert (second.action, resource(second)) == ("ec2:CreateTags", resource(first))
    assert facts(second) == {
        "aws:requesttag/team": "blue",
        "aws:tagkeys": ["Team"],
        "ec2:createaction": "CreateVolume",
    }


def test_a_launch_asks_for_everything_that_it_uses() -> None:
    found = asked(
        "ec2", "RunInstances", ImageId="ami-1", KeyName="mine", SubnetId="subnet-1", SecurityGroupIds=["sg-1"],
        BlockDeviceMappings=[{"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": "snap-1"}}],
        IamInstanceProfile={"Name": "web"}, LaunchTemplate={"LaunchTemplateId": "lt-1"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": TAG}],
    )  # fmt: skip
    kinds = {(action, where.rpartition(":")[2]) for action, where in found}
    assert {
        ("ec2:RunInstances", "instance/*"),
        ("ec2:RunInstances", "image/ami-1"),
        ("ec2:RunInstances", "key-pair/mine"),
        ("ec2:RunInstances", "launch-template/lt-1"),
        ("ec2:RunInstances", "subnet/subnet-1"),
        ("ec2:RunInstances", "security-group/sg-1"),
        ("ec2:RunInstances", "snapshot/snap-1"),
        ("ec2:RunInstances", "volume/*"),
        ("ec2:CreateTags", "instance/*"),
        ("iam:PassRole", "role/web"),
    } <= kinds


def test_tags_are_set_on_resources_of_the_type_that_their_ids_say() -> None:
    found = asked("ec2", "CreateTags", Resources=["i-0123456789abcdef0", "vol-0123456789abcdef0"], Tags=TAG)
    assert [where.rpartition(":")[2] for _, where in found] == [
        "instance/i-0123456789abcdef0",
        "volume/vol-0123456789abcdef0",
    ]


def test_a_changed_attribute_is_named() -> None:
    (ask,) = asks("ec2", "ModifyInstanceAttribute", InstanceId="i-1", InstanceType={"Value": "t3.large"})
    assert facts(ask) == {"ec2:attribute": ["InstanceType"], "ec2:attribute/instancetype": "t3.large"}


def test_what_iam_makes_has_the_path_that_it_is_given() -> None:
    found = asked("iam", "CreateUser", UserName="alice", Path="/dev/")
    assert found == [("iam:CreateUser", "arn:aws:iam::123456789012:user/dev/alice")]


def test_who_names_no_user_means_itself() -> None:
    assert asked("iam", "GetUser") == [("iam:GetUser", "arn:aws:iam::123456789012:user/dev/bob")]


def test_a_managed_policy_is_asked_for_by_its_arn() -> None:
    arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    assert asked("iam", "GetPolicy", PolicyArn=arn) == [("iam:GetPolicy", arn)]
    (ask,) = asks("iam", "AttachUserPolicy", UserName="bob", PolicyArn=arn)
    assert facts(ask)["iam:policyarn"] == arn


def test_who_adds_a_role_to_a_profile_hands_it_on() -> None:
    found = asked("iam", "AddRoleToInstanceProfile", InstanceProfileName="web", RoleName="reader")
    assert found == [
        ("iam:AddRoleToInstanceProfile", "arn:aws:iam::123456789012:instance-profile/web"),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/reader"),
    ]


def test_a_role_session_is_asked_for_by_the_call_itself() -> None:
    assert asks("sts", "AssumeRole", RoleArn="arn:aws:iam::123456789012:role/x", RoleSessionName="s") == []


def test_nobody_can_be_kept_from_asking_who_it_is() -> None:
    assert asks("sts", "GetCallerIdentity") == []


def test_blocks_are_those_of_ec2_s_snapshots() -> None:
    where = "arn:aws:ec2:us-east-1::snapshot/"
    assert asked("ebs", "GetSnapshotBlock", SnapshotId="snap-1") == [("ebs:GetSnapshotBlock", f"{where}snap-1")]
    assert asked("ebs", "ListChangedBlocks", FirstSnapshotId="snap-1", SecondSnapshotId="snap-2") == [
        ("ebs:ListChangedBlocks", f"{where}snap-1"),
        ("ebs:ListChangedBlocks", f"{where}snap-2"),
    ]
    (started,) = asks("ebs", "StartSnapshot", VolumeSize=8, ParentSnapshotId="snap-1", Description="d", Tags=TAG)
    assert resource(started) == f"{where}*"
    assert facts(started) == {
        "aws:requesttag/team": "blue",
        "aws:tagkeys": ["Team"],
        "ebs:description": "d",
        "ebs:parentsnapshot": f"{where}snap-1",
        "ebs:volumesize": "8",
    }
