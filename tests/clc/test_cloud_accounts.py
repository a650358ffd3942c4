"""Accounts of the cloud and their quotas: Eucalyptus's account calls, and what account policies limit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from xml.etree import ElementTree

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from eucapy.clc.limits import InvalidLimits, parse
from tests.clc.launching import image
from tests.harness.cloud import Cloud

SPACE = "{https://iam.amazonaws.com/doc/2010-05-08/}"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("accounts") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        yield cloud


def call(cloud: Cloud, action: str, keys: dict[str, str] | None = None, **parameters: str) -> ElementTree.Element:
    """The answer of a call that botocore does not know. Raises HTTPError."""
    keys = keys or cloud.account("eucalyptus")
    body = urlencode({"Action": action, "Version": "2010-05-08", **parameters})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = AWSRequest("POST", cloud.endpoint, data=body, headers=headers)
    credentials = Credentials(keys["access_key_id"], keys["secret_access_key"])
    SigV4Auth(credentials, "iam", "us-east-1").add_auth(request)
    with urlopen(Request(cloud.endpoint, body.encode(), dict(request.headers.items())), timeout=30) as answer:
        return ElementTree.fromstring(answer.read())


def refusal(cloud: Cloud, action: str, keys: dict[str, str] | None = None, **parameters: str) -> tuple[int, str]:
    """(status, code) of the refusal."""
    with pytest.raises(HTTPError) as caught:
        call(cloud, action, keys, **parameters)
    found = ElementTree.fromstring(caught.value.read()).find(f".//{SPACE}Code")
    assert found is not None
    return caught.value.code, str(found.text)


def texts(answer: ElementTree.Element, name: str) -> list[str | None]:
    return [each.text for each in answer.iter(f"{SPACE}{name}")]


def limited(cloud: Cloud, account: str, action: str, **quotas: int) -> None:
    """Give the account a policy; a quota's colon and hyphen are written as underscores."""
    keys = {name.replace("_", ":", 1).replace("_", "-", 1): str(most) for name, most in quotas.items()}
    statement = {
        "Effect": "Limit", "Action": action, "Resource": "*", "Condition": {"NumericLessThanEquals": keys},
    }  # fmt: skip
    document = json.dumps({"Version": "2011-04-01", "Statement": [statement]})
    call(cloud, "PutAccountPolicy", AccountName=account, PolicyName=action.replace(":", "-"), PolicyDocument=document)


