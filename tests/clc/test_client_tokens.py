"""Client tokens: a repetition gets the first answer for a day, whatever happened meanwhile; a token is its account's own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.clc.launching import error, image
from tests.harness.cloud import Cloud

HOUR_S = 3600.0
ASKED = {"AvailabilityZone": "us-east-1a", "Size": 1, "ClientToken": "once"}


def volumes(cloud: Cloud, account: str = "eucalyptus") -> list[str]:
    return [one["VolumeId"] for one in cloud.client("ec2", account).describe_volumes()["Volumes"]]


def ask(cloud: Cloud, account: str = "eucalyptus", **changes: Any) -> str:
    return str(cloud.client("ec2", account).create_volume(**{**ASKED, **changes})["VolumeId"])


def test_a_repetition_is_answered_as_the_first_time_even_after_a_restart(cloud: Cloud) -> None:
    first = cloud.client("ec2").create_volume(**ASKED)
    cloud.reboot()
    cloud.settle()
    again = cloud.client("ec2").create_volume(**ASKED)
    for answer in (first, again):
        del answer["ResponseMetadata"]
    assert again == first  # `creating`, although it is available by now
    assert volumes(cloud) == [first["VolumeId"]]


def test_a_repeated_launch_is_answered_with_the_instances_as_they_were(cloud: Cloud) -> None:
    asked = {
        "ImageId": image(cloud),
        "InstanceType": "t2.micro",
        "MinCount": 2,
        "MaxCount": 2,
        "ClientToken": "<launch>",
    }
    first = cloud.client("ec2").run_instances(**asked)
    cloud.reboot()
    cloud.settle()
    again = cloud.client("ec2").run_instances(**asked)
    for answer in (first, again):
        del answer["ResponseMetadata"]
    assert again == first
    assert [one["State"]["Name"] for one in again["Instances"]] == ["pending", "pending"]


def test_after_a_day_a_token_is_forgotten(cloud: Cloud) -> None:
    first = ask(cloud)
    cloud.advance(23 * HOUR_S)
    assert ask(cloud) == first
    cloud.advance(2 * HOUR_S)
    assert ask(cloud) != first
    assert len(volumes(cloud)) == 2


def test_the_same_token_for_something_else_is_refused_and_does_nothing(cloud: Cloud) -> None:
    first = ask(cloud)
    code, _ = error(cloud.client("ec2").create_volume, **{**ASKED, "Size": 2})
    assert code == "IdempotentParameterMismatch"
    assert volumes(cloud) == [first]


def test_an_account_does_not_meet_the_tokens_of_another(cloud: Cloud) -> None:
    cloud.account("lab")
    assert ask(cloud) != ask(cloud, "lab")
    assert len(volumes(cloud)) == len(volumes(cloud, "lab")) == 1


def test_what_was_refused_holds_no_token(cloud: Cloud) -> None:
    code, _ = error(cloud.client("ec2").create_volume, **{**ASKED, "AvailabilityZone": "nowhere"})
    assert code == "InvalidZone.NotFound"
    assert ask(cloud) in volumes(cloud)


def test_a_dry_run_holds_no_token(cloud: Cloud) -> None:
    code, _ = error(cloud.client("ec2").create_volume, **ASKED, DryRun=True)
    assert code == "DryRunOperation"
    assert volumes(cloud) == []
    assert ask(cloud) in volumes(cloud)


@pytest.mark.parametrize("count", [8])
def test_repetitions_that_come_at_once_are_one_request(cloud: Cloud, count: int) -> None:
    cloud.client("ec2")
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(lambda _: ask(cloud), range(count)))
    assert set(answers) == set(volumes(cloud)) and len(set(answers)) == 1


def test_a_token_has_at_most_64_characters(cloud: Cloud) -> None:
    assert ask(cloud, ClientToken="t" * 64) == ask(cloud, ClientToken="t" * 64)
    for wrong in ("t" * 65, "\u00e9"):
        code, _ = error(cloud.client("ec2").create_volume, **{**ASKED, "ClientToken": wrong})
        assert code == "InvalidParameterValue"


def test_tokens_of_launch_templates_have_at_most_128(cloud: Cloud) -> None:
    create, data = cloud.client("ec2").create_launch_template, {"InstanceType": "t3.micro"}
    asked = {"LaunchTemplateName": "web", "LaunchTemplateData": data}
    first = create(**asked, ClientToken="t" * 128)["LaunchTemplate"]
    assert create(**asked, ClientToken="t" * 128)["LaunchTemplate"] == first
    code, _ = error(create, **asked, ClientToken="t" * 127)  # another token: another request
    assert code == "InvalidLaunchTemplateName.AlreadyExistsException"
    assert error(create, **asked, ClientToken="t" * 129)[0] == "InvalidParameterValue"
