"""Instance profiles: instances get one, lose it and change it, and their metadata service has the role's credentials."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from eucapy.nc import metadata_tree
from eucapy.wire.node import InstanceSpec, RoleSecrets
from tests.clc.launching import described, error, image, launch, node_of
from tests.clc.sts.granting import role, trust, with_credentials
from tests.harness.cloud import Cloud
from tests.harness.postgres import NewDatabase

BY_EC2 = trust({"Service": "ec2.amazonaws.com"})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> Iterator[Cloud]:
    with new_database() as url, Cloud(tmp_path_factory.mktemp("cloud") / "cloud", database=url) as running:
        yield running


@pytest.fixture(scope="module")
def ami(cloud: Cloud) -> str:
    return image(cloud)


def profile(cloud: Cloud, name: str, *, with_role: bool = True) -> dict[str, str]:
    """A profile of that name, and its role's; {"Arn", "Id"} as EC2 shows it."""
    iam = cloud.client("iam")
    made = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    if with_role:
        role(cloud, name, BY_EC2)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return {"Arn": made["Arn"], "Id": made["InstanceProfileId"]}


def spec_of(cloud: Cloud, instance_id: str) -> InstanceSpec:
    """The instance as its node was told."""
    spec = node_of(cloud, instance_id).nc.spec
    assert spec is not None
    found: InstanceSpec = spec.instances[instance_id]
    return found


def read(cloud: Cloud, instance_id: str, path: str) -> str | None:
    """What the guest reads below `/latest/meta-data/`."""
    spec = spec_of(cloud, instance_id)
    held, box = spec.metadata.credentials, node_of(cloud, instance_id).nc.box
    secrets = msgspec.json.decode(box.open(held.sealed, instance_id), type=RoleSecrets) if held is not None else None
    content = metadata_tree.lookup(metadata_tree.tree(spec, secrets=secrets), f"meta-data/{path}")
    return content.decode() if content is not None else None


def credentials(cloud: Cloud, instance_id: str, name: str) -> dict[str, Any]:
    """As the guest's SDK reads them."""
    text = read(cloud, instance_id, f"iam/security-credentials/{name}")
    assert text is not None
    return dict(json.loads(text))


def usable(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "SessionToken": found["Token"]}


def associations(cloud: Cloud, **given: Any) -> list[dict[str, Any]]:
    answer = cloud.client("ec2").describe_iam_instance_profile_associations(**given)
    return list(answer["IamInstanceProfileAssociations"])


@pytest.mark.parametrize("by", ["Name", "Arn"])
def test_a_launch_names_a_profile_and_the_guest_acts_as_its_role(cloud: Cloud, ami: str, by: str) -> None:
    name = f"launched-{by}"
    shown = profile(cloud, name)
    (instance_id,) = launch(cloud, ami, IamInstanceProfile={by: name if by == "Name" else shown["Arn"]})
    assert described(cloud, instance_id)["IamInstanceProfile"] == shown
    (association,) = associations(cloud, Filters=[{"Name": "instance-id", "Values": [instance_id]}])
    assert association["State"] == "associated"
    assert association["IamInstanceProfile"] == shown
    assert association["AssociationId"].startswith("iip-assoc-0")

    info = json.loads(str(read(cloud, instance_id, "iam/info")))
    assert (info["Code"], info["InstanceProfileArn"], info["InstanceProfileId"]) == (
        "Success",
        shown["Arn"],
        shown["Id"],
    )
    assert read(cloud, instance_id, "iam/") == "info\nsecurity-credentials/"
    assert read(cloud, instance_id, "iam/security-credentials/") == name
    found = credentials(cloud, instance_id, name)
    assert (found["Code"], found["Type"]) == ("Success", "AWS-HMAC")
    who = with_credentials(cloud, "sts", {**usable(found), "SecretAccessKey": found["SecretAccessKey"]})
    assert who.get_caller_identity()["Arn"].endswith(f":assumed-role/{name}/{instance_id}")
    assert with_credentials(cloud, "ec2", usable(found)).describe_regions()["Regions"]