def code(operation: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        operation(**parameters)
    return str(caught.value.response["Error"]["Code"])


def test_an_account_is_made_and_listed_and_goes(cloud: Cloud) -> None:
    made = call(cloud, "CreateAccount", AccountName="physics")
    (number,) = texts(made, "AccountId")
    assert len(str(number)) == 12
    assert "physics" in texts(call(cloud, "ListAccounts"), "AccountName")
    keys = cloud.run(cloud.dev.database.write(lambda tx: cloud.dev.clc.operations.create_key(tx, "physics", "admin")))
    assert cloud.client("sts", keys=keys).get_caller_identity()["Account"] == number
    assert cloud.client("ec2", keys=keys).describe_vpcs()["Vpcs"][0]["IsDefault"]
    cloud.client("iam", keys=keys).create_user(UserName="ada")
    assert refusal(cloud, "DeleteAccount", AccountName="physics") == (409, "DeleteConflict")
    call(cloud, "DeleteAccount", AccountName="physics", Recursive="true")
    assert "physics" not in texts(call(cloud, "ListAccounts"), "AccountName")
    assert code(cloud.client("sts", keys=keys).get_caller_identity) == "InvalidClientTokenId"


def test_an_account_that_has_something_stays(cloud: Cloud) -> None:
    call(cloud, "CreateAccount", AccountName="biology")
    keys = cloud.run(cloud.dev.database.write(lambda tx: cloud.dev.clc.operations.create_key(tx, "biology", "admin")))
    cloud.client("ec2", keys=keys).create_volume(AvailabilityZone="us-east-1a", Size=1)
    assert refusal(cloud, "DeleteAccount", AccountName="biology", Recursive="true") == (409, "DeleteConflict")


def test_an_account_with_buckets_stays_and_so_does_one_whose_buckets_nobody_can_tell(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = cloud.client("s3", "keeping")
    s3.create_bucket(Bucket="kept")
    assert refusal(cloud, "DeleteAccount", AccountName="keeping", Recursive="true") == (409, "DeleteConflict")
    s3.delete_bucket(Bucket="kept")
    with monkeypatch.context() as patch:
        patch.setattr(cloud.dev.clc.objects, "_url", "http://127.0.0.1:9")
        assert refusal(cloud, "DeleteAccount", AccountName="keeping") == (503, "ServiceUnavailable")
    assert "keeping" in texts(call(cloud, "ListAccounts"), "AccountName")
    call(cloud, "DeleteAccount", AccountName="keeping")
    assert "keeping" not in texts(call(cloud, "ListAccounts"), "AccountName")


def test_names_are_the_clouds_own(cloud: Cloud) -> None:
    assert refusal(cloud, "CreateAccount", AccountName="eucalyptus") == (409, "EntityAlreadyExists")
    assert refusal(cloud, "CreateAccount", AccountName="Not A Name")[0] == 400
    assert refusal(cloud, "DeleteAccount", AccountName="nobodys") == (404, "NoSuchEntity")
    assert refusal(cloud, "DeleteAccount", AccountName="eucalyptus", Recursive="true") == (403, "AccessDenied")


@pytest.mark.parametrize("action", ["CreateAccount", "DeleteAccount", "ListAccounts", "PutAccountPolicy"])
def test_other_accounts_administer_none(cloud: Cloud, action: str) -> None:
    parameters = {"AccountName": "eucalyptus", "PolicyName": "p", "PolicyDocument": "{}"}
    wanted = {} if action == "ListAccounts" else parameters
    assert refusal(cloud, action, cloud.account("other"), **wanted) == (403, "AccessDenied")
    assert refusal(cloud, action, cloud.user(f"nobody-{action}"), **wanted) == (403, "AccessDenied")


def test_a_policy_of_an_account_is_kept_and_goes(cloud: Cloud) -> None:
    cloud.account("chemistry")
    limited(cloud, "chemistry", "ec2:CreateVpc", ec2_quota_vpcnumber=1)
    vpc = {"CidrBlock": "10.9.0.0/16"}
    assert texts(call(cloud, "ListAccountPolicies", AccountName="chemistry"), "member") == ["ec2-CreateVpc"]
    (found,) = texts(
        call(cloud, "GetAccountPolicy", AccountName="chemistry", PolicyName="ec2-CreateVpc"), "PolicyDocument"
    )
    assert "ec2:quota-vpcnumber" in str(found)
    assert code(cloud.client("ec2", "chemistry").create_vpc, **vpc) == "VpcLimitExceeded"
    call(cloud, "DeleteAccountPolicy", AccountName="chemistry", PolicyName="ec2-CreateVpc")
    assert cloud.client("ec2", "chemistry").create_vpc(**vpc)
    assert refusal(cloud, "DeleteAccountPolicy", AccountName="chemistry", PolicyName="none") == (404, "NoSuchEntity")


def test_quotas_of_instances_hold(cloud: Cloud) -> None:
    ami = _public_image(cloud)
    ec2 = cloud.client("ec2", "computing")
    run = {"ImageId": ami, "InstanceType": "t2.micro"}
    limited(cloud, "computing", "ec2:RunInstances", ec2_quota_vminstancenumber=2)
    assert code(ec2.run_instances, MinCount=3, MaxCount=3, **run) == "InstanceLimitExceeded"
    assert ec2.describe_instances()["Reservations"] == []
    ec2.run_instances(MinCount=2, MaxCount=2, **run)
    assert code(ec2.run_instances, MinCount=1, MaxCount=1, **run) == "InstanceLimitExceeded"
    assert code(ec2.run_instances, MinCount=1, MaxCount=1, DryRun=True, **run) == "InstanceLimitExceeded"
    limited(cloud, "computing", "ec2:RunInstances", ec2_quota_cputotalsize=2)
    assert code(ec2.run_instances, MinCount=1, MaxCount=1, **run) == "VcpuLimitExceeded"
    limited(cloud, "computing", "ec2:RunInstances", ec2_quota_vminstancenumber=3)
    assert ec2.run_instances(MinCount=1, MaxCount=1, **run)["Instances"]


def _public_image(cloud: Cloud) -> str:
    ami = image(cloud)
    cloud.client("ec2").modify_image_attribute(ImageId=ami, LaunchPermission={"Add": [{"Group": "all"}]})
    return ami


def test_quotas_of_storage_hold(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2", "storing")
    limited(
        cloud, "storing", "ec2:*", ec2_quota_volumenumber=2, ec2_quota_volumetotalsize=10, ec2_quota_snapshotnumber=0
    )
    zone = {"AvailabilityZone": "us-east-1a"}
    assert code(ec2.create_volume, Size=11, **zone) == "VolumeLimitExceeded"
    first = ec2.create_volume(Size=1, **zone)["VolumeId"]
    ec2.create_volume(Size=1, **zone)
    assert code(ec2.create_volume, Size=1, **zone) == "VolumeLimitExceeded"
    cloud.settle()
    assert code(ec2.create_snapshot, VolumeId=first) == "SnapshotLimitExceeded"
    assert code(ec2.modify_volume, VolumeId=first, Size=10) == "VolumeLimitExceeded"
    ec2.delete_volume(VolumeId=first)
    assert ec2.create_volume(Size=1, **zone)


def test_quotas_of_people_hold(cloud: Cloud) -> None:
    iam = cloud.client("iam", "crowded")
    limited(cloud, "crowded", "iam:*", iam_quota_usernumber=2, iam_quota_groupnumber=0)
    iam.create_user(UserName="ada")
    assert code(iam.create_user, UserName="bob") == "LimitExceeded"
    assert code(iam.create_group, GroupName="all") == "LimitExceeded"
    iam.delete_user(UserName="ada")
    assert iam.create_user(UserName="bob")


def test_quotas_of_the_object_store_hold(cloud: Cloud) -> None:
    s3 = cloud.client("s3", "hoarding")
    s3.create_bucket(Bucket="hoard")
    limited(
        cloud, "hoarding", "s3:*", s3_quota_bucketnumber=2, s3_quota_buckettotalsize=2, s3_quota_bucketobjectnumber=3
    )
    s3.create_bucket(Bucket="hoard2")
    assert code(s3.create_bucket, Bucket="hoard3") == "TooManyBuckets"
    half = b"x" * (900 << 10)
    s3.put_object(Bucket="hoard", Key="a", Body=half)
    s3.put_object(Bucket="hoard2", Key="b", Body=half)
    assert code(s3.put_object, Bucket="hoard", Key="c", Body=half) == "QuotaExceeded"
    s3.delete_object(Bucket="hoard2", Key="b")
    s3.put_object(Bucket="hoard", Key="c", Body=half)
    s3.delete_object(Bucket="hoard", Key="c")
    for key in "de":
        s3.put_object(Bucket="hoard", Key=key, Body=b"small")
    assert code(s3.put_object, Bucket="hoard", Key="f", Body=b"small") == "QuotaExceeded"
    assert s3.get_object(Bucket="hoard", Key="e")["Body"].read() == b"small"
    call(cloud, "DeleteAccountPolicy", AccountName="hoarding", PolicyName="s3-*")
    assert s3.put_object(Bucket="hoard", Key="f", Body=b"small")


def test_what_is_too_much_already_keeps_nobody_from_deleting(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2", "shrinking")
    volumes = [ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"] for _ in range(3)]
    cloud.settle()
    limited(cloud, "shrinking", "ec2:*", ec2_quota_volumenumber=1)
    for volume in volumes:
        ec2.delete_volume(VolumeId=volume)


@pytest.mark.parametrize(
    "document",
    [
        "no json",
        "[]",
        '{"Statement": []}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}',
        '{"Statement": {"Effect": "Limit", "Action": "ec2:*"}}',
        *(
            f'{{"Statement": {{"Effect": "Limit", "Action": {action}, "Condition": {{{condition}}}}}}}'
            for action, condition in (
                ('"*"', '"StringEquals": {"ec2:quota-vpcnumber": 1}'),
                ("3", '"NumericLessThanEquals": {"ec2:quota-vpcnumber": 1}'),
                ('"*"', '"NumericLessThanEquals": {"ec2:vpcs": 1}'),
                ('"*"', '"NumericLessThanEquals": {"ec2:quota-vpcnumber": -1}'),
                ('"*"', '"NumericLessThanEquals": {"ec2:quota-vpcnumber": true}'),
            )
        ),
    ],
)
def test_what_limits_nothing_is_no_account_policy(document: str) -> None:
    with pytest.raises(InvalidLimits):
        parse(document)
