"""What temporary credentials may do: their role's policies, less what the session's own leave out, on every service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clc.launching import error
from tests.clc.sts.granting import role, trust, with_credentials
from tests.harness.cloud import Cloud


def policy(*actions: str, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [{**statement, **({"Condition": condition} if condition else {})}]}


@pytest.fixture(scope="module")
def bucket(cloud: Cloud) -> str:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="powers")
    for key in ("red/1", "blue/1"):
        s3.put_object(Bucket="powers", Key=key, Body=b"x")
    return "powers"


def assumed(cloud: Cloud, name: str, allowed: dict[str, Any], **given: Any) -> dict[str, Any]:
    account = cloud.account("eucalyptus")["account_id"]
    arn = role(cloud, name, trust({"AWS": account}, ["sts:AssumeRole", "sts:TagSession"]), allowed=allowed)
    answer = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="s-1", **given)
    return dict(answer["Credentials"])


def test_a_session_may_what_its_role_may(cloud: Cloud, bucket: str) -> None:
    held = assumed(cloud, "reader", policy("s3:GetObject", "ec2:DescribeVpcs"))
    s3, ec2 = with_credentials(cloud, "s3", held), with_credentials(cloud, "ec2", held)
    assert s3.get_object(Bucket=bucket, Key="red/1")["Body"].read() == b"x"
    assert ec2.describe_vpcs()["Vpcs"]
    assert error(s3.put_object, Bucket=bucket, Key="red/2", Body=b"y")[0] == "AccessDenied"
    assert error(ec2.describe_instances)[0] == "UnauthorizedOperation"
    assert error(with_credentials(cloud, "iam", held).list_users)[0] == "AccessDenied"
    assert with_credentials(cloud, "sts", held).get_caller_identity()["Account"]


def test_a_session_policy_takes_away_and_never_adds(cloud: Cloud, bucket: str) -> None:
    wide = policy("s3:*", "ec2:DescribeVpcs")
    narrow = policy("s3:GetObject", "ec2:DescribeInstances", resource="*")
    held = assumed(cloud, "narrowed", wide, Policy=json.dumps(narrow))
    s3, ec2 = with_credentials(cloud, "s3", held), with_credentials(cloud, "ec2", held)
    assert s3.get_object(Bucket=bucket, Key="red/1")["Body"].read() == b"x"
    assert error(s3.put_object, Bucket=bucket, Key="red/2", Body=b"y")[0] == "AccessDenied"
    assert error(ec2.describe_vpcs)[0] == "UnauthorizedOperation"  # the role's alone
    assert error(ec2.describe_instances)[0] == "UnauthorizedOperation"  # the session's alone


def test_a_managed_policy_limits_a_session_too(cloud: Cloud) -> None:
    arn = "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"
    held = assumed(cloud, "managed", policy("*"), PolicyArns=[{"arn": arn}])
    assert with_credentials(cloud, "ec2", held).describe_vpcs()["Vpcs"]
    assert error(with_credentials(cloud, "ec2", held).create_key_pair, KeyName="x")[0] == "UnauthorizedOperation"
    assert error(with_credentials(cloud, "s3", held).list_buckets)[0] == "AccessDenied"


def test_a_sessions_tags_decide_which_objects_are_its_own(cloud: Cloud, bucket: str) -> None:
    own = policy("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/team}}/*")
    held = assumed(cloud, "tagged", own, Tags=[{"Key": "team", "Value": "red"}])
    s3 = with_credentials(cloud, "s3", held)
    assert s3.get_object(Bucket=bucket, Key="red/1")["Body"].read() == b"x"
    assert error(s3.get_object, Bucket=bucket, Key="blue/1")[0] == "AccessDenied"


def test_a_change_of_the_role_counts_for_the_next_request(cloud: Cloud, bucket: str) -> None:
    held = assumed(cloud, "changing", policy("ec2:DescribeVpcs", "s3:GetObject"))
    ec2, s3 = with_credentials(cloud, "ec2", held), with_credentials(cloud, "s3", held)
    assert ec2.describe_vpcs()["Vpcs"]
    assert s3.get_object(Bucket=bucket, Key="red/1")
    cloud.client("iam").delete_role_policy(RoleName="changing", PolicyName="allowed")
    assert error(ec2.describe_vpcs)[0] == "UnauthorizedOperation"
    assert error(s3.get_object, Bucket=bucket, Key="red/1")[0] == "AccessDenied"


def test_a_federated_user_without_policies_may_nothing(cloud: Cloud) -> None:
    sts = cloud.client("sts")
    plain = sts.get_federation_token(Name="plain")["Credentials"]
    assert error(with_credentials(cloud, "ec2", plain).describe_vpcs)[0] == "UnauthorizedOperation"
    some = sts.get_federation_token(Name="some", Policy=json.dumps(policy("ec2:DescribeVpcs")))["Credentials"]
    assert with_credentials(cloud, "ec2", some).describe_vpcs()["Vpcs"]
    assert error(with_credentials(cloud, "ec2", some).describe_instances)[0] == "UnauthorizedOperation"


def test_tags_for_a_federated_user_need_the_right_to_tag_sessions(cloud: Cloud) -> None:
    """Policies are written in terms of aws:PrincipalTag: who may give itself tags might take what is another team's."""
    keys = cloud.user("federating")
    iam, sts = cloud.client("iam"), cloud.client("sts", keys=keys)
    put = {"UserName": "federating", "PolicyName": "own"}
    tagged = {"Name": "blue", "Tags": [{"Key": "team", "Value": "blue"}]}
    iam.put_user_policy(**put, PolicyDocument=json.dumps(policy("sts:GetFederationToken")))
    assert sts.get_federation_token(Name="plain")["Credentials"]
    code, message = error(sts.get_federation_token, **tagged)
    assert (code, "sts:TagSession" in message) == ("AccessDenied", True)
    iam.put_user_policy(**put, PolicyDocument=json.dumps(policy("sts:GetFederationToken", "sts:TagSession")))
    assert sts.get_federation_token(**tagged)["Credentials"]


def test_what_ec2_says_sealed_of_a_refusal_is_opened_by_its_account_alone(cloud: Cloud) -> None:
    held = assumed(cloud, "refused", policy("ec2:DescribeVpcs"))
    code, message = error(with_credentials(cloud, "ec2", held).create_vpc, CidrBlock="10.99.0.0/16")
    assert code == "UnauthorizedOperation"
    encoded = message.rpartition("Encoded authorization failure message: ")[2]
    decoded = json.loads(cloud.client("sts").decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"])
    assert (decoded["allowed"], decoded["explicitDeny"]) == (False, False)
    assert decoded["context"]["action"] == "ec2:CreateVpc"
    assert decoded["context"]["principal"]["arn"].endswith(":assumed-role/refused/s-1")
    for client, text in (
        (cloud.client("sts", "other"), encoded),
        (cloud.client("sts"), "nothing"),
        (cloud.client("sts"), encoded[:-8]),
    ):
        assert (
            error(client.decode_authorization_message, EncodedMessage=text)[0] == "InvalidAuthorizationMessageException"
        )
