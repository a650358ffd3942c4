"""Launch templates: versions that never change, one of them the default, and launches from them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from eucapy.clc import quotas
from tests.clc.launching import described, error, image, launch
from tests.harness.cloud import Cloud

USER_DATA = base64.b64encode(b"#!/bin/sh\n").decode()


def template(cloud: Cloud, name: str = "web", **data: Any) -> str:
    made = cloud.client("ec2").create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"InstanceType": "t3.micro", **data}
    )
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def another(cloud: Cloud, template_id: str, source: str | None = None, **data: Any) -> dict[str, Any]:
    more = {"SourceVersion": source} if source else {}
    made = cloud.client("ec2").create_launch_template_version(
        LaunchTemplateId=template_id, LaunchTemplateData=data, **more
    )
    version: dict[str, Any] = made["LaunchTemplateVersion"]
    return version


def run(cloud: Cloud, **given: Any) -> dict[str, Any]:
    made = cloud.client("ec2").run_instances(MinCount=1, MaxCount=1, **given)["Instances"][0]
    cloud.settle()
    return described(cloud, made["InstanceId"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    """A cloud with the template `web`, for what is refused and changes nothing."""
    with new_database() as url, Cloud(tmp_path_factory.mktemp("shared") / "cloud", database=url) as running:
        template(running)
        yield running


def test_a_template_and_its_first_version(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    made = ec2.create_launch_template(
        LaunchTemplateName="web/(1.0)_a-b",
        VersionDescription="the first",
        LaunchTemplateData={"InstanceType": "t3.micro", "UserData": USER_DATA, "Monitoring": {"Enabled": True}},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "team", "Value": "blue"}]}],
    )
    assert "Warning" not in made
    shown = made["LaunchTemplate"]
    assert shown["LaunchTemplateId"].startswith("lt-0")
    assert (shown["DefaultVersionNumber"], shown["LatestVersionNumber"]) == (1, 1)
    assert shown["CreatedBy"] == cloud.client("sts").get_caller_identity()["Arn"]
    assert shown["Tags"] == [{"Key": "team", "Value": "blue"}]
    assert ec2.describe_launch_templates(LaunchTemplateNames=["web/(1.0)_a-b"])["LaunchTemplates"] == [shown]
    tagged = [{"Name": "tag:team", "Values": ["blue"]}]
    assert ec2.describe_launch_templates(Filters=tagged)["LaunchTemplates"] == [shown]
    (version,) = ec2.describe_launch_template_versions(LaunchTemplateName="web/(1.0)_a-b")["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"] == {
        "InstanceType": "t3.micro",
        "UserData": USER_DATA,
        "Monitoring": {"Enabled": True},
    }
    assert (version["VersionNumber"], version["DefaultVersion"], version["VersionDescription"]) == (
        1,
        True,
        "the first",
    )


def test_versions_are_numbered_in_order_and_the_newest_comes_first(cloud: Cloud) -> None:
    ec2, made = cloud.client("ec2"), template(cloud)
    for number in range(2, 6):
        assert another(cloud, made, InstanceType="t3.small")["VersionNumber"] == number

    def numbers(**given: Any) -> list[int]:
        found = ec2.describe_launch_template_versions(**given)["LaunchTemplateVersions"]
        return [one["VersionNumber"] for one in found]

    assert numbers(LaunchTemplateId=made) == [5, 4, 3, 2, 1]
    assert numbers(LaunchTemplateId=made, MinVersion="2", MaxVersion="4") == [4, 3, 2]
    assert numbers(LaunchTemplateId=made, Versions=["$Latest", "$Default", "3"]) == [5, 3, 1]
    assert numbers(LaunchTemplateId=made, Filters=[{"Name": "instance-type", "Values": ["t3.mi*"]}]) == [1]
    assert numbers(LaunchTemplateId=made, Filters=[{"Name": "is-default-version", "Values": ["false"]}]) == [5, 4, 3, 2]
    template(cloud, "other")
    assert sorted(numbers(Versions=["$Latest"])) == [1, 5]
    assert sorted(numbers(Versions=["$Default"])) == [1, 1]
    assert sorted(numbers(Versions=["$Default", "$Latest"])) == [1, 1, 5]


def test_filters_on_the_data_fill_their_pages(cloud: Cloud) -> None:
    ec2, made = cloud.client("ec2"), template(cloud)
    for number in range(6):
        another(cloud, made, InstanceType="t3.small" if number % 2 else "t3.large")
    pages = ec2.get_paginator("describe_launch_template_versions").paginate(
        LaunchTemplateId=made,
        Filters=[{"Name": "instance-type", "Values": ["t3.small"]}],
        PaginationConfig={"PageSize": 2},
    )
    assert [[one["VersionNumber"] for one in page["LaunchTemplateVersions"]] for page in pages] == [[7, 5], [3]]


def test_the_default_version_is_chosen(cloud: Cloud) -> None:
    ec2, made = cloud.client("ec2"), template(cloud)
    another(cloud, made, InstanceType="t3.small")
    shown = ec2.modify_launch_template(LaunchTemplateId=made, DefaultVersion="2")["LaunchTemplate"]
    assert (shown["DefaultVersionNumber"], shown["LatestVersionNumber"]) == (2, 2)
    code, message = error(ec2.modify_launch_template, LaunchTemplateId=made, DefaultVersion="3")
    assert code == "InvalidLaunchTemplateId.VersionNotFound"
    assert message == "The launch template version 3 is not found for the specified launch template."


def test_versions_are_deleted_each_for_itself_and_their_numbers_are_not_used_again(cloud: Cloud) -> None:
    ec2, made = cloud.client("ec2"), template(cloud)
    for _ in range(2):
        another(cloud, made, InstanceType="t3.small")
    answer = ec2.delete_launch_template_versions(LaunchTemplateId=made, Versions=["1", "3", "9"])
    done = answer["SuccessfullyDeletedLaunchTemplateVersions"]
    assert done == [{"LaunchTemplateId": made, "LaunchTemplateName": "web", "VersionNumber": 3}]
    assert [
        (one["VersionNumber"], one["ResponseError"]["Code"])
        for one in answer["UnsuccessfullyDeletedLaunchTemplateVersions"]
    ] == [(1, "unexpectedError"), (9, "launchTemplateVersionDoesNotExist")]
    (shown,) = ec2.describe_launch_templates(LaunchTemplateIds=[made])["LaunchTemplates"]
    assert shown["LatestVersionNumber"] == 2
    assert another(cloud, made, InstanceType="t3.small")["VersionNumber"] == 4


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"LaunchTemplateId": "lt-0123456789abcdef0"}, "launchTemplateIdDoesNotExist"),
        ({"LaunchTemplateId": "banana"}, "launchTemplateIdMalformed"),
        ({"LaunchTemplateName": "nobody"}, "launchTemplateNameDoesNotExist"),
        ({"LaunchTemplateName": "no body"}, "launchTemplateNameMalformed"),
    ],
)
def test_versions_of_no_template_are_told_one_by_one(shared: Cloud, given: dict[str, str], code: str) -> None:
    answer = shared.client("ec2").delete_launch_template_versions(**given, Versions=["1"])
    (failed,) = answer["UnsuccessfullyDeletedLaunchTemplateVersions"]
    assert (failed["VersionNumber"], failed["ResponseError"]["Code"]) == (1, code)


def test_a_deleted_template_leaves_its_name_and_its_instances(cloud: Cloud) -> None:
    ec2, made = cloud.client("ec2"), template(cloud, ImageId=image(cloud))
    instance = run(cloud, LaunchTemplate={"LaunchTemplateId": made})
    assert ec2.delete_launch_template(LaunchTemplateName="web")["LaunchTemplate"]["LaunchTemplateId"] == made
    assert ec2.describe_launch_templates()["LaunchTemplates"] == []
    assert described(cloud, instance["InstanceId"])["State"]["Name"] == "running"
    assert template(cloud) != made
    code, message = error(ec2.describe_launch_templates, LaunchTemplateIds=[made])
    assert code == "InvalidLaunchTemplateId.NotFound"
    assert message == f"The specified launch template, with template ID {made}, does not exist."


def test_an_instance_is_launched_from_a_template_and_says_which(cloud: Cloud) -> None:
    ami = image(cloud)
    made = template(
        cloud,
        ImageId=ami,
        InstanceType="t3.large",
        UserData=USER_DATA,
        MetadataOptions={"HttpTokens": "required"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "blue"}]}],
    )
    instance = run(cloud, LaunchTemplate={"LaunchTemplateName": "web"})
    assert (instance["ImageId"], instance["InstanceType"]) == (ami, "t3.large")
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["Tags"] == [
        {"Key": "aws:ec2launchtemplate:id", "Value": made},
        {"Key": "aws:ec2launchtemplate:version", "Value": "1"},
        {"Key": "team", "Value": "blue"},
    ]
    attribute = cloud.client("ec2").describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    assert attribute["UserData"]["Value"] == USER_DATA


def test_a_launch_says_otherwise(cloud: Cloud) -> None:
    made = template(cloud, ImageId=image(cloud), DisableApiTermination=True)
    instance = run(
        cloud, LaunchTemplate={"LaunchTemplateId": made}, InstanceType="t3.small", DisableApiTermination=False
    )
    assert instance["InstanceType"] == "t3.small"
    cloud.client("ec2").terminate_instances(InstanceIds=[instance["InstanceId"]])


def test_default_latest_and_numbered_versions_are_launched(cloud: Cloud) -> None:
    made = template(cloud, ImageId=image(cloud))
    another(cloud, made, "1", InstanceType="t3.small")
    another(cloud, made, "$Latest", InstanceType="t3.medium")
    kinds = {
        version: run(cloud, LaunchTemplate={"LaunchTemplateId": made, **({"Version": version} if version else {})})
        for version in (None, "$Default", "$Latest", "2")
    }
    assert {version: one["InstanceType"] for version, one in kinds.items()} == {
        None: "t3.micro",
        "$Default": "t3.micro",
        "$Latest": "t3.medium",
        "2": "t3.small",
    }


def test_the_clouds_own_tags_are_nobodys_to_change_and_count_for_nothing(cloud: Cloud) -> None:
    ec2, made = cloud.client("ec2"), template(cloud, ImageId=image(cloud))
    instance_id = run(cloud, LaunchTemplate={"LaunchTemplateId": made})["InstanceId"]
    ec2.create_tags(Resources=[instance_id], Tags=[{"Key": str(number), "Value": ""} for number in range(50)])
    code, _ = error(ec2.create_tags, Resources=[instance_id], Tags=[{"Key": "more", "Value": ""}])
    assert code == "TagLimitExceeded"
    code, _ = error(ec2.delete_tags, Resources=[instance_id], Tags=[{"Key": "aws:ec2launchtemplate:id"}])
    assert code == "InvalidParameterValue"
    ec2.delete_tags(Resources=[instance_id])
    kept = [tag["Key"] for tag in described(cloud, instance_id)["Tags"]]
    assert kept == ["aws:ec2launchtemplate:id", "aws:ec2launchtemplate:version"]


def test_a_template_of_an_instance_launches_its_like(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    (first,) = launch(
        cloud,
        image(cloud),
        InstanceType="t3.large",
        UserData="#!/bin/sh\n",
        DisableApiStop=True,
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 3, "VolumeType": "gp3"}}],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "blue"}]}],
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 3},
    )
    data = ec2.get_launch_template_data(InstanceId=first)["LaunchTemplateData"]
    made = ec2.create_launch_template(LaunchTemplateName="like", LaunchTemplateData=data)
    assert "Warning" not in made
    second = run(cloud, LaunchTemplate={"LaunchTemplateName": "like"})["InstanceId"]
    again = ec2.get_launch_template_data(InstanceId=second)["LaunchTemplateData"]
    assert again == data
    assert data["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/sdf",
            "Ebs": {
                "DeleteOnTermination": True,
                "Encrypted": False,
                "Iops": 3000,
                "Throughput": 125,
                "VolumeSize": 3,
                "VolumeType": "gp3",
            },
        }
    ]


def test_what_could_not_be_launched_is_a_warning(shared: Cloud) -> None:
    made = shared.client("ec2").create_launch_template(
        LaunchTemplateName="odd", LaunchTemplateData={"InstanceType": "t9.mega"}
    )
    (fault,) = made["Warning"]["Errors"]
    assert fault == {"Code": "InvalidParameterValue", "Message": "Invalid value 't9.mega' for InstanceType."}


@pytest.mark.parametrize(
    ("call", "given", "code"),
    [
        ("create_launch_template", {"LaunchTemplateName": "web"}, "InvalidLaunchTemplateName.AlreadyExistsException"),
        ("create_launch_template", {"LaunchTemplateName": "we"}, "InvalidLaunchTemplateName.MalformedException"),
        ("create_launch_template", {"LaunchTemplateName": "w" * 126}, "InvalidLaunchTemplateName.MalformedException"),
        ("create_launch_template", {"LaunchTemplateName": "we b"}, "InvalidLaunchTemplateName.MalformedException"),
        (
            "create_launch_template",
            {"LaunchTemplateName": "new", "LaunchTemplateData": {"UserData": "not base 64!"}},
            "InvalidUserData.Malformed",
        ),
        ("create_launch_template", {"LaunchTemplateName": "new", "LaunchTemplateData": {}}, "MissingParameter"),
        (
            "create_launch_template",
            {"LaunchTemplateName": "new", "LaunchTemplateData": {"InstanceInitiatedShutdownBehavior": "burn"}},
            "InvalidParameterValue",
        ),
        ("create_launch_template_version", {}, "MissingParameter"),
        (
            "create_launch_template_version",
            {"LaunchTemplateName": "nobody"},
            "InvalidLaunchTemplateName.NotFoundException",
        ),
        (
            "create_launch_template_version",
            {"LaunchTemplateName": "web", "SourceVersion": "7"},
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        (
            "create_launch_template_version",
            {"LaunchTemplateName": "web", "LaunchTemplateId": "lt-12345678"},
            "InvalidParameterCombination",
        ),
    ],
)
def test_refused(shared: Cloud, call: str, given: dict[str, Any], code: str) -> None:
    given = {"LaunchTemplateData": {"InstanceType": "t3.micro"}, **given}
    assert error(getattr(shared.client("ec2"), call), **given)[0] == code


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"LaunchTemplateId": "lt-12345678"}, "InvalidLaunchTemplateId.NotFound"),
        ({"LaunchTemplateId": "banana"}, "InvalidLaunchTemplateId.Malformed"),
        ({"LaunchTemplateName": "nobody"}, "InvalidLaunchTemplateName.NotFoundException"),
        ({"Version": "1"}, "MissingParameter"),
        ({"LaunchTemplateName": "web", "Version": "2"}, "InvalidLaunchTemplateId.VersionNotFound"),
        ({"LaunchTemplateName": "web", "Version": "newest"}, "InvalidParameterValue"),
        ({"LaunchTemplateName": "web"}, "MissingParameter"),  # which has no image
    ],
)
def test_launches_are_refused(shared: Cloud, given: dict[str, Any], code: str) -> None:
    assert error(shared.client("ec2").run_instances, MinCount=1, MaxCount=1, LaunchTemplate=given)[0] == code


def test_versions_to_describe_must_exist_and_be_named_rightly(shared: Cloud) -> None:
    ec2 = shared.client("ec2")
    made = ec2.describe_launch_templates()["LaunchTemplates"][0]["LaunchTemplateId"]
    for given, expected in (
        ({}, "MissingParameter"),
        ({"Versions": ["1"]}, "InvalidParameterValue"),
        ({"LaunchTemplateId": made, "Versions": ["2"]}, "InvalidLaunchTemplateId.VersionNotFound"),
        ({"LaunchTemplateId": made, "Versions": ["1"], "MinVersion": "1"}, "InvalidParameterCombination"),
        ({"LaunchTemplateId": made, "MaxVersion": "many"}, "InvalidParameterValue"),
    ):
        assert error(ec2.describe_launch_template_versions, **given)[0] == expected, given


def test_there_are_limits(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    made = template(cloud)
    monkeypatch.setattr(quotas, "LAUNCH_TEMPLATES", 1)
    monkeypatch.setattr(quotas, "LAUNCH_TEMPLATE_VERSIONS", 1)
    ec2, data = cloud.client("ec2"), {"InstanceType": "t3.micro"}
    code, _ = error(ec2.create_launch_template, LaunchTemplateName="more", LaunchTemplateData=data)
    assert code == "LaunchTemplateLimitExceeded"
    code, _ = error(ec2.create_launch_template_version, LaunchTemplateId=made, LaunchTemplateData=data)
    assert code == "LaunchTemplateVersionLimitExceeded"


def test_another_account_has_its_own(cloud: Cloud) -> None:
    made, stranger = template(cloud), cloud.client("ec2", "lab")
    assert stranger.describe_launch_templates()["LaunchTemplates"] == []
    assert stranger.describe_launch_template_versions(Versions=["$Latest"])["LaunchTemplateVersions"] == []
    asked = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": made}}
    assert error(stranger.run_instances, **asked)[0] == "InvalidLaunchTemplateId.NotFound"
    stranger.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"InstanceType": "t3.micro"})
