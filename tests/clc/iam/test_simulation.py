"""The policy simulator, as boto3 sees it; its texts and places are those of AWS's own examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clc.launching import error
from tests.harness.cloud import Cloud

AFTER_A_DATE = (
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*",'
    '"Condition":{"DateGreaterThan":{"aws:CurrentTime":"2018-08-16T12:00:00Z"}}}}'
)
BUCKETS = ["arn:aws:s3:::open/k", "arn:aws:s3:::closed/k"]


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2)


def statement(action: str, effect: str = "Allow", resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource} | more


def at(time: str) -> list[dict[str, Any]]:
    return [{"ContextKeyName": "aws:CurrentTime", "ContextKeyValues": [time], "ContextKeyType": "date"}]


@pytest.fixture
def iam(cloud: Cloud) -> Any:
    return cloud.client("iam")


@pytest.fixture
def ann(iam: Any) -> Iterator[str]:
    """A user with an inline policy, in a group with one of AWS's."""
    arn = iam.create_user(UserName="ann")["User"]["Arn"]
    iam.put_user_policy(UserName="ann", PolicyName="lists", PolicyDocument=document(statement("codecommit:List*")))
    iam.create_group(GroupName="readers")
    iam.attach_group_policy(GroupName="readers", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    iam.add_user_to_group(GroupName="readers", UserName="ann")
    yield arn


def decisions(answer: Any) -> dict[str, str]:
    return {each["EvalActionName"]: each["EvalDecision"] for each in answer["EvaluationResults"]}


def test_aws_own_example_of_a_custom_policy(iam: Any) -> None:
    asked = {"PolicyInputList": [AFTER_A_DATE], "ActionNames": ["dynamodb:CreateBackup"]}
    allowed = iam.simulate_custom_policy(**asked, ContextEntries=at("2019-04-25T11:00:00Z"))["EvaluationResults"]
    assert allowed == [
        {
            "EvalActionName": "dynamodb:CreateBackup",
            "EvalResourceName": "*",
            "EvalDecision": "allowed",
            "MatchedStatements": [
                {
                    "SourcePolicyId": "PolicyInputList.1",
                    "SourcePolicyType": "IAM Policy",
                    "StartPosition": {"Line": 1, "Column": 38},
                    "EndPosition": {"Line": 1, "Column": 167},
                }
            ],
            "MissingContextValues": [],
        }
    ]
    early = iam.simulate_custom_policy(**asked, ContextEntries=at("2014-04-25T11:00:00Z"))["EvaluationResults"][0]
    assert (early["EvalDecision"], early["MatchedStatements"]) == ("implicitDeny", [])
    unknown = iam.simulate_custom_policy(**asked)["EvaluationResults"][0]
    assert (unknown["EvalDecision"], unknown["MissingContextValues"]) == ("implicitDeny", ["aws:CurrentTime"])


def test_each_resource_has_its_result_and_all_together_the_most_restrictive(iam: Any) -> None:
    policy = document(statement("s3:GetObject", resource="arn:aws:s3:::open/*"))
    both = iam.simulate_custom_policy(PolicyInputList=[policy], ActionNames=["s3:GetObject"], ResourceArns=BUCKETS)
    (result,) = both["EvaluationResults"]
    assert result["EvalDecision"] == "implicitDeny"
    assert [(one["EvalResourceName"], one["EvalResourceDecision"]) for one in result["ResourceSpecificResults"]] == [
        (BUCKETS[0], "allowed"),
        (BUCKETS[1], "implicitDeny"),
    ]
    one = iam.simulate_custom_policy(PolicyInputList=[policy], ActionNames=["s3:GetObject"], ResourceArns=BUCKETS[:1])
    assert one["EvaluationResults"][0]["EvalResourceName"] == BUCKETS[0]
    assert one["EvaluationResults"][0]["EvalDecision"] == "allowed"


def test_the_statement_that_denies_is_the_only_one_told(iam: Any) -> None:
    policy = document(statement("s3:*"), statement("s3:Delete*", "Deny"))
    (result,) = iam.simulate_custom_policy(PolicyInputList=[policy], ActionNames=["s3:DeleteObject"])[
        "EvaluationResults"
    ]
    assert result["EvalDecision"] == "explicitDeny"
    (matched,) = result["MatchedStatements"]
    lines = policy.splitlines()
    assert '"Deny"' in "".join(lines[matched["StartPosition"]["Line"] : matched["EndPosition"]["Line"]])


def test_a_boundary_and_an_organization_limit(iam: Any) -> None:
    everything, reads = document(statement("*")), document(statement("s3:Get*"))
    asked = {"PolicyInputList": [everything], "ActionNames": ["s3:GetObject", "s3:PutObject"]}
    bound = iam.simulate_custom_policy(**asked, PermissionsBoundaryPolicyInputList=[reads])
    assert decisions(bound) == {"s3:GetObject": "allowed", "s3:PutObject": "implicitDeny"}
    details = [each["PermissionsBoundaryDecisionDetail"] for each in bound["EvaluationResults"]]
    assert details == [{"AllowedByPermissionsBoundary": True}, {"AllowedByPermissionsBoundary": False}]
    levels = [{"ServiceControlPolicyInputList": [everything]}, {"ServiceControlPolicyInputList": [reads]}]
    organized = iam.simulate_custom_policy(**asked, OrderedOrganizationPolicyInputList=levels)
    assert decisions(organized) == {"s3:GetObject": "allowed", "s3:PutObject": "implicitDeny"}
    allowed = [each["OrganizationsDecisionDetail"]["AllowedByOrganizations"] for each in organized["EvaluationResults"]]
    assert allowed == [True, False]


def test_across_accounts_the_resources_policy_must_allow_too(iam: Any, ann: str) -> None:
    def simulate(principal: str) -> dict[str, Any]:
        policy = json.dumps(
            {"Version": "2012-10-17", "Statement": [statement("s3:GetObject", Principal={"AWS": principal})]}
        )
        answer = iam.simulate_principal_policy(
            PolicySourceArn=ann,
            ActionNames=["s3:GetObject"],
            ResourceArns=BUCKETS[:1],
            ResourcePolicy=policy,
            ResourceOwner="arn:aws:iam::999988887777:root",
        )
        return dict(answer["EvaluationResults"][0])

    allowed, refused = simulate(ann), simulate("arn:aws:iam::999988887777:root")
    assert (allowed["EvalDecision"], refused["EvalDecision"]) == ("allowed", "implicitDeny")
    assert refused["EvalDecisionDetails"] == {"IAM Policy": "allowed", "Resource Policy": "implicitDeny"}
    told = {(each["SourcePolicyId"], each["SourcePolicyType"]) for each in allowed["MatchedStatements"]}
    assert told == {("AmazonS3ReadOnlyAccess", "IAM Policy"), ("ResourcePolicy", "Resource Policy")}


def test_a_principal_has_its_own_policies_and_its_groups_and_the_added_ones(iam: Any, ann: str) -> None:
    actions = ["codecommit:ListRepositories", "s3:GetObject", "sqs:SendMessage"]
    asked = {"PolicySourceArn": ann, "ActionNames": actions}
    assert list(decisions(iam.simulate_principal_policy(**asked)).values()) == ["allowed", "allowed", "implicitDeny"]
    more = iam.simulate_principal_policy(**asked, PolicyInputList=[document(statement("sqs:*"))])
    assert set(decisions(more).values()) == {"allowed"}
    named = [each["MatchedStatements"][0]["SourcePolicyId"] for each in more["EvaluationResults"]]
    assert named == ["lists", "AmazonS3ReadOnlyAccess", "PolicyInputList.1"]
    group = iam.get_group(GroupName="readers")["Group"]["Arn"]
    of_group = iam.simulate_principal_policy(PolicySourceArn=group, ActionNames=actions)
    assert list(decisions(of_group).values()) == ["implicitDeny", "allowed", "implicitDeny"]


def test_policies_may_be_left_out(iam: Any, ann: str) -> None:
    actions = ["codecommit:ListRepositories", "s3:GetObject"]

    def without(identifier: dict[str, Any]) -> list[str]:
        answer = iam.simulate_principal_policy(
            PolicySourceArn=ann, ActionNames=actions, PolicyExclusionList=[identifier]
        )
        return list(decisions(answer).values())

    assert without({"PolicyType": "inline"}) == ["implicitDeny", "allowed"]
    assert without({"PolicyType": "aws-managed"}) == ["allowed", "implicitDeny"]
    assert without({"PolicyType": "user-managed"}) == ["allowed", "allowed"]
    assert without({"PolicyArn": "arn:aws:iam::aws:policy/AmazonS3*"}) == ["allowed", "implicitDeny"]
    inline = {"PolicyName": "lists", "AttachmentType": "user", "AttachmentName": "ann"}
    assert without({"InlinePolicyIdentifier": inline}) == ["implicitDeny", "allowed"]
    assert without({"InlinePolicyIdentifier": inline | {"AttachmentType": "group"}}) == ["allowed", "allowed"]


def test_a_roles_boundary_counts_unless_another_is_given(iam: Any) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    bound = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=document(trust), PermissionsBoundary=bound)["Role"]
    iam.put_role_policy(RoleName="r", PolicyName="all", PolicyDocument=document(statement("*")))
    asked = {"PolicySourceArn": role["Arn"], "ActionNames": ["s3:GetObject", "sqs:SendMessage"]}
    assert list(decisions(iam.simulate_principal_policy(**asked)).values()) == ["allowed", "implicitDeny"]
    other = document(statement("sqs:*"))
    given = iam.simulate_principal_policy(**asked, PermissionsBoundaryPolicyInputList=[other])
    assert list(decisions(given).values()) == ["implicitDeny", "allowed"]


