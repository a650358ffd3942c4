"""What a decision rests on: the very thing that the call will touch, as it is then, and nothing of other accounts.

Each of these was a way around a policy once: two names of which one was asked and the other carried out, tags of a stranger's
things, a template that changed between the question and the launch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.clc.authorize import Authority
from eucapy.clc.store import launch_templates
from tests.clc.test_authorization import NO, YES, World, allow, deny, dry, refused
from tests.harness.cloud import Cloud

PROTECTED = [{"Key": "protected", "Value": "yes"}]
ON_PROTECTED = {"StringEquals": {"aws:ResourceTag/protected": "yes"}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("decided") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        yield World(cloud)


# --- one thing, two names ---------------------------------------------------------------------------------------------


def test_a_key_pair_named_twice_must_be_allowed_by_both_names(world: World) -> None:
    """DeleteKeyPair goes by the id where it is given both."""
    victim = world.admin.create_key_pair(KeyName="victims")["KeyPairId"]
    world.admin.create_key_pair(KeyName="bobs")
    bob = world.user(allow("ec2:DeleteKeyPair", on=world.arn("key-pair", "bobs")))
    assert dry(bob.client().delete_key_pair, KeyPairId=victim) == NO
    assert dry(bob.client().delete_key_pair, KeyName="bobs", KeyPairId=victim) == NO
    assert dry(bob.client().delete_key_pair, KeyName="bobs") == YES


def test_tags_of_a_key_pair_are_its_own_by_whatever_name(world: World) -> None:
    made = world.admin.create_key_pair(
        KeyName="kept", TagSpecifications=[{"ResourceType": "key-pair", "Tags": PROTECTED}]
    )["KeyPairId"]
    bob = world.user(allow("ec2:*"), deny("ec2:DeleteTags", "ec2:DeleteKeyPair", Condition=ON_PROTECTED))
    assert dry(bob.client().delete_tags, Resources=[made], Tags=[{"Key": "protected"}]) == NO
    assert dry(bob.client().delete_key_pair, KeyName="kept") == NO
    assert dry(bob.client().delete_key_pair, KeyPairId=made) == NO


def test_an_instance_profile_is_the_same_by_name_and_by_arn(world: World) -> None:
    iam = world.cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName="ops", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    arn = iam.create_instance_profile(InstanceProfileName="ops")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName="ops", RoleName="ops")
    held = deny("ec2:RunInstances", Condition={"ArnEquals": {"ec2:InstanceProfile": arn}})
    bob = world.user(allow("ec2:*", "iam:PassRole"), held)
    run = {"ImageId": world.ami, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro"}
    assert dry(bob.client().run_instances, **run) == YES
    assert dry(bob.client().run_instances, **run, IamInstanceProfile={"Arn": arn}) == NO
    assert dry(bob.client().run_instances, **run, IamInstanceProfile={"Name": "ops"}) == NO


def test_the_last_use_of_a_key_is_told_to_whom_the_user_is_allowed(world: World) -> None:
    bob = world.user()
    bob.put(allow("iam:GetAccessKeyLastUsed", on=bob.arn))
    last_used = bob.client("iam").get_access_key_last_used
    assert last_used(AccessKeyId=bob.keys["access_key_id"])["UserName"] == bob.name
    others = world.cloud.account("eucalyptus")["access_key_id"]
    assert refused(last_used, AccessKeyId=others)[1] == "AccessDenied"


@pytest.mark.parametrize(
    ("call", "old", "new"),
    [("update_user", {"UserName": "{}"}, {"NewPath": "/admins/"}), ("update_user", {"UserName": "{}"}, {"NewUserName": "boss"}),
     ("update_group", {"GroupName": "{}"}, {"NewPath": "/admins/"}),
     ("update_server_certificate", {"ServerCertificateName": "{}"}, {"NewServerCertificateName": "boss"})],
)  # fmt: skip
def test_who_renames_must_be_allowed_the_new_name_too(
    world: World, call: str, old: dict[str, str], new: dict[str, str]
) -> None:
    bob = world.user(
        allow(
            "iam:Update*",
            on=[f"arn:aws:iam::{world.account}:{kind}/nobody-a" for kind in ("user", "group", "server-certificate")],
        )
    )
    named = dict.fromkeys(old, "nobody-a")
    update = getattr(bob.client("iam"), call)
    assert refused(update, **named, **new)[1] == "AccessDenied"
    assert refused(update, **named)[1] == "NoSuchEntity"


# --- another account's ------------------------------------------------------------------------------------------------


def test_tags_of_another_accounts_things_are_nobodys_business(world: World) -> None:
    theirs = world.cloud.client("ec2", "neighbours")
    volume = theirs.create_volume(
        AvailabilityZone="us-east-1a", Size=1, TagSpecifications=[{"ResourceType": "volume", "Tags": PROTECTED}]
    )["VolumeId"]
    world.cloud.settle()
    bob = world.user(allow("ec2:DeleteVolume", Condition=ON_PROTECTED))
    _, code, message = refused(bob.client().delete_volume, VolumeId=volume)
    assert code == NO
    opened = world.cloud.dev.clc.messages.decoded(world.account, message.partition("failure message: ")[2])
    assert "protected" not in opened


def test_tags_of_another_accounts_policies_are_nobodys_business(world: World) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow("ec2:*")]})
    made = world.cloud.client("iam", "neighbours").create_policy(
        PolicyName="theirs", PolicyDocument=document, Tags=PROTECTED
    )["Policy"]["Arn"]
    bob = world.user(allow("iam:GetPolicy", Condition=ON_PROTECTED))
    assert refused(bob.client("iam").get_policy, PolicyArn=made)[1] == "AccessDenied"


# --- what changes meanwhile -------------------------------------------------------------------------------------------


def test_a_template_that_changes_under_the_question_is_asked_about_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launch is decided about as it is carried out, not as it was to be a moment before."""
    create = world.admin.create_launch_template
    made = create(LaunchTemplateName="flips", LaunchTemplateData={"ImageId": world.ami, "InstanceType": "t2.micro"})
    template = made["LaunchTemplate"]["LaunchTemplateId"]
    world.admin.create_launch_template_version(
        LaunchTemplateId=template, LaunchTemplateData={"ImageId": world.ami, "InstanceType": "t3.large"}
    )
    kinds = ("image", "subnet", "security-group", "network-interface", "launch-template", "volume")
    bob = world.user(
        allow("ec2:RunInstances", on=[world.arn(kind, "*") for kind in kinds]),
        allow(
            "ec2:RunInstances",
            on=world.arn("instance", "*"),
            Condition={"StringEquals": {"ec2:InstanceType": "t2.micro"}},
        ),
    )
    run = {"MinCount": 1, "MaxCount": 1, "LaunchTemplate": {"LaunchTemplateId": template}}
    assert dry(bob.client().run_instances, **run) == YES

    asked = Authority.authorize

    async def flipped(self: Authority, request: Any) -> None:
        await asked(self, request)
        if request.action == "RunInstances":
            await world.cloud.dev.database.write(lambda tx: launch_templates.set_default(tx, template, 2))

    monkeypatch.setattr(Authority, "authorize", flipped)
    assert dry(bob.client().run_instances, **run) == NO