def test_they_are_nowhere_in_the_open_but_on_the_guests_own_way(cloud: Cloud, ami: str) -> None:
    """Neither in the spec that controllers pass on and write down, nor in any file of the cloud."""
    profile(cloud, "quiet")
    (instance_id,) = launch(cloud, ami, IamInstanceProfile={"Name": "quiet"})
    found = credentials(cloud, instance_id, "quiet")
    assert found["SecretAccessKey"].encode() not in msgspec.json.encode(spec_of(cloud, instance_id))
    for path in cloud.dev.data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert found["SecretAccessKey"].encode() not in content, path
            assert found["Token"].encode() not in content, path
    others = [node for zone in cloud.dev.zones.values() for node in zone.nodes.values()]
    held = spec_of(cloud, instance_id).metadata.credentials
    assert held is not None
    from eucapy.box import BadBox

    for node in others:
        if node is not node_of(cloud, instance_id):
            with pytest.raises(BadBox):
                node.nc.box.open(held.sealed, instance_id)
    with pytest.raises(BadBox):
        node_of(cloud, instance_id).nc.box.open(held.sealed, "i-00000000000000000")


def test_they_are_renewed_long_before_they_end(cloud: Cloud, ami: str) -> None:
    profile(cloud, "renewed")
    (instance_id,) = launch(cloud, ami, IamInstanceProfile={"Name": "renewed"})
    first = credentials(cloud, instance_id, "renewed")
    cloud.advance(4 * 3600)
    assert credentials(cloud, instance_id, "renewed") == first
    cloud.advance(3600 + 60)
    second = credentials(cloud, instance_id, "renewed")
    assert second["AccessKeyId"] != first["AccessKeyId"]
    assert second["Expiration"] > first["Expiration"]
    for found in (first, second):  # the old ones last for what they were promised
        assert with_credentials(cloud, "sts", usable(found)).get_caller_identity()["Account"]


def test_they_follow_the_role_of_the_profile(cloud: Cloud, ami: str) -> None:
    profile(cloud, "follows")
    role(cloud, "other-role", BY_EC2)
    iam = cloud.client("iam")
    (instance_id,) = launch(cloud, ami, IamInstanceProfile={"Name": "follows"})
    first = credentials(cloud, instance_id, "follows")
    iam.remove_role_from_instance_profile(InstanceProfileName="follows", RoleName="follows")
    cloud.settle()
    assert read(cloud, instance_id, "iam/security-credentials/") is None
    assert read(cloud, instance_id, "iam/info") is not None
    iam.add_role_to_instance_profile(InstanceProfileName="follows", RoleName="other-role")
    cloud.settle()
    assert credentials(cloud, instance_id, "other-role")
    iam.delete_role_policy(RoleName="follows", PolicyName="allowed")
    iam.delete_role(RoleName="follows")
    assert error(with_credentials(cloud, "sts", usable(first)).get_caller_identity)[0] == "InvalidClientTokenId"