def test_the_keys_that_policies_ask_for_as_they_are_written(iam: Any, ann: str) -> None:
    own = document(
        statement(
            "s3:*",
            resource="arn:aws:s3:::home/${aws:username}/${*}",
            Condition={
                "StringLike": {"s3:prefix": ["${aws:PrincipalTag/team, 'none'}/*"]},
                "Bool": {"AWS:SecureTransport": "true"},
            },
        ),
        statement("s3:Get*", Condition={"Bool": {"aws:SecureTransport": "true"}}),
    )
    names = iam.get_context_keys_for_custom_policy(PolicyInputList=[own, AFTER_A_DATE])["ContextKeyNames"]
    assert names == ["aws:username", "s3:prefix", "aws:PrincipalTag/team", "AWS:SecureTransport", "aws:CurrentTime"]
    iam.put_user_policy(UserName="ann", PolicyName="lists", PolicyDocument=own)
    of_ann = iam.get_context_keys_for_principal_policy(PolicySourceArn=ann, PolicyInputList=[AFTER_A_DATE])
    assert set(of_ann["ContextKeyNames"]) == set(names)


def test_results_come_in_pages(iam: Any) -> None:
    actions = [f"s3:Get{number}" for number in range(5)]
    pages = iam.get_paginator("simulate_custom_policy").paginate(
        PolicyInputList=[document(statement("s3:Get3"))], ActionNames=actions, PaginationConfig={"PageSize": 2}
    )
    found = [[each["EvalActionName"] for each in page["EvaluationResults"]] for page in pages]
    assert found == [actions[:2], actions[2:4], actions[4:]]


