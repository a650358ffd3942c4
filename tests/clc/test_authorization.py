"""What policies say holds for every request of the cloud: who is not allowed is refused in AWS's words and leaves nothing.

Policies are put straight into the store: these tests are about deciding, not about the calls that write policies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eucapy.clc.store import accounts, iam_inline, instance_profiles, roles
from eucapy.clc.store import powers as power_rows
from tests.clc.launching import image, launch
from tests.harness.cloud import Cloud

Document = dict[str, Any]


class World:
    """A cloud with an administrator, and users with the policies that a test gives them."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.made = cloud, 0
        self.account = cloud.account("eucalyptus")["account_id"]
        self.admin = cloud.client("ec2")
        self.ami = image(cloud)

    def write(self, work: Any) -> Any:
        async def do(tx: Any) -> Any:
            tx.on_commit(lambda: self.cloud.dev.clc.fire("keys"))
            return await work(tx)

        return self.cloud.run(self.cloud.dev.database.write(do))

    def volume(self) -> str:
        made = self.admin.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
        self.cloud.settle()
        return str(made)

    def user(self, *statements: Document) -> User:
        self.made += 1
        return User(self, f"user{self.made}", list(statements))

    def arn(self, kind: str, wanted: str) -> str:
        account = "" if kind in ("image", "snapshot") else self.account
        return f"arn:aws:ec2:us-east-1:{account}:{kind}/{wanted}"


class User:
    """A user with one inline policy."""

    def __init__(self, world: World, name: str, statements: list[Document]) -> None:
        self.world, self.name = world, name
        self.keys = world.cloud.user(name)
        self.arn = f"arn:aws:iam::{world.account}:user/{name}"
        self.put(*statements)

    def put(self, *statements: Document) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})

        async def work(tx: Any) -> None:
            row = await accounts.user(tx, self.world.account, self.name)
            await iam_inline.put(tx, row.id, "own", document)

        self.world.write(work)

    def client(self, service: str = "ec2") -> Any:
        return self.world.cloud.client(service, keys=self.keys)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("authorization") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        yield World(cloud)


def allow(*actions: str, on: Any = "*", **more: Any) -> Document:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def deny(*actions: str, on: Any = "*", **more: Any) -> Document:
    return {**allow(*actions, on=on, **more), "Effect": "Deny"}


