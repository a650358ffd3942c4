"""IAM's grammar of policies: what is refused, with which words, and which mistake is told first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eucapy.aws import policygrammar as grammar
from eucapy.aws.policy import MalformedPolicy, Policy

SYNTAX, LEGACY = "Syntax errors in policy.", "The policy failed legacy parsing"
OLD = "Policy document must be version 2012-10-17 or greater."
VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
ACTIONS, RESOURCES = "Policy statement must contain actions.", "Policy statement must contain resources."
BUCKET = "arn:aws:s3:::b"
TRUSTING = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}


def document(*statements: Any, **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | more)


def statement(**changes: Any) -> dict[str, Any]:
    """A whole one; a change to None leaves the member out."""
    whole = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": BUCKET} | changes
    return {name: value for name, value in whole.items() if value is not None}


def dated(value: Any, operator: str = "DateLessThan") -> dict[str, Any]:
    return statement(Condition={operator: {"aws:CurrentTime": value}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", SYNTAX),
        ('{"Version": "2012-10-17",}', "This policy contains invalid Json"),
        ("[]", SYNTAX),
        (document(), SYNTAX),
        ('{"Version": "2012-10-17"}', SYNTAX),
        (document("text"), SYNTAX),
        (document(statement(), Version="2013-10-17"), SYNTAX),
        (document(statement(), Version="2008-10-17"), OLD),
        (json.dumps({"Statement": statement()}), OLD),
        (document(statement(), Other="x"), SYNTAX),
        (document(statement(), Id=["x"]), SYNTAX),
        (document(statement(Other="x")), SYNTAX),
        (document(statement(Sid={})), SYNTAX),
        (document(statement(Effect=None)), SYNTAX),
        (document(statement(Effect="Maybe")), SYNTAX),
        (document(statement(Effect="allow")), LEGACY),
        (document(statement(Action={})), SYNTAX),
        (document(statement(NotAction="s3:Get*")), SYNTAX),
        (document(statement(NotResource="*")), SYNTAX),
        (document(statement(Resource=["x", {}])), SYNTAX),
        (document(statement(Condition=[])), SYNTAX),
        (document(statement(Condition={"StringEquals": []})), SYNTAX),
        (document(statement(Condition={"StringEquals": {"k:x": {}}})), SYNTAX),
        (document(statement(Condition={"StringNear": {"k:x": "v"}})), SYNTAX),
        (document(statement(Condition={"ForAnyValue::StringEquals": {"k:x": "v"}})), SYNTAX),
        (document(statement(Condition={"NullIfExists": {"k:x": "v"}})), SYNTAX),
        (document(statement(Sid="a"), statement(Sid="a")), "Statement IDs (SID) in a single policy must be unique."),
        (document(statement(Action=None)), ACTIONS),
        (document(statement(Action=[])), ACTIONS),
        (document(statement(Resource=None)), RESOURCES),
        (document(statement(Resource=[])), RESOURCES),
        (document(statement(Action="ListBucket")), VENDOR),
        (document(statement(Action="")), VENDOR),
        (document(statement(Action="s3:List:Bucket")), "Actions/Condition can contain only one colon."),
        (document(statement(Action="s 3:ListBucket")), "Vendor s 3 is not valid"),
        (document(statement(Action="s3*:ListBucket")), "Vendor s3* is not valid"),
        (document(statement(Resource="b")), 'Resource b must be in ARN format or "*".'),
        (document(statement(Resource="")), 'Resource  must be in ARN format or "*".'),
        (
            document(statement(Resource="arn:aws")),
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        (document(statement(Resource="a:b")), 'Partition "b" is not valid for resource "arn:b:*:*:*:*".'),
        (document(statement(Resource="a:b:c")), 'Partition "b" is not valid for resource "arn:b:c:*:*:*".'),
        (
            document(statement(Resource="aws:s3:::b/k:1")),
            'Partition "s3" is not valid for resource "arn:s3:::b/k:1".',
        ),
        (document(statement(Resource="arn:aws:s3::b")), LEGACY),
        (document(statement(Resource="arn:aws::::b")), LEGACY),
        (
            document(statement(Resource="arn:aws:s3:us-east-1::b")),
            "Resource arn:aws:s3:us-east-1::b can not contain region information.",
        ),
        (
            document(statement(Resource="arn:aws:iam:us-east-1::user/u")),
            "IAM resource arn:aws:iam:us-east-1::user/u cannot contain region information.",
        ),
        (
            document(statement(Resource="arn:aws:iam::111122223333:root")),
            'IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, '
            "instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, "
            "report/, access-report/.",
        ),
        (document(dated("yesterday")), LEGACY),
        (document(dated("2026-13")), LEGACY),
        (document(dated("2026-12-01T25:00:00Z")), LEGACY),
        (document(dated("2026-12-01T10:00:00+1")), LEGACY),
        (document(dated(str(2**63), "DateLessThanEqualsIfExists")), LEGACY),
        (document(dated("1" * 5000)), LEGACY),
        (document(dated(f"{'1' * 5000}-01-01")), LEGACY),
        (document(dated(f"2026-01-01T{'1' * 5000}")), LEGACY),
        ("[" * 100_000, SYNTAX),
        (document(statement(Principal="*")), "Policy document should not specify a principal."),
        (
            document(statement(Sid="reads all")),
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
            "[0-9A-Za-z]*",
        ),
    ],
)
def test_what_an_identitys_policy_must_not_be(text: str, message: str) -> None:
    with pytest.raises(MalformedPolicy) as refused:
        grammar.identity(text)
    assert refused.value.text == message


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [  # each has two mistakes
        ({"Effect": "allow"}, {"Version": "2008-10-17"}, OLD),
        ({"Effect": "Maybe"}, {"Version": "2008-10-17"}, SYNTAX),
        ({"Effect": "allow", "Resource": "b"}, {}, LEGACY),
        ({"Resource": "b", "Action": "ListBucket"}, {}, 'Resource b must be in ARN format or "*".'),
        ({"Resource": "arn:aws:s3::b", "Action": None}, {}, LEGACY),
        ({"Resource": None, "Action": "ListBucket"}, {}, VENDOR),
    ],
)
def test_of_two_mistakes_the_same_is_told_as_by_iam(changes: Any, more: Any, message: str) -> None:
    with pytest.raises(MalformedPolicy) as refused:
        grammar.identity(document(statement(**changes), **more))
    assert refused.value.text == message


@pytest.mark.parametrize(
    "each",
    [
        statement(Action="*", Resource="*"),
        statement(Action="service:name with spaces"),
        statement(Resource="arn:aws:fdsasf"),
        statement(Resource=[BUCKET, None]),
        statement(Resource="arn:aws:iam::*:user/${aws:username}"),
        statement(Resource="arn:aws:s3:us-east-1:111122223333:accesspoint/p"),
        statement(Resource=None, NotResource=[BUCKET]),
        statement(Action=None, NotAction="s3:*"),
        statement(Sid=""),
        statement(Condition={"x": {}}),
        statement(Condition={"Bool": {"aws:SecureTransport": True}, "NumericLessThan": {"aws:MultiFactorAuthAge": 60}}),
        dated("2026"),
        dated("01T"),
        dated("2026-12-01T2:00:00.593194+23"),
        dated(["1480000000", 1480000000]),
    ],
)
def test_what_an_identitys_policy_may_be(each: dict[str, Any]) -> None:
    policy = grammar.identity(document(each))
    assert isinstance(policy, Policy)
    assert policy.statements[0].actions


def test_what_is_read_is_what_was_written() -> None:
    read = grammar.identity(
        document(
            statement(
                Sid="One",
                Effect="Deny",
                Action=None,
                NotAction=["s3:Get*", "ec2:*"],
                Resource=None,
                NotResource=BUCKET,
                Condition={"Bool": {"aws:SecureTransport": False}, "StringLike": {"s3:Prefix": ["a", "b"]}},
            )
        )
    ).statements[0]
    assert (read.sid, read.effect, read.principals) == ("One", "Deny", None)
    assert (read.actions, read.not_action) == (("s3:Get*", "ec2:*"), True)
    assert (read.resources, read.not_resource) == ((BUCKET,), True)
    assert read.conditions == (
        ("Bool", "aws:securetransport", ("false",)),
        ("StringLike", "s3:prefix", ("a", "b")),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Principal": None}, "Missing required field Principal"),
        ({"Principal": "*"}, 'AssumeRolepolicy contained an invalid principal: "STAR":"*".'),
        ({"Principal": {"AWS": "joe"}}, 'Invalid principal in policy: "AWS":"joe"'),
        (
            {"Principal": {"AWS": "arn:aws:iam::111122223333:user/*"}},
            'Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/*"',
        ),
        ({"Principal": {"Service": "ec2"}}, 'Invalid principal in policy: "SERVICE":"ec2"'),
        ({"Principal": {"Federated": "example.com"}}, 'Invalid principal in policy: "FEDERATED":"example.com"'),
        (
            {"Principal": {"AWS": []}},
            "Invalid principal in policy: com.amazon.balsa.error.InvalidPolicyException: The passed in policy has a "
            "statement with no principals!",
        ),
        ({"Resource": "*"}, "Has prohibited field Resource"),
        (
            {"Action": "sts:BadAssumeRole"},
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            {"Action": ["sts:AssumeRole", "s3:GetObject"]},
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
    ],
)
def test_what_a_trust_policy_must_not_be(changes: dict[str, Any], message: str) -> None:
    raw = {name: value for name, value in (TRUSTING | changes).items() if value is not None}
    with pytest.raises(MalformedPolicy) as refused:
        grammar.trust(document(raw))
    assert refused.value.text == message


def test_a_trust_policy_may_be_of_the_old_version_and_name_all_kinds() -> None:
    provider = "arn:aws:iam::111122223333:oidc-provider/accounts.example.com"
    named = {"AWS": ["111122223333", "*"], "Service": "ec2.amazonaws.com", "Federated": ["www.amazon.com", provider]}
    raw = TRUSTING | {"Principal": named, "Action": ["sts:AssumeRole*", "sts:TagSession"]}
    for version in ("2008-10-17", "2012-10-17"):
        policy = grammar.trust(document(raw, Version=version))
        assert (policy.version, policy.statements[0].resources) == (version, ("*",))
    assert ("Federated", provider) in (policy.statements[0].principals or ())


def test_white_space_does_not_count() -> None:
    assert grammar.size(' {\n\t"a": "b c"}\r\n') == len('{"a":"bc"}')
