"""The policy language: which statements apply, which condition holds, and what counts as public."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from eucapy.aws import policy
from eucapy.aws.policy import ALLOW, DENY, MalformedPolicy, Question
from eucapy.aws.policyconditions import Context, holds, is_operator
from eucapy.aws.policysources import keys

ACCOUNT, USER = "111122223333", "arn:aws:iam::111122223333:user/ann"


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(effect: str = ALLOW, **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b/*"} | more


def ask(text: str, action: str = "s3:GetObject", resource: str = "arn:aws:s3:::b/k", **more: Any) -> str | None:
    arn, account = more.pop("arn", USER), more.pop("account", ACCOUNT)
    return policy.decide(policy.parse(text), Question(arn, account, frozenset({"c0"}), action, resource, more))


def test_a_deny_wins_wherever_it_stands() -> None:
    for statements in ([statement(), statement(DENY)], [statement(DENY), statement()]):
        assert ask(document(*statements)) == DENY
    assert ask(document(statement())) == ALLOW
    assert ask(document(statement(Action="s3:PutObject"))) is None


@pytest.mark.parametrize(
    ("principal", "met"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": ACCOUNT}, True),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, True),
        ({"AWS": [USER]}, True),
        ({"AWS": "arn:aws:iam::111122223333:user/bob"}, False),
        ({"AWS": "444455556666"}, False),
        ({"CanonicalUser": "c0"}, True),
        ({"Service": "ec2.amazonaws.com"}, False),
    ],
)
def test_principals(principal: Any, met: bool) -> None:
    assert (ask(document(statement(Principal=principal))) == ALLOW) is met


def test_nobody_is_meant_by_everybody_alone() -> None:
    assert ask(document(statement()), arn="*", account="") == ALLOW
    assert ask(document(statement(Principal={"AWS": ACCOUNT})), arn="*", account="") is None


@pytest.mark.parametrize(
    ("pattern", "text", "met"),
    [
        ("s3:Get*", "s3:GetObject", True),
        ("s3:get?bject", "s3:GetObject", True),
        ("s3:Get", "s3:GetObject", False),
        ("*", "s3:GetObject", True),
    ],
)
def test_wildcards_of_actions(pattern: str, text: str, met: bool) -> None:
    assert (ask(document(statement(Action=pattern)), action=text) == ALLOW) is met


def test_the_rest_is_what_not_action_and_not_resource_leave() -> None:
    rest = {key: value for key, value in statement(NotAction="s3:Get*").items() if key != "Action"}
    assert ask(document(rest)) is None
    assert ask(document(rest), action="s3:PutObject") == ALLOW
    rest = {key: value for key, value in statement(NotResource="arn:aws:s3:::b/secret/*").items() if key != "Resource"}
    assert ask(document(rest), resource="arn:aws:s3:::b/secret/k") is None
    assert ask(document(rest)) == ALLOW


@pytest.mark.parametrize(
    ("operator", "wanted", "context", "met"),
    [
        ("StringEquals", ["a", "b"], {"k:x": "b"}, True),
        ("StringEquals", ["a"], {}, False),
        ("StringEqualsIfExists", ["a"], {}, True),
        ("StringNotEquals", ["a"], {}, True),
        ("StringNotEquals", ["a", "b"], {"k:x": "b"}, False),
        ("StringLike", ["a/*"], {"k:x": "a/b"}, True),
        ("StringNotLike", ["a/*"], {"k:x": "a/b"}, False),
        ("NumericLessThanEquals", ["10"], {"k:x": "10"}, True),
        ("NumericLessThan", ["10"], {"k:x": "ten"}, False),
        ("DateGreaterThan", ["2020-01-01T00:00:00Z"], {"k:x": "2026-01-01T00:00:00Z"}, True),
        ("DateLessThan", ["2020-01-01"], {"k:x": "2026-01-01T00:00:00Z"}, False),
        ("Bool", ["true"], {"k:x": "True"}, True),
        ("IpAddress", ["10.0.0.0/8"], {"k:x": "10.1.2.3"}, True),
        ("NotIpAddress", ["10.0.0.0/8"], {"k:x": "10.1.2.3"}, False),
        ("Null", ["true"], {}, True),
        ("Null", ["false"], {"k:x": "v"}, True),
        ("ForAllValues:StringEquals", ["a", "b"], {"k:x": ["a", "b"]}, True),
        ("ForAllValues:StringEquals", ["a"], {"k:x": ["a", "b"]}, False),
        ("ForAllValues:StringEquals", ["a"], {}, True),
        ("ForAnyValue:StringEquals", ["a"], {"k:x": ["a", "b"]}, True),
        ("ForAnyValue:StringEquals", ["a"], {}, False),
        ("ArnLike", ["arn:aws:iam::*:user/a*"], {"k:x": USER}, True),
        ("ArnEquals", ["arn:aws:*:user/ann"], {"k:x": USER}, False),  # a wildcard stays in its segment
        ("ArnNotLike", ["arn:aws:iam::*:user/a*"], {"k:x": USER}, False),
        ("ArnLike", ["arn:aws:iam"], {"k:x": USER}, True),
        ("StringEquals", ["a*"], {"k:x": "ab"}, False),
        ("StringEquals", ["a${*}"], {"k:x": "a*"}, True),
        ("StringLike", ["a${*}"], {"k:x": "ab"}, False),
        ("StringEqualsIgnoreCase", ["ÄB"], {"k:x": "äb"}, True),
        ("StringEquals", ["${k:y}"], {"k:x": "v", "k:y": "v"}, True),
        ("StringEquals", ["${k:y}"], {"k:x": "${k:y}"}, False),
        ("StringNotEquals", ["${k:y}"], {"k:x": "v"}, True),
        ("StringLike", ["${k:y}/*"], {"k:x": "*/z", "k:y": "*"}, True),
        ("StringLike", ["${k:y}/*"], {"k:x": "v/z", "k:y": "*"}, False),
        ("StringLike", ["${k:y}"], {"k:x": "v", "k:y": ["v"]}, False),  # of several values none is the variable's
        ("NumericEquals", ["1.0"], {"k:x": "1"}, True),
        ("NumericEquals", ["1_0"], {"k:x": "10"}, False),
        ("NumericNotEquals", ["1"], {"k:x": "2"}, True),
        ("NumericGreaterThan", ["1"], {"k:x": "nan"}, False),
        ("DateEquals", ["2026-01-01T00:00:00Z"], {"k:x": "1767225600"}, True),
        ("DateGreaterThanEquals", ["2026-01-01T01:00:00+01:00"], {"k:x": "2026-01-01T00:00:00Z"}, True),
        ("DateLessThan", ["soon"], {"k:x": "2026-01-01"}, False),
        ("Bool", ["true", "false"], {"k:x": "false"}, True),
        ("BoolIfExists", ["true"], {}, True),
        ("BinaryEquals", ["QmluYXJ5"], {"k:x": "QmluYXJ5"}, True),
        ("BinaryEquals", ["QmluYXJ5"], {"k:x": "QmluYXJ"}, False),
        ("IpAddress", ["2001:db8::/32"], {"k:x": "2001:db8:1::7"}, True),
        ("IpAddress", ["10.0.0.0/8"], {"k:x": "::ffff:10.1.2.3"}, True),
        ("IpAddress", ["10.0.0.0/8", "2001:db8::1"], {"k:x": "2001:db8::1"}, True),
        ("IpAddress", ["10.0.0.0/8"], {"k:x": "ten"}, False),
        ("NotIpAddress", ["10.0.0.0/8"], {}, True),
        ("Null", ["true"], {"k:x": []}, True),
        ("Null", ["true"], {"k:x": ""}, False),
        ("Null", ["true", "false"], {}, True),
        ("ForAllValues:StringEquals", ["a"], {"k:x": []}, True),
        ("ForAllValues:StringEquals", ["a"], {"k:x": ""}, True),
        ("ForAllValues:StringNotEquals", ["a"], {"k:x": ["b", "a"]}, False),
        ("ForAnyValue:StringNotEquals", ["a"], {"k:x": ["b", "a"]}, True),
        ("ForAnyValue:StringNotEquals", ["a"], {}, False),
        ("ForAnyValue:StringEqualsIfExists", ["a"], {}, True),
        ("ForAnyValue:StringLike", ["a*"], {"k:x": "ab"}, True),
    ],
)
def test_conditions(operator: str, wanted: list[str], context: Context, met: bool) -> None:
    assert is_operator(operator)
    assert holds(operator, "k:x", wanted, context) is met


def test_variables_are_filled_with_the_request() -> None:
    text = document(statement(Resource="arn:aws:s3:::b/${aws:username}/*"))
    assert ask(text, resource="arn:aws:s3:::b/ann/k", **{"aws:username": "ann"}) == ALLOW
    assert ask(text, resource="arn:aws:s3:::b/bob/k", **{"aws:username": "ann"}) is None
    assert ask(text, resource="arn:aws:s3:::b/bob/k", **{"aws:username": "*"}) is None


@pytest.mark.parametrize(
    ("pattern", "resource", "met"),
    [
        ("arn:aws:ec2:*:*:instance/*", "arn:aws:ec2:us-east-1:111122223333:instance/i-1", True),
        ("arn:aws:ec2:*:instance/*", "arn:aws:ec2:us-east-1:111122223333:instance/i-1", False),
        ("arn:aws:ec2:*", "arn:aws:ec2:us-east-1:111122223333:instance/i-1", True),
        ("arn:aws:s3:::b/*/x", "arn:aws:s3:::b/1/2:3/x", True),
        ("arn:aws:s3:::b/?", "arn:aws:s3:::b/ä", True),
        ("arn:aws:s3:::B/k", "arn:aws:s3:::b/k", False),
        ("arn:aws:s3:::b/k\n", "arn:aws:s3:::b/k", False),
        ("arn:aws:s3:::b/k", "arn:aws:s3:::b/k\n", False),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k\nl", True),
        ("arn:aws:s3:::b/[ab].k", "arn:aws:s3:::b/a.k", False),
        ("*", "*", True),
        ("arn:aws:ec2:*:*:*", "*", False),
    ],
)
def test_resources_are_matched_segment_by_segment(pattern: str, resource: str, met: bool) -> None:
    text = document(statement(Action="*", Resource=pattern))
    assert (ask(text, resource=resource) == ALLOW) is met


def test_variables_are_of_the_newer_version() -> None:
    raw = json.loads(document(statement(Resource="arn:aws:s3:::b/${aws:username}")))
    text = json.dumps(raw | {"Version": "2008-10-17"})
    assert ask(text, resource="arn:aws:s3:::b/ann", **{"aws:username": "ann"}) is None
    assert ask(text, resource="arn:aws:s3:::b/${aws:username}", **{"aws:username": "ann"}) == ALLOW


def test_no_pattern_makes_matching_slow() -> None:
    """A backtracking matcher would not be done with these before the sun is."""
    name, pattern = "a" * 3000, "*a" * 100 + "b"
    text = document(
        statement(Resource=[f"arn:aws:s3:::b/{pattern}", f"arn:aws:s3:::{'?*' * 100}/${{aws:username}}{pattern}"])
    )
    assert ask(text, resource=f"arn:aws:s3:::b/{name}", **{"aws:username": "a*"}) is None
    assert not holds("StringLike", "k:x", [pattern], {"k:x": name})
    assert not holds("ArnLike", "k:x", [f"arn:aws:{pattern}:::{pattern}"], {"k:x": f"arn:aws:{name}:::{name}"})
    opened = "${" * 500_000  # nor one that takes it apart, of variables that never end
    assert not holds("StringLike", "k:x", [opened], {"k:x": name})
    assert not list(keys([document(statement(Resource=opened))]))


def test_what_is_public() -> None:
    fixed = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    anybody = {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}
    for text, public in (
        (document(statement()), True),
        (document(statement(Condition=fixed)), False),
        (document(statement(Condition=anybody)), True),
        (document(statement(DENY)), False),
        (document(statement(Principal={"AWS": ACCOUNT})), False),
    ):
        assert policy.is_public(policy.parse(text)) is public


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"Statement": []}', '{"Statement": [7]}', '{"Version": "1999-01-01"}']
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(MalformedPolicy):
        policy.parse(text)