def refused(call: Any, /, **parameters: Any) -> tuple[int, str, str]:
    """(status, code, message) of the refusal."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def dry(call: Any, /, **parameters: Any) -> str:
    """The code that a dry run ends with."""
    return refused(call, DryRun=True, **parameters)[1]


NO, YES = "UnauthorizedOperation", "DryRunOperation"


# --- words ------------------------------------------------------------------------------------------------------------


def test_ec2_says_who_may_not_do_what(world: World) -> None:
    bob = world.user(allow("ec2:DescribeImages"))
    status, code, message = refused(bob.client().describe_instances)
    assert (status, code) == (403, NO)
    assert message == (
        f"You are not authorized to perform this operation. User: {bob.arn} is not authorized to perform: "
        "ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action"
    )


def test_ec2_says_on_what_and_seals_why(world: World) -> None:
    bob = world.user(deny("ec2:*", on=world.arn("volume", "*")))
    _, code, message = refused(bob.client().delete_volume, VolumeId="vol-0123456789abcdef0")
    assert code == NO
    said, _, encoded = message.partition(". Encoded authorization failure message: ")
    assert said.startswith(
        f"You are not authorized to perform this operation. User: {bob.arn} is not authorized to perform: "
        f"ec2:DeleteVolume on resource: {world.arn('volume', 'vol-0123456789abcdef0')} "
        "with an explicit deny in an identity-based policy"
    )
    messages = world.cloud.dev.clc.messages
    opened = json.loads(messages.decoded(world.account, encoded))
    assert opened["explicitDeny"] is True
    assert opened["context"]["action"] == "ec2:DeleteVolume"
    assert opened["context"]["principal"]["arn"] == bob.arn


def test_iam_says_access_denied(world: World) -> None:
    bob = world.user(allow("ec2:*"))
    assert refused(bob.client("iam").create_user, UserName="eve") == (
        403,
        "AccessDenied",
        f"User: {bob.arn} is not authorized to perform: iam:CreateUser on resource: "
        f"arn:aws:iam::{world.account}:user/eve because no identity-based policy allows the iam:CreateUser action",
    )
    assert "eve" not in [each["UserName"] for each in world.cloud.client("iam").list_users()["Users"]]


def test_a_dry_run_tells_whether_one_may(world: World) -> None:
    bob = world.user(allow("ec2:CreateVpc"))
    assert dry(bob.client().create_vpc, CidrBlock="10.9.0.0/16") == YES
    assert dry(bob.client().create_internet_gateway) == NO


def test_everybody_may_ask_who_it_is(world: World) -> None:
    nobody = world.user(deny("*"))
    assert nobody.client("sts").get_caller_identity()["Arn"] == nobody.arn


# --- resources and conditions -----------------------------------------------------------------------------------------


def test_a_policy_about_a_resource_is_about_no_other(world: World) -> None:
    mine, others = (world.volume() for _ in "ab")
    bob = world.user(allow("ec2:DeleteVolume", on=world.arn("volume", mine)))
    assert dry(bob.client().delete_volume, VolumeId=mine) == YES
    assert dry(bob.client().delete_volume, VolumeId=others) == NO
    assert dry(bob.client().delete_volume, VolumeId=mine.upper()) == NO


def test_tags_of_resources_decide(world: World) -> None:
    mine, others = (world.volume() for _ in "ab")
    bob = world.user(allow("ec2:DeleteVolume", Condition={"StringEquals": {"ec2:ResourceTag/Team": "blue"}}))
    world.admin.create_tags(Resources=[mine], Tags=[{"Key": "Team", "Value": "blue"}])
    world.admin.create_tags(Resources=[others], Tags=[{"Key": "Team", "Value": "red"}])
    assert dry(bob.client().delete_volume, VolumeId=mine) == YES
    assert dry(bob.client().delete_volume, VolumeId=others) == NO


def test_one_of_many_resources_that_is_not_allowed_refuses_all(world: World) -> None:
    first, second = (world.volume() for _ in "ab")
    bob = world.user(allow("ec2:CreateTags", on=world.arn("volume", first)))
    tag = [{"Key": "a", "Value": "b"}]
    assert dry(bob.client().create_tags, Resources=[first], Tags=tag) == YES
    assert dry(bob.client().create_tags, Resources=[first, second], Tags=tag) == NO


def test_a_launch_is_held_to_its_type_and_its_disks(world: World) -> None:
    small = {"StringEquals": {"ec2:InstanceType": "t2.micro"}}
    little = {"NumericLessThanEquals": {"ec2:VolumeSize": "10"}}
    others = [world.arn(kind, "*") for kind in ("image", "subnet", "security-group", "network-interface", "key-pair")]
    bob = world.user(
        allow("ec2:RunInstances", on=others),
        allow("ec2:RunInstances", on=world.arn("instance", "*"), Condition=small),
        allow("ec2:RunInstances", on=world.arn("volume", "*"), Condition=little),
    )

    def run(kind: str, size: int, **more: Any) -> str:
        disks = [{"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": size}}]
        return dry(
            bob.client().run_instances, ImageId=world.ami, MinCount=1, MaxCount=1, InstanceType=kind,
            BlockDeviceMappings=disks, **more,
        )  # fmt: skip

    assert run("t2.micro", 10) == YES
    assert run("t2.small", 10) == NO
    assert run("t2.micro", 11) == NO


def test_a_launch_template_is_no_way_around(world: World) -> None:
    world.admin.create_launch_template(
        LaunchTemplateName="large", LaunchTemplateData={"ImageId": world.ami, "InstanceType": "t3.large"}
    )
    small = {"StringEquals": {"ec2:InstanceType": "t2.micro"}}
    kinds = ("image", "subnet", "security-group", "network-interface", "launch-template", "volume")
    bob = world.user(
        allow("ec2:RunInstances", on=[world.arn(kind, "*") for kind in kinds]),
        allow("ec2:RunInstances", on=world.arn("instance", "*"), Condition=small),
    )
    run = bob.client().run_instances
    template = {"LaunchTemplateName": "large"}
    assert dry(run, MinCount=1, MaxCount=1, LaunchTemplate=template) == NO
    assert dry(run, MinCount=1, MaxCount=1, LaunchTemplate=template, InstanceType="t2.micro") == YES
    assert dry(run, MinCount=1, MaxCount=1, LaunchTemplate={"LaunchTemplateName": "none"}) == NO


def test_a_subnet_that_is_not_named_counts_all_the_same(world: World) -> None:
    zone = {"AvailabilityZone": "us-east-1a"}
    subnets = world.admin.describe_subnets(Filters=[{"Name": "availabilityZone", "Values": ["us-east-1a"]}])
    default = next(each["SubnetId"] for each in subnets["Subnets"] if each["DefaultForAz"])
    bob = world.user(allow("ec2:*"), deny("ec2:RunInstances", on=world.arn("subnet", default)))
    run = {"ImageId": world.ami, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro"}
    assert dry(bob.client().run_instances, **run) == NO
    assert dry(bob.client().run_instances, **run, Placement=zone) == NO
    assert dry(bob.client().run_instances, **run, Placement={"AvailabilityZone": "us-east-1b"}) == YES


def test_an_interface_says_its_network_where_the_request_says_none(world: World) -> None:
    vpc = world.admin.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    there = {"ArnEquals": {"ec2:Vpc": world.arn("vpc", vpc)}}
    bob = world.user(allow("ec2:*"), deny("ec2:RunInstances", on=world.arn("network-interface", "*"), Condition=there))
    run = {"ImageId": world.ami, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro"}
    assert dry(bob.client().run_instances, **run) == NO
    elsewhere = {"StringEquals": {"ec2:AvailabilityZone": "us-east-1b"}}
    bob.put(allow("ec2:*"), deny("ec2:RunInstances", on=world.arn("network-interface", "*"), Condition=elsewhere))
    assert dry(bob.client().run_instances, **run) == NO
    assert dry(bob.client().run_instances, **run, Placement={"AvailabilityZone": "us-east-1a"}) == YES


def test_what_one_interface_names_speaks_for_no_other(world: World) -> None:
    """An interface beside it that names no subnet and no group goes into the default ones, and they have to be allowed."""
    zone = {"AvailabilityZone": "us-east-1a"}
    found = world.admin.describe_subnets(Filters=[{"Name": "availabilityZone", "Values": ["us-east-1a"]}])["Subnets"]
    default = next(each for each in found if each["DefaultForAz"])
    vpc = default["VpcId"]
    block = f"{default['CidrBlock'].rsplit('.', 2)[0]}.240.0/24"
    mine = world.admin.create_subnet(VpcId=vpc, CidrBlock=block, **zone)["Subnet"]["SubnetId"]
    group = world.admin.create_security_group(GroupName="mine", Description="d", VpcId=vpc)["GroupId"]
    others = [world.arn(kind, "*") for kind in ("image", "instance", "network-interface", "volume")]
    own = [world.arn("subnet", mine), world.arn("security-group", group)]
    bob = world.user(allow("ec2:RunInstances", on=[*others, *own]))

    def run(second: dict[str, Any]) -> str:
        return dry(
            bob.client().run_instances, ImageId=world.ami, MinCount=1, MaxCount=1, InstanceType="t2.micro", Placement=zone,
            NetworkInterfaces=[
                {"DeviceIndex": 0, "SubnetId": mine, "Groups": [group]}, {"DeviceIndex": 1, **second},
            ],
        )  # fmt: skip

    assert run({"SubnetId": mine, "Groups": [group]}) == YES
    assert run({"SubnetId": mine}) == NO
    assert run({"Groups": [group]}) == NO
    bob.put(allow("ec2:RunInstances", on=[*others, *own, world.arn("subnet", default["SubnetId"])]))
    assert run({"Groups": [group]}) == YES
    assert run({}) == NO


def test_tags_at_creation_need_the_right_to_tag(world: World) -> None:
    wanted = [{"ResourceType": "volume", "Tags": [{"Key": "Team", "Value": "blue"}]}]
    volume = {"AvailabilityZone": "us-east-1a", "Size": 1, "TagSpecifications": wanted}
    bob = world.user(allow("ec2:CreateVolume"))
    assert dry(bob.client().create_volume, **volume) == NO
    bob.put(
        allow("ec2:CreateVolume"),
        allow("ec2:CreateTags", Condition={"StringEquals": {"ec2:CreateAction": "CreateVolume"}}),
    )
    assert dry(bob.client().create_volume, **volume) == YES
    mine = world.volume()
    assert dry(bob.client().create_tags, Resources=[mine], Tags=wanted[0]["Tags"]) == NO


def test_groups_are_found_by_name_and_addresses_by_association(world: World) -> None:
    made = world.admin.create_security_group(GroupName="web", Description="d")["GroupId"]
    bob = world.user(allow("ec2:DeleteSecurityGroup", on=world.arn("security-group", made)))
    assert dry(bob.client().delete_security_group, GroupName="web") == YES
    assert dry(bob.client().delete_security_group, GroupName="default") == NO
    held = world.admin.allocate_address()
    bob.put(allow("ec2:ReleaseAddress", on=world.arn("elastic-ip", held["AllocationId"])))
    assert dry(bob.client().release_address, PublicIp=held["PublicIp"]) == YES
    assert dry(bob.client().release_address, PublicIp=world.admin.allocate_address()["PublicIp"]) == NO


def test_variables_stand_for_the_caller(world: World) -> None:
    bob = world.user()
    own = f"arn:aws:iam::{world.account}:user/${{aws:username}}"
    bob.put(allow("iam:CreateAccessKey", "iam:ListAccessKeys", on=own))
    assert bob.client("iam").list_access_keys()["AccessKeyMetadata"]
    assert refused(bob.client("iam").create_access_key, UserName="admin")[1] == "AccessDenied"


def test_the_address_and_the_client_may_be_asked_for(world: World) -> None:
    bob = world.user(allow("ec2:DescribeVpcs", Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}))
    assert bob.client().describe_vpcs()["Vpcs"]
    bob.put(allow("ec2:DescribeVpcs", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}))
    assert refused(bob.client().describe_vpcs)[1] == NO
    bob.put(allow("ec2:DescribeVpcs", Condition={"StringLike": {"aws:UserAgent": "Boto3/*"}}))
    assert bob.client().describe_vpcs()["Vpcs"]
    bob.put(allow("ec2:DescribeVpcs", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    assert refused(bob.client().describe_vpcs)[1] == NO


def test_a_region_that_is_not_allowed_is_refused(world: World) -> None:
    bob = world.user(allow("*", Condition={"StringEquals": {"aws:RequestedRegion": "eu-central-1"}}))
    assert refused(bob.client().describe_vpcs)[1] == NO


# --- the next request sees it -----------------------------------------------------------------------------------------


def test_a_change_holds_from_the_next_request_on(world: World) -> None:
    bob = world.user(allow("ec2:DescribeVpcs"))
    client = bob.client()
    for _ in range(3):
        client.describe_vpcs()
        bob.put(deny("*"))
        assert refused(client.describe_vpcs)[1] == NO
        bob.put(allow("ec2:Describe*"))


# --- attacks ----------------------------------------------------------------------------------------------------------


def test_letters_case_is_no_way_around_a_deny(world: World) -> None:
    bob = world.user(allow("*"), deny("EC2:describeVPCS"))
    assert refused(bob.client().describe_vpcs)[1] == NO
    bob.put(allow("*"), deny("ec2:deletevolume", on=world.arn("volume", "*")))
    assert dry(bob.client().delete_volume, VolumeId="vol-0123456789abcdef0") == NO


def test_wildcards_in_names_open_nothing(world: World) -> None:
    """A name is what is matched, never what matches."""
    bob = world.user(allow("ec2:DeleteKeyPair", on=world.arn("key-pair", "bobs-key")))
    for name in ("*", "bobs-*", "bobs-ke?", "${aws:username}", "bobs-key/../admins", "bobs-key\n"):
        assert dry(bob.client().delete_key_pair, KeyName=name) == NO
    assert dry(bob.client().delete_key_pair, KeyName="bobs-key") == YES


def test_a_user_whose_name_is_a_pattern_is_not_everybody(world: World) -> None:
    own = f"arn:aws:iam::{world.account}:user/${{aws:username}}"
    eve = User(world, "e.@=,+-_e", [allow("iam:DeleteAccessKey", on=own)])
    key = world.cloud.account("eucalyptus")["access_key_id"]
    assert refused(eve.client("iam").delete_access_key, UserName="admin", AccessKeyId=key)[1] == "AccessDenied"


def test_who_may_launch_may_not_hand_on_any_role(world: World) -> None:
    """The confused deputy within the account: EC2 would use the role for whoever launches."""

    async def make(tx: Any) -> None:
        role = await roles.insert(tx, world.account, "powerful", "{}", 0.0, path="/ops/")
        profile = await instance_profiles.insert(tx, world.account, "powerful", "/", 0.0)
        await instance_profiles.set_role(tx, profile.id, role.id)

    world.write(make)
    bob = world.user(allow("ec2:*"))
    run = {
        "ImageId": world.ami, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro",
        "IamInstanceProfile": {"Name": "powerful"},
    }  # fmt: skip
    _, code, message = refused(bob.client().run_instances, **run)
    assert code == NO
    assert f"iam:PassRole on resource: arn:aws:iam::{world.account}:role/ops/powerful" in message
    bob.put(
        allow("ec2:*"),
        allow(
            "iam:PassRole",
            on=f"arn:aws:iam::{world.account}:role/ops/powerful",
            Condition={"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        ),
    )
    assert refused(bob.client().run_instances, **run)[1] == NO


def test_an_administrator_of_one_account_is_nobody_in_another(world: World) -> None:
    (instance,) = launch(world.cloud, world.ami, 1, InstanceType="t2.micro")
    stranger = world.cloud.client("ec2", "stranger")
    assert refused(stranger.terminate_instances, InstanceIds=[instance])[1] == "InvalidInstanceID.NotFound"
    users = [each["UserName"] for each in world.cloud.client("iam", "stranger").list_users()["Users"]]
    assert users == ["admin"]


def test_a_policy_that_names_another_account_gives_nothing_there(world: World) -> None:
    other = world.cloud.account("stranger")["account_id"]
    bob = world.user(allow("ec2:DeleteVolume", on=f"arn:aws:ec2:us-east-1:{other}:volume/*"))
    theirs = world.cloud.client("ec2", "stranger").create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    assert dry(bob.client().delete_volume, VolumeId=theirs) == NO


def test_a_boundary_gives_nothing_and_limits_all(world: World) -> None:
    bob = world.user(allow("*"))

    async def limit(tx: Any) -> None:
        row = await accounts.user(tx, world.account, bob.name)
        from eucapy.clc.store import iam_names, iam_policies

        document = json.dumps({"Version": "2012-10-17", "Statement": [allow("ec2:Describe*")]})
        policy = await iam_policies.insert(tx, world.account, "limit", "/", None, document, 0.0)
        await iam_names.update(tx, accounts.users, row.id, boundary=iam_policies.arn(policy))
        assert (await power_rows.of_user(tx, row.id)).boundary is not None

    world.write(limit)
    assert bob.client().describe_vpcs()["Vpcs"]
    assert dry(bob.client().create_vpc, CidrBlock="10.9.0.0/16") == NO


def test_a_sealed_message_opens_for_its_own_account_alone(world: World) -> None:
    from eucapy.clc.refusing import UnreadableMessage

    messages = world.cloud.dev.clc.messages
    sealed = messages.encoded("111111111111", "{}")
    assert messages.decoded("111111111111", sealed) == "{}"
    for account, text in (("222222222222", sealed), ("111111111111", sealed[:-4] + "AAAA"), ("111111111111", "x")):
        with pytest.raises(UnreadableMessage):
            messages.decoded(account, text)


# --- the object store -------------------------------------------------------------------------------------------------


def test_identity_policies_decide_in_the_object_store(world: World) -> None:
    world.cloud.client("s3").create_bucket(Bucket="papers")
    world.cloud.client("s3").put_object(Bucket="papers", Key="open/a", Body=b"a")
    world.cloud.client("s3").put_object(Bucket="papers", Key="closed/b", Body=b"b")
    bob = world.user(
        allow("s3:ListAllMyBuckets", on="arn:aws:s3:::*"),
        allow("s3:GetObject", "s3:PutObject", on="arn:aws:s3:::papers/open/*"),
        allow("s3:ListBucket", on="arn:aws:s3:::papers", Condition={"StringLike": {"s3:prefix": "open/*"}}),
    )
    s3 = bob.client("s3")
    assert "papers" in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert s3.get_object(Bucket="papers", Key="open/a")["Body"].read() == b"a"
    assert s3.put_object(Bucket="papers", Key="open/c", Body=b"c")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="papers", Prefix="open/")["Contents"]]
    for call, more in (
        (s3.get_object, {"Key": "closed/b"}),
        (s3.put_object, {"Key": "closed/c", "Body": b"x"}),
        (s3.put_object, {"Key": "open/d", "Body": b"x", "Tagging": "a=b"}),
        (s3.delete_object, {"Key": "open/a"}),
        (s3.list_objects_v2, {}),
        (s3.delete_bucket, {}),
        (s3.get_bucket_policy, {}),
    ):
        assert refused(call, Bucket="papers", **more)[:2] == (403, "AccessDenied")
    assert refused(s3.create_bucket, Bucket="bobs-own")[:2] == (403, "AccessDenied")
    assert refused(s3.get_object, Bucket="papers", Key="closed/b")[2] == (
        f'User: {bob.arn} is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::papers/closed/b" '
        "because no identity-based policy allows the s3:GetObject action"
    )


def test_a_bucket_policy_that_names_a_user_is_enough_in_its_own_account(world: World) -> None:
    world.cloud.client("s3").create_bucket(Bucket="shared")
    bob, eve = world.user(allow("ec2:*")), world.user(deny("s3:*"))
    statement = allow("s3:ListBucket", on="arn:aws:s3:::shared", Principal={"AWS": [bob.arn, eve.arn]})
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    world.cloud.client("s3").put_bucket_policy(Bucket="shared", Policy=policy)
    assert bob.client("s3").list_objects_v2(Bucket="shared")["KeyCount"] == 0
    assert refused(eve.client("s3").list_objects_v2, Bucket="shared")[1] == "AccessDenied"
    assert refused(bob.client("s3").delete_bucket, Bucket="shared")[1] == "AccessDenied"


def test_across_accounts_both_sides_must_allow(world: World) -> None:
    theirs = world.cloud.client("s3", "stranger")
    theirs.create_bucket(Bucket="foreign")
    bob, eve = world.user(allow("s3:ListBucket")), world.user(allow("ec2:*"))
    assert refused(bob.client("s3").list_objects_v2, Bucket="foreign")[1] == "AccessDenied"
    principal = {"AWS": f"arn:aws:iam::{world.account}:root"}
    statement = allow("s3:ListBucket", on="arn:aws:s3:::foreign", Principal=principal)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    theirs.put_bucket_policy(Bucket="foreign", Policy=policy)
    assert bob.client("s3").list_objects_v2(Bucket="foreign")["KeyCount"] == 0
    assert refused(eve.client("s3").list_objects_v2, Bucket="foreign")[1] == "AccessDenied"


def test_a_change_holds_in_the_object_store_too(world: World) -> None:
    world.cloud.client("s3").create_bucket(Bucket="changing")
    bob = world.user(allow("s3:*"))
    s3 = bob.client("s3")
    assert s3.list_objects_v2(Bucket="changing")["KeyCount"] == 0
    bob.put(allow("s3:*"), deny("s3:ListBucket"))
    assert refused(s3.list_objects_v2, Bucket="changing")[1] == "AccessDenied"


@pytest.mark.parametrize(
    ("operation", "parameters", "action"),
    [
        (
            "put_bucket_notification_configuration",
            {"NotificationConfiguration": {}},
            "s3:PutBucketNotification",
        ),
        (
            "put_object_lock_configuration",
            {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
            "s3:PutBucketObjectLockConfiguration",
        ),
        ("get_bucket_cors", {}, "s3:GetBucketCORS"),
        ("get_bucket_encryption", {}, "s3:GetEncryptionConfiguration"),
    ],
)
def test_operations_of_another_name_than_their_action_go_by_the_action(
    world: World, operation: str, parameters: dict[str, Any], action: str
) -> None:
    bucket = f"named-{operation.replace('_', '-')}"
    world.cloud.client("s3").create_bucket(Bucket=bucket)
    s3 = world.user(allow("s3:*"), deny(action)).client("s3")
    assert refused(getattr(s3, operation), Bucket=bucket, **parameters)[0] == 403