def test_what_cannot_be_simulated(iam: Any, ann: str) -> None:
    fine = {"PolicyInputList": [AFTER_A_DATE], "ActionNames": ["s3:GetObject"]}
    account = ann.split(":")[4]
    assert error(iam.simulate_custom_policy, **fine | {"PolicyInputList": ["{}"]}) == (
        "InvalidInput",
        "Syntax errors in policy.",
    )
    resource = document(statement("s3:*", Principal="*"))
    for wrong in (
        {"ActionNames": ["s3:*"]},
        {"ActionNames": ["GetObject"]},
        {"ResourceArns": ["bucket"]},
        {"ResourcePolicy": resource},
        {"ResourcePolicy": "{}", "CallerArn": ann},
        {"CallerArn": f"arn:aws:sts::{account}:assumed-role/r/s"},
        {"PermissionsBoundaryPolicyInputList": [AFTER_A_DATE, AFTER_A_DATE]},
        {"ResourceHandlingOption": "EC2-VPC-EBS"},
    ):
        assert error(iam.simulate_custom_policy, **fine | wrong)[0] == "InvalidInput", wrong
    absent = f"arn:aws:iam::{account}:user/nobody"
    assert error(iam.simulate_principal_policy, PolicySourceArn=absent, ActionNames=["s3:GetObject"]) == (
        "NoSuchEntity",
        "The user with name nobody cannot be found.",
    )
    stranger = "arn:aws:iam::999988887777:user/ann"
    assert error(iam.get_context_keys_for_principal_policy, PolicySourceArn=stranger)[0] == "NoSuchEntity"
    session = f"arn:aws:sts::{account}:assumed-role/r/s"
    assert error(iam.simulate_principal_policy, PolicySourceArn=session, ActionNames=["s3:GetObject"]) == (
        "InvalidInput",
        f"Invalid Entity Arn: {session} does not clearly define entity type and name.",
    )
