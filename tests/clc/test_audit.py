"""The audit trail says who did what, on what, from where, and whether it was allowed; `eucapy audit` finds it again."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from eucapy.cli import main as command
from tests.clc.launching import image
from tests.harness.cloud import Cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Any:
    with Cloud(tmp_path / "cloud") as cloud:
        yield cloud


def search(cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    """What `eucapy audit` finds in the cloud's trail."""
    cloud.dev.clc.audit.flush()
    if not (tmp_path / "clc").exists():
        (tmp_path / "clc").symlink_to(cloud.dev.clc.config.data)
    capsys.readouterr()
    assert command.main(["--data", str(tmp_path), "audit", "--json", *options]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_was_done_is_found_again(cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ec2 = cloud.client("ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    cloud.settle()
    answer = ec2.delete_volume(VolumeId=volume)
    made, line = search(cloud, tmp_path, capsys, "--resource", volume, "--writes")
    assert made["action"] == "CreateVolume"
    assert line["principal"].endswith(":user/admin")
    assert (line["service"], line["action"], line["outcome"], line["status"]) == ("ec2", "DeleteVolume", "allowed", 200)
    assert line["resources"] == [f"arn:aws:ec2:us-east-1:{line['account']}:volume/{volume}"]
    assert line["from"] == "127.0.0.1"
    assert line["request"] == answer["ResponseMetadata"]["RequestId"]


def test_what_was_made_is_found_by_its_id(cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A launch by the instance, its interface and its volumes; a snapshot by itself, and by nothing that its text speaks of."""
    ec2 = cloud.client("ec2")
    ebs = {"VolumeSize": 1, "DeleteOnTermination": True}
    ran = ec2.run_instances(
        ImageId=image(cloud), MinCount=1, MaxCount=1, BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": ebs}]
    )["Instances"][0]
    cloud.settle()
    disks = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [ran["InstanceId"]]}])["Volumes"]
    other = "i-0123456789abcdef0"
    copied = ec2.create_snapshot(VolumeId=disks[0]["VolumeId"], Description=other)["SnapshotId"]
    for made in (ran["InstanceId"], ran["NetworkInterfaces"][0]["NetworkInterfaceId"]):
        (line,) = search(cloud, tmp_path, capsys, "--resource", made, "--writes")
        assert line["action"] == "RunInstances"
    (line,) = search(cloud, tmp_path, capsys, "--resource", copied, "--writes")
    assert line["action"] == "CreateSnapshot"
    assert search(cloud, tmp_path, capsys, "--resource", other) == []


def test_what_was_denied_says_why_and_gives_nothing_away(
    cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    powerless = cloud.client("ec2", keys=cloud.user("powerless"))
    with pytest.raises(ClientError):
        powerless.delete_volume(VolumeId="vol-0123456789abcdef0")
    (line,) = search(cloud, tmp_path, capsys, "--denied")
    assert (line["outcome"], line["error"]) == ("denied", "UnauthorizedOperation")
    assert "because no identity-based policy allows the ec2:DeleteVolume action" in line["message"]
    assert "Encoded" not in line["message"]


def test_requests_of_nobody_are_told_apart(cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {**cloud.account("eucalyptus"), "secret_access_key": "x" * 40}
    with pytest.raises(ClientError):
        cloud.client("ec2", keys=wrong).describe_vpcs()
    (line,) = search(cloud, tmp_path, capsys, "--unknown")
    assert (line["outcome"], line["principal"], line["error"]) == ("unknown", "", "AuthFailure")


def test_a_secret_is_in_no_line(cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    iam = cloud.client("iam")
    iam.create_user(UserName="bob")
    iam.create_login_profile(UserName="bob", Password="correct-Horse-7-battery")
    secret = iam.create_access_key(UserName="bob")["AccessKey"]["SecretAccessKey"]
    cloud.dev.clc.audit.flush()
    text = (Path(cloud.dev.clc.config.data) / "audit.jsonl").read_text()
    assert "CreateLoginProfile" in text
    assert "correct-Horse" not in text
    assert secret not in text


def test_words_narrow_what_is_found(cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.client("ec2").describe_vpcs()
    cloud.client("ec2", "other").describe_vpcs()
    other = cloud.account("other")["account_id"]
    assert [each["account"] for each in search(cloud, tmp_path, capsys, "--account", other)] == [other]
    assert search(cloud, tmp_path, capsys, "--action", "ec2:describev?cs", "--who", "ADMIN")
    assert search(cloud, tmp_path, capsys, "--action", "ec2:Terminate*") == []
    assert search(cloud, tmp_path, capsys, "--until", "1h") == []
    assert len(search(cloud, tmp_path, capsys, "-n", "1", "--since", "1h")) == 1
    assert command.main(["--data", str(tmp_path), "audit", "--since", "yesterday"]) == 1


def test_an_assumed_role_is_told_with_its_role(
    cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account = cloud.account("eucalyptus")["account_id"]
    trust = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    cloud.client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument=document)
    role = f"arn:aws:iam::{account}:role/reader"
    found = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="nightly")["Credentials"]
    ec2 = boto3.client(
        "ec2", endpoint_url=cloud.endpoint, region_name="us-east-1", aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"], aws_session_token=found["SessionToken"],
    )  # fmt: skip
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        ec2.describe_vpcs()
    (line,) = search(cloud, tmp_path, capsys, "--denied")
    assert line["principal"] == f"arn:aws:sts::{account}:assumed-role/reader/nightly"
    assert line["session_of"] == role


@pytest.mark.parametrize("header", ["User-Agent", "Authorization", "X-Amz-Security-Token", "Referer"])
def test_bytes_that_are_no_text_end_no_trail(
    cloud: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str
) -> None:
    """One such line once ended the writing of all that came after it."""
    host, port = cloud.dev.address
    scheme = (
        b"AWS4-HMAC-SHA256 Credential=\xff\xfe/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=\xff"
    )
    said = scheme + b"\r\nX-Amz-Date: 20260101T000000Z" if header == "Authorization" else b"mal\xffory"
    lines = (
        b"POST / HTTP/1.1", b"Host: ec2.localhost", b"Content-Type: application/x-www-form-urlencoded",
        header.encode() + b": " + said, b"Content-Length: 22", b"", b"Action=DescribeRegions",
    )  # fmt: skip
    with socket.create_connection((host, port), timeout=20) as wire:
        wire.sendall(b"\r\n".join(lines))
        assert int(wire.recv(12).split()[1]) in (400, 401, 403)
    cloud.client("ec2").describe_regions()
    told = search(cloud, tmp_path, capsys)
    assert told[-1]["status"] == 200
    assert any(line["principal"] == "" for line in told)
