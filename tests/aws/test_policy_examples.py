"""The examples of AWS's documentation: what their texts say that a policy does, as requests and answers.

From "Example IAM identity-based policies", "IAM JSON policy elements" (NotAction, NotResource, Variables and tags,
Condition operators, multivalued keys) and "Permissions boundaries for IAM entities", IAM guide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from eucapy.aws import policygrammar
from eucapy.aws.evaluation import Attached, Powers, evaluate
from eucapy.aws.policy import Policy, Question

ACCOUNT = "123456789012"
EC2 = f"arn:aws:ec2:us-east-1:{ACCOUNT}"
IAM = f"arn:aws:iam::{ACCOUNT}"
MFA = {"aws:multifactorauthpresent": "true"}
Request = tuple[str, str, Mapping[str, "str | list[str]"], bool]


def read(*statements: Mapping[str, Any]) -> Policy:
    return policygrammar.identity(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def allowed(policy: Policy, request: Request, boundary: Policy | None = None) -> bool:
    action, resource, context, _ = request
    powers = Powers((Attached("example", policy),), None if boundary is None else Attached("boundary", boundary))
    return evaluate(powers, Question(f"{IAM}:user/JohnDoe", ACCOUNT, frozenset(), action, resource, context)).allowed


def between(begin: str, end: str) -> dict[str, Any]:
    return {"DateGreaterThan": {"aws:CurrentTime": begin}, "DateLessThan": {"aws:CurrentTime": end}}


EXAMPLES: Mapping[str, tuple[tuple[Mapping[str, Any], ...], tuple[Request, ...]]] = {
    "access within specific dates": (
        (
            {
                "Effect": "Allow",
                "Action": "service-prefix:action-name",
                "Resource": "*",
                "Condition": between("2020-04-01T00:00:00Z", "2020-06-30T23:59:59Z"),
            },
        ),
        (
            ("service-prefix:action-name", "*", {"aws:currenttime": "2020-05-01T00:00:00Z"}, True),
            ("service-prefix:action-name", "*", {"aws:currenttime": "2020-03-31T23:59:59Z"}, False),
            ("service-prefix:action-name", "*", {"aws:currenttime": "2020-07-01T00:00:00Z"}, False),
            ("service-prefix:action-name", "*", {}, False),
        ),
    ),
    "MFA for all but one's own credentials": (
        (
            {"Effect": "Allow", "Action": ["iam:*", "ec2:*"], "Resource": "*"},
            {
                "Sid": "DenyAllExceptListedIfNoMFA",
                "Effect": "Deny",
                "NotAction": [
                    "iam:CreateVirtualMFADevice",
                    "iam:EnableMFADevice",
                    "iam:GetUser",
                    "sts:GetSessionToken",
                ],
                "Resource": "*",
                "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
            },
        ),
        (
            ("iam:GetUser", f"{IAM}:user/JohnDoe", {}, True),
            ("ec2:RunInstances", f"{EC2}:instance/*", {}, False),
            ("ec2:RunInstances", f"{EC2}:instance/*", {"aws:multifactorauthpresent": "false"}, False),
            ("ec2:RunInstances", f"{EC2}:instance/*", MFA, True),
        ),
    ),
    "denied by source address, but not to services that forward": (
        (
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": {
                    "NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24", "203.0.113.0/24"]},
                    "Bool": {"aws:ViaAWSService": "false"},
                },
            },
        ),
        (
            ("ec2:RunInstances", "*", {"aws:sourceip": "192.0.2.5", "aws:viaawsservice": "false"}, True),
            ("ec2:RunInstances", "*", {"aws:sourceip": "198.51.100.1", "aws:viaawsservice": "false"}, False),
            ("ec2:RunInstances", "*", {"aws:sourceip": "198.51.100.1", "aws:viaawsservice": "true"}, True),
            ("ec2:RunInstances", "*", {"aws:viaawsservice": "false"}, False),
        ),
    ),
    "denied outside the requested region": (
        (
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {
                "Sid": "DenyAllOutsideRequestedRegions",
                "Effect": "Deny",
                "NotAction": ["cloudfront:*", "iam:*", "route53:*", "support:*"],
                "Resource": "*",
                "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}},
            },
        ),
        (
            ("ec2:RunInstances", "*", {"aws:requestedregion": "eu-west-1"}, True),
            ("ec2:RunInstances", "*", {"aws:requestedregion": "us-east-1"}, False),
            ("iam:ListUsers", "*", {"aws:requestedregion": "us-east-1"}, True),
        ),
    ),
    "instances that carry the user's name": (
        (
            {
                "Effect": "Allow",
                "Action": ["ec2:StartInstances", "ec2:StopInstances"],
                "Resource": f"arn:aws:ec2:*:{ACCOUNT}:instance/*",
                "Condition": {"StringEquals": {"aws:ResourceTag/Owner": "${aws:username}"}},
            },
            {"Effect": "Allow", "Action": "ec2:DescribeInstances", "Resource": "*"},
        ),
        (
            ("ec2:StartInstances", f"{EC2}:instance/i-1", {"aws:username": "J", "aws:resourcetag/owner": "J"}, True),
            ("ec2:StartInstances", f"{EC2}:instance/i-1", {"aws:username": "J", "aws:resourcetag/owner": "K"}, False),
            ("ec2:StartInstances", f"{EC2}:instance/i-1", {"aws:username": "J"}, False),
            ("ec2:StartInstances", f"{EC2}:volume/vol-1", {"aws:username": "J", "aws:resourcetag/owner": "J"}, False),
            ("ec2:DescribeInstances", "*", {}, True),
        ),
    ),
    "attaching volumes to an instance, seen from the instance": (
        (
            {
                "Effect": "Allow",
                "Action": ["ec2:AttachVolume", "ec2:DetachVolume"],
                "Resource": ["arn:aws:ec2:*:*:volume/*", "arn:aws:ec2:*:*:instance/*"],
                "Condition": {"ArnEquals": {"ec2:SourceInstanceARN": "arn:aws:ec2:*:*:instance/instance-id"}},
            },
        ),
        (
            ("ec2:AttachVolume", f"{EC2}:volume/v", {"ec2:sourceinstancearn": f"{EC2}:instance/instance-id"}, True),
            ("ec2:AttachVolume", f"{EC2}:volume/v", {"ec2:sourceinstancearn": f"{EC2}:instance/other"}, False),
            ("ec2:AttachVolume", f"{EC2}:snapshot/s", {"ec2:sourceinstancearn": f"{EC2}:instance/instance-id"}, False),
        ),
    ),
    "users under a path, by both wildcards": (
        ({"Effect": "Allow", "Action": "iam:*", "Resource": f"{IAM}:user/division_abc/subdivision_?yz/*"},),
        (
            ("iam:GetUser", f"{IAM}:user/division_abc/subdivision_xyz/ann", {}, True),
            ("iam:GetUser", f"{IAM}:user/division_abc/subdivision_xyz/deep/ann", {}, True),
            ("iam:GetUser", f"{IAM}:user/division_abc/subdivision_yz/ann", {}, False),
            ("iam:GetUser", f"{IAM}:group/division_abc/subdivision_xyz/g", {}, False),
        ),
    ),
    "a home directory, and the listing of it": (
        (
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": "arn:aws:s3:::amzn-s3-demo-bucket",
                "Condition": {"StringLike": {"s3:prefix": ["", "home/", "home/${aws:username}/*"]}},
            },
            {
                "Effect": "Allow",
                "Action": "s3:*",
                "Resource": [
                    "arn:aws:s3:::amzn-s3-demo-bucket/home/${aws:username}",
                    "arn:aws:s3:::amzn-s3-demo-bucket/home/${aws:username}/*",
                ],
            },
        ),
        (
            ("s3:ListBucket", "arn:aws:s3:::amzn-s3-demo-bucket", {"aws:username": "J", "s3:prefix": ""}, True),
            ("s3:ListBucket", "arn:aws:s3:::amzn-s3-demo-bucket", {"aws:username": "J", "s3:prefix": "home/J/x"}, True),
            ("s3:ListBucket", "arn:aws:s3:::amzn-s3-demo-bucket", {"aws:username": "J", "s3:prefix": "home/K/"}, False),
            ("s3:GetObject", "arn:aws:s3:::amzn-s3-demo-bucket/home/J/k", {"aws:username": "J"}, True),
            ("s3:GetObject", "arn:aws:s3:::amzn-s3-demo-bucket/home/JJ/k", {"aws:username": "J"}, False),
            ("s3:GetObject", "arn:aws:s3:::amzn-s3-demo-bucket/home/x/k", {"aws:username": "*"}, False),
            ("s3:GetObject", "arn:aws:s3:::amzn-s3-demo-bucket/home/${aws:username}/k", {}, False),
        ),
    ),
    "a default for a tag that a principal may not have": (
        (
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::amzn-s3-demo-bucket/${aws:PrincipalTag/team, 'company-wide'}/*",
            },
        ),
        (
            ("s3:GetObject", "arn:aws:s3:::amzn-s3-demo-bucket/yellow/k", {"aws:principaltag/team": "yellow"}, True),
            (
                "s3:GetObject",
                "arn:aws:s3:::amzn-s3-demo-bucket/company-wide/k",
                {"aws:principaltag/team": "yellow"},
                False,
            ),
            ("s3:GetObject", "arn:aws:s3:::amzn-s3-demo-bucket/company-wide/k", {}, True),
        ),
    ),
    "characters that are written as variables": (
        ({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${*}${?}${$}"},),
        (
            ("s3:GetObject", "arn:aws:s3:::b/*?$", {}, True),
            ("s3:GetObject", "arn:aws:s3:::b/any$", {}, False),
        ),
    ),
    "all of S3 but deleting a bucket": (
        ({"Effect": "Allow", "NotAction": "s3:DeleteBucket", "Resource": "arn:aws:s3:::*"},),
        (
            ("s3:PutObject", "arn:aws:s3:::b/k", {}, True),
            ("s3:DeleteBucket", "arn:aws:s3:::b", {}, False),
            ("ec2:RunInstances", f"{EC2}:instance/*", {}, False),
        ),
    ),
    "denied all but one's own buckets": (
        (
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": "s3:*",
                "NotResource": ["arn:aws:s3:::HRBucket/Payroll", "arn:aws:s3:::HRBucket/Payroll/*"],
            },
        ),
        (
            ("s3:GetObject", "arn:aws:s3:::HRBucket/Payroll/may", {}, True),
            ("s3:GetObject", "arn:aws:s3:::HRBucket/Payroll", {}, True),
            ("s3:GetObject", "arn:aws:s3:::HRBucket/Payrolls", {}, False),
        ),
    ),
    "tags of a request: which, and with which values": (
        (
            {
                "Effect": "Allow",
                "Action": "ec2:CreateTags",
                "Resource": "arn:aws:ec2:*:*:instance/*",
                "Condition": {
                    "StringEquals": {"aws:RequestTag/environment": ["preprod", "production"]},
                    "ForAllValues:StringEquals": {"aws:TagKeys": ["environment", "cost-center"]},
                },
            },
        ),
        (
            (
                "ec2:CreateTags",
                f"{EC2}:instance/i-1",
                {"aws:requesttag/environment": "preprod", "aws:tagkeys": ["environment", "cost-center"]},
                True,
            ),
            (
                "ec2:CreateTags",
                f"{EC2}:instance/i-1",
                {"aws:requesttag/environment": "preprod", "aws:tagkeys": ["environment", "owner"]},
                False,
            ),
            ("ec2:CreateTags", f"{EC2}:instance/i-1", {"aws:tagkeys": ["environment"]}, False),
        ),
    ),
    "one value of several is enough to deny": (
        (
            {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": "ec2:CreateTags",
                "Resource": "*",
                "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": ["webserver"]}},
            },
        ),
        (
            ("ec2:CreateTags", "*", {"aws:tagkeys": ["a", "webserver"]}, False),
            ("ec2:CreateTags", "*", {"aws:tagkeys": ["a", "b"]}, True),
            ("ec2:CreateTags", "*", {}, True),
        ),
    ),
    "a key that must be there, and one that must not": (
        (
            {
                "Effect": "Allow",
                "Action": "*",
                "Resource": "*",
                "Condition": {"Null": {"aws:TokenIssueTime": "true", "aws:RequestTag/project": "false"}},
            },
        ),
        (
            ("ec2:RunInstances", "*", {"aws:requesttag/project": "x"}, True),
            ("ec2:RunInstances", "*", {"aws:requesttag/project": ""}, True),
            ("ec2:RunInstances", "*", {}, False),
            (
                "ec2:RunInstances",
                "*",
                {"aws:requesttag/project": "x", "aws:tokenissuetime": "2026-01-01T00:00:00Z"},
                False,
            ),
        ),
    ),
    "instance types, where there are any": (
        (
            {
                "Effect": "Allow",
                "Action": "ec2:RunInstances",
                "Resource": "*",
                "Condition": {"StringLikeIfExists": {"ec2:InstanceType": ["t1.*", "t2.*", "m3.*"]}},
            },
        ),
        (
            ("ec2:RunInstances", f"{EC2}:instance/*", {"ec2:instancetype": "t2.micro"}, True),
            ("ec2:RunInstances", f"{EC2}:instance/*", {"ec2:instancetype": "x1.32xlarge"}, False),
            ("ec2:RunInstances", f"{EC2}:volume/*", {}, True),
        ),
    ),
    "an ARN that stops early means all that follow": (
        ({"Effect": "Allow", "Action": "sqs:*", "Resource": "arn:aws:sqs"},),
        (
            ("sqs:SendMessage", f"arn:aws:sqs:us-east-1:{ACCOUNT}:q", {}, True),
            ("sqs:SendMessage", f"arn:aws:sns:us-east-1:{ACCOUNT}:t", {}, False),
            ("sqs:ListQueues", "*", {}, False),
        ),
    ),
}


@pytest.mark.parametrize(
    ("statements", "request_"),
    [
        pytest.param(statements, request, id=f"{name}: {'yes' if request[3] else 'no'} {number}")
        for name, (statements, requests) in EXAMPLES.items()
        for number, request in enumerate(requests)
    ],
)
def test_an_example_of_the_documentation(statements: tuple[Mapping[str, Any], ...], request_: Request) -> None:
    assert allowed(read(*statements), request_) is request_[3]


def test_a_boundary_lets_through_what_both_say() -> None:
    """ "Permissions boundaries for IAM entities": Shirley's policy allows iam:CreateUser, her boundary S3, CloudWatch, EC2."""
    boundary = read({"Effect": "Allow", "Action": ["s3:*", "cloudwatch:*", "ec2:*"], "Resource": "*"})
    creates = read({"Effect": "Allow", "Action": "iam:CreateUser", "Resource": "*"})
    stores = read({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    assert not allowed(creates, ("iam:CreateUser", "*", {}, False), boundary)
    assert allowed(stores, ("s3:CreateBucket", "arn:aws:s3:::b", {}, True), boundary)
    assert not allowed(creates, ("s3:CreateBucket", "arn:aws:s3:::b", {}, False), boundary)
