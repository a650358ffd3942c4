"""`eucapy explain` and `eucapy account` through the operator's port of a whole cloud."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eucapy.cli import main as command
from eucapy.cli.operator import Operator
from eucapy.wire.server import Listener
from tests.harness.cloud import Cloud

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(tmp_path_factory.mktemp("explaining") / "cloud") as cloud:
        yield cloud


@pytest.fixture
def run(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Runs a command; its status and what it printed."""

    async def listen() -> tuple[Listener, int]:
        listener = Listener(cloud.dev.clc.operator_port(), "127.0.0.1", 0)
        return listener, await listener.start()

    listener, port = cloud.run(listen())
    monkeypatch.setattr(Operator, "of", lambda *_: Operator(f"http://127.0.0.1:{port}", None))

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        status = command.main(["--data", str(tmp_path), *arguments])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    yield run
    cloud.run(listener.stop())


def test_a_refusal_is_explained_by_the_statement_that_denies(cloud: Cloud, run: Run) -> None:
    cloud.user("alice")
    statements = [
        {"Sid": "All", "Effect": "Allow", "Action": "ec2:*", "Resource": "*"},
        {"Sid": "NotThese", "Effect": "Deny", "Action": "ec2:Terminate*", "Resource": "*",
         "Condition": {"StringNotEquals": {"ec2:ResourceTag/Owner": "${aws:username}"}}},
    ]  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    cloud.client("iam").put_user_policy(UserName="alice", PolicyName="own", PolicyDocument=document)
    status, said = run("explain", "alice", "ec2:TerminateInstances")
    assert status == 3
    assert said.startswith("denied: ")
    assert "with an explicit deny in an identity-based policy" in said
    assert "NotThese" in said
    assert "ec2:resourcetag/owner" in said
    status, said = run("explain", "alice", "ec2:TerminateInstances", "--key", "ec2:ResourceTag/Owner=alice")
    assert (status, said.partition(":")[0]) == (0, "allowed")
    assert "statement All of inline own (identity-based policy) allows it" in said


def test_roles_roots_and_other_accounts_are_explained(cloud: Cloud, run: Run) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam = cloud.client("iam")
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=document)
    iam.attach_role_policy(RoleName="reader", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert run("explain", "role/reader", "s3:GetObject", "arn:aws:s3:::b/k")[0] == 0
    status, said = run("explain", "role/reader", "s3:PutObject", "arn:aws:s3:::b/k", "--json")
    assert status == 3
    assert json.loads(said)["policies"] == ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]
    assert run("explain", "root", "iam:DeleteUser")[0] == 0
    other = cloud.account("other")["account_id"]
    assert run("explain", f"arn:aws:iam::{other}:user/admin", "iam:DeleteUser")[0] == 0
    assert run("explain", "nobody", "ec2:DescribeVpcs") == (1, "eucapy: the account eucalyptus has no user nobody\n")
    assert run("explain", "admin", "everything")[0] == 1


def test_accounts_are_limited_and_deleted_by_command(cloud: Cloud, run: Run, tmp_path: Path) -> None:
    assert run("account", "create", "physics")[0] == 0
    limit = {
        "Effect": "Limit", "Action": "ec2:*", "Resource": "*",
        "Condition": {"NumericLessThanEquals": {"ec2:quota-vpcnumber": "1"}},
    }  # fmt: skip
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"Statement": [limit]}))
    status, said = run("account", "limit", "physics", "vpcs", str(file))
    assert (status, json.loads(said)["vpcs"]["Statement"]) == (0, [limit])
    assert run("account", "limit", "physics", "vpcs", "--remove") == (0, "{}\n")
    assert run("account", "limit", "physics", "vpcs", "--remove")[0] == 1
    file.write_text("{}")
    assert run("account", "limit", "physics", "vpcs", str(file))[0] == 1
    assert run("account", "delete", "physics")[0] == 0
    assert "physics" not in run("account", "list")[1]
    assert run("account", "delete", "eucalyptus")[0] == 1
