"""Steps 4 to 6 of moving a machine in, with the aws CLI as it comes: an administrator by group, a private bucket, a role for
the import that reads that bucket and nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eucapy.run import RunError, run_now
from tests.harness.cloud import Cloud

Aws = Callable[..., Any]


@pytest.fixture
def cloud(tmp_path: Path) -> Any:
    with Cloud(tmp_path / "cloud") as cloud:
        yield cloud


def aws_of(cloud: Cloud, keys: dict[str, str]) -> Aws:
    """Runs the CLI as whoever the keys belong to; what it answers, as JSON where it is."""

    def aws(*words: str) -> Any:
        environment = {
            "AWS_ACCESS_KEY_ID": keys["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": keys["secret_access_key"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }
        command = (sys.executable, "-m", "awscli", "--endpoint-url", cloud.endpoint, *words)
        said = run_now(*command, env=environment, timeout_s=120).stdout
        return json.loads(said) if said.lstrip()[:1] in ("{", "[") else said

    return aws


def test_an_administrator_a_bucket_and_a_role_for_the_import(cloud: Cloud, tmp_path: Path) -> None:
    first = aws_of(cloud, cloud.account("eucalyptus"))
    account = cloud.account("eucalyptus")["account_id"]

    # 4. a group with AdministratorAccess, a user in it with a password to be changed, and an access key
    first("iam", "create-group", "--group-name", "administrators")
    first(
        "iam", "attach-group-policy", "--group-name", "administrators",
        "--policy-arn", "arn:aws:iam::aws:policy/AdministratorAccess",
    )  # fmt: skip
    first("iam", "create-user", "--user-name", "Administrator")
    first("iam", "add-user-to-group", "--group-name", "administrators", "--user-name", "Administrator")
    profile = first(
        "iam", "create-login-profile", "--user-name", "Administrator", "--password", "Correct-Horse-7",
        "--password-reset-required",
    )  # fmt: skip
    assert profile["LoginProfile"]["PasswordResetRequired"] is True
    key = first("iam", "create-access-key", "--user-name", "Administrator")["AccessKey"]
    listed = first("iam", "list-access-keys", "--user-name", "Administrator")["AccessKeyMetadata"]
    assert [sorted(each) for each in listed] == [["AccessKeyId", "CreateDate", "Status", "UserName"]]
    keys = {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
    administrator = aws_of(cloud, keys)
    who = administrator("sts", "get-caller-identity")
    assert who["Arn"] == f"arn:aws:iam::{account}:user/Administrator"

    # 5. a bucket, private by default
    administrator("s3", "mb", "s3://importkvm")
    disk = tmp_path / "deploy1.raw"
    disk.write_bytes(b"\0" * (9 << 20))
    administrator("s3", "cp", str(disk), "s3://importkvm/")
    stranger = aws_of(cloud, cloud.account("stranger"))
    with pytest.raises(RunError, match="403"):
        stranger("s3", "cp", "s3://importkvm/deploy1.raw", str(tmp_path / "stolen"))

    # 6. the role vmimport, for the import service under its external id, and what it may
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "vmie.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:Externalid": "vmimport"}},
            }
        ],
    }
    (tmp_path / "trust-policy.json").write_text(json.dumps(trust))
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"],
                "Resource": ["arn:aws:s3:::importkvm", "arn:aws:s3:::importkvm/*"],
            },
            {
                "Effect": "Allow",
                "Action": ["ec2:ModifySnapshotAttribute", "ec2:CopySnapshot", "ec2:RegisterImage", "ec2:Describe*"],
                "Resource": "*",
            },
        ],
    }
    (tmp_path / "role-policy.json").write_text(json.dumps(policy))
    made = administrator(
        "iam", "create-role", "--role-name", "vmimport",
        "--assume-role-policy-document", f"file://{tmp_path}/trust-policy.json",
    )  # fmt: skip
    assert made["Role"]["Arn"] == f"arn:aws:iam::{account}:role/vmimport"
    assert made["Role"]["AssumeRolePolicyDocument"] == trust
    administrator(
        "iam", "put-role-policy", "--role-name", "vmimport", "--policy-name", "vmimport",
        "--policy-document", f"file://{tmp_path}/role-policy.json",
    )  # fmt: skip
    kept = administrator("iam", "get-role-policy", "--role-name", "vmimport", "--policy-name", "vmimport")
    assert kept["PolicyDocument"] == policy

    # the role is the service's alone, and what it may ends where its policy does
    with pytest.raises(RunError, match="AccessDenied"):
        administrator(
            "sts", "assume-role", "--role-arn", made["Role"]["Arn"], "--role-session-name", "me",
            "--external-id", "vmimport",
        )  # fmt: skip
    answer = administrator(
        "iam", "simulate-principal-policy", "--policy-source-arn", made["Role"]["Arn"],
        "--action-names", "s3:GetObject", "s3:PutObject",
        "--resource-arns", "arn:aws:s3:::importkvm/deploy1.raw", "arn:aws:s3:::other/deploy1.raw",
    )  # fmt: skip
    decided = {
        (each["EvalActionName"], one["EvalResourceName"]): one["EvalResourceDecision"]
        for each in answer["EvaluationResults"]
        for one in each["ResourceSpecificResults"]
    }
    assert decided == {
        ("s3:GetObject", "arn:aws:s3:::importkvm/deploy1.raw"): "allowed",
        ("s3:GetObject", "arn:aws:s3:::other/deploy1.raw"): "implicitDeny",
        ("s3:PutObject", "arn:aws:s3:::importkvm/deploy1.raw"): "implicitDeny",
        ("s3:PutObject", "arn:aws:s3:::other/deploy1.raw"): "implicitDeny",
    }