def test_a_running_instance_gets_a_profile_another_one_and_none(cloud: Cloud, ami: str) -> None:
    ec2, one, two = cloud.client("ec2"), profile(cloud, "one"), profile(cloud, "two")
    (instance_id,) = launch(cloud, ami)
    assert "IamInstanceProfile" not in described(cloud, instance_id)
    assert read(cloud, instance_id, "iam/") is None

    answer = ec2.associate_iam_instance_profile(InstanceId=instance_id, IamInstanceProfile={"Name": "one"})
    made = answer["IamInstanceProfileAssociation"]
    assert (made["State"], made["InstanceId"], made["IamInstanceProfile"]) == ("associating", instance_id, one)
    cloud.settle()
    assert credentials(cloud, instance_id, "one")
    assert error(ec2.associate_iam_instance_profile, InstanceId=instance_id, IamInstanceProfile={"Name": "two"}) == (
        "IncorrectState",
        f"There is an existing association for instance {instance_id}",
    )

    answer = ec2.replace_iam_instance_profile_association(
        AssociationId=made["AssociationId"], IamInstanceProfile={"Arn": two["Arn"]}
    )
    replaced = answer["IamInstanceProfileAssociation"]
    assert replaced["AssociationId"] != made["AssociationId"]
    cloud.settle()
    assert described(cloud, instance_id)["IamInstanceProfile"] == two
    assert read(cloud, instance_id, "iam/security-credentials/") == "two"

    answer = ec2.disassociate_iam_instance_profile(AssociationId=replaced["AssociationId"])
    assert answer["IamInstanceProfileAssociation"]["State"] == "disassociating"
    cloud.settle()
    assert "IamInstanceProfile" not in described(cloud, instance_id)
    assert read(cloud, instance_id, "iam/") is None
    for gone in (made, replaced):
        assert error(ec2.disassociate_iam_instance_profile, AssociationId=gone["AssociationId"]) == (
            "NoSuchAssociation",
            f"An invalid association-id of '{gone['AssociationId']}' was given",
        )


def test_associations_are_found_page_by_page_and_end_with_their_instance(cloud: Cloud, ami: str) -> None:
    shown = profile(cloud, "many")
    made = launch(cloud, ami, 6, IamInstanceProfile={"Name": "many"})
    mine = {"Filters": [{"Name": "instance-id", "Values": made}]}
    ec2 = cloud.client("ec2")
    pages = list(
        ec2.get_paginator("describe_iam_instance_profile_associations").paginate(
            **mine, PaginationConfig={"PageSize": 5}
        )
    )
    assert [len(page["IamInstanceProfileAssociations"]) for page in pages] == [5, 1]
    for name, value in (("arn", shown["Arn"]), ("id", shown["Id"]), ("name", "many")):
        answer = ec2.describe_instances(Filters=[{"Name": f"iam-instance-profile.{name}", "Values": [value]}])
        assert sum(len(one["Instances"]) for one in answer["Reservations"]) == 6
    assert associations(cloud, Filters=[{"Name": "state", "Values": ["associating"]}]) == []
    ec2.terminate_instances(InstanceIds=made)
    cloud.settle()
    assert associations(cloud, **mine) == []


def test_a_launch_template_names_a_profile(cloud: Cloud, ami: str) -> None:
    shown = profile(cloud, "templated")
    cloud.client("ec2").create_launch_template(
        LaunchTemplateName="with-profile",
        LaunchTemplateData={"ImageId": ami, "InstanceType": "t2.micro", "IamInstanceProfile": {"Name": "templated"}},
    )
    answer = cloud.client("ec2").run_instances(
        MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateName": "with-profile"}
    )
    assert answer["Instances"][0]["IamInstanceProfile"] == shown


def test_what_is_no_profile_is_refused(cloud: Cloud, ami: str) -> None:
    profile(cloud, "empty", with_role=False)
    cloud.client("iam", "other").create_instance_profile(InstanceProfileName="foreign")
    foreign = cloud.client("iam", "other").get_instance_profile(InstanceProfileName="foreign")["InstanceProfile"]["Arn"]
    arn = cloud.client("iam").get_instance_profile(InstanceProfileName="empty")["InstanceProfile"]["Arn"]
    run = {"ImageId": ami, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro"}
    for given, expected in (
        (
            {"Name": "nobody"},
            (
                "InvalidParameterValue",
                "Value (nobody) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
            ),
        ),
        (
            {"Arn": foreign},
            (
                "InvalidParameterValue",
                f"Value ({foreign}) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN",
            ),
        ),
        (
            {"Name": "empty"},
            ("InvalidParameterValue", f'IAM Instance Profile "{arn}" has no associated IAM Roles'),
        ),
        (
            {"Name": "empty", "Arn": arn},
            (
                "InvalidParameterCombination",
                "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'",
            ),
        ),
    ):
        assert error(cloud.client("ec2").run_instances, **run, IamInstanceProfile=given) == expected
