"""The engine against a second, naive evaluator on a hundred thousand random requests, and what must hold of any policies:
one Deny more never allows, one Allow less never allows."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from eucapy.aws import policy as policies
from eucapy.aws.evaluation import Attached, Powers, evaluate
from eucapy.aws.policy import Policy, Question
from tests.aws import naive_policies as naive

OURS, THEIRS = "111122223333", "444455556666"
USER, BOB = f"arn:aws:iam::{OURS}:user/ann", f"arn:aws:iam::{OURS}:user/bob"
ROLE, SESSION = f"arn:aws:iam::{OURS}:role/r", f"arn:aws:sts::{OURS}:assumed-role/r/s"
ACTIONS = ("s3:GetObject", "s3:PutObject", "ec2:RunInstances", "iam:ListUsers")
ACTION_PATTERNS = (*ACTIONS, "*", "s3:*", "s3:get*", "S3:?utObject", "ec2:*Instances", "iam:List*")
RESOURCES = (
    "*", "arn:aws:s3:::home/ann/k", "arn:aws:s3:::home/a:b", "arn:aws:s3:::b", "arn:aws:ec2:r1:111122223333:instance/i-1",
    "arn:aws:ec2:r2:444455556666:instance/i:2",
)  # fmt: skip
RESOURCE_PATTERNS = (
    *RESOURCES, "arn:aws:s3:::*", "arn:aws:s3:::home/${aws:username}/*", "arn:aws:s3:::home/*", "arn:aws:ec2:*",
    "arn:aws:ec2:*:111122223333:instance/*", "arn:aws:ec2:r?:*:instance/i-?", "arn:aws:s3:::${aws:PrincipalTag/b, 'b'}",
    "arn:*:s3:::home/${*}", "arn:aws:*:b", "arn:aws:s3:::home/${aws:userid}", "arn:aws:ec2:*:*:*:*", "arn:aws:ec2:*:instance/*",
)  # fmt: skip
PRINCIPALS = ("*", {"AWS": "*"}, {"AWS": OURS}, {"AWS": USER}, {"AWS": [BOB, ROLE]}, {"AWS": SESSION}, {"AWS": THEIRS},
              {"AWS": [f"arn:aws:iam::{OURS}:root", USER]})  # fmt: skip
KEYS: Mapping[str, tuple[Any, ...]] = {
    "aws:username": ("ann", "a*", "bob"),
    "aws:userid": ("a:b", "x"),
    "aws:principaltag/b": ("b", "home/?", ["b", "c"]),
    "aws:tagkeys": (["a", "b"], ["c"], [], "a"),
    "aws:sourceip": ("10.1.2.3", "192.0.2.1"),
    "aws:securetransport": ("true", "false"),
    "aws:currenttime": ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    "s3:max-keys": ("10", "ten", "100"),
    "aws:sourcearn": ("arn:aws:s3:::home", "arn:aws:sns:r1:111122223333:t"),
    "k:binary": ("YWI=", "YWM="),
}
VALUES: Mapping[str, tuple[tuple[str, ...], tuple[Any, ...]]] = {
    "aws:username": (("String",), ("ann", "A*", "a?n", "${aws:PrincipalTag/b}", "a${*}", "${aws:username}")),
    "aws:tagkeys": (("String",), ("a", "b", ["a", "b"], "c", "?")),
    "aws:sourceip": (("Ip",), ("10.0.0.0/8", ["192.0.2.1", "2001:db8::/32"])),
    "aws:securetransport": (("Bool",), ("true", "false")),
    "aws:currenttime": (("Date",), ("2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z")),
    "s3:max-keys": (("Numeric",), ("10", "50", "x")),
    "aws:sourcearn": (
        ("Arn", "String"),
        ("arn:aws:s3:::*", "arn:aws:sns:*:*:t", "arn:aws:sns", "*", "arn:aws:s3:::home"),
    ),
    "k:binary": (("Binary",), ("YWI=", ["YWM=", "YWQ="])),
}
OPERATORS = {
    "String": ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase",
               "StringNotEqualsIgnoreCase"),
    "Ip": ("IpAddress", "NotIpAddress"),
    "Bool": ("Bool",),
    "Date": ("DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"),
    "Numeric": ("NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan",
                "NumericGreaterThanEquals"),
    "Arn": ("ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"),
    "Binary": ("BinaryEquals",),
}  # fmt: skip


class Chance:
    """Random documents and requests, small enough that they meet."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def some(self, values: tuple[Any, ...], most: int = 2) -> Any:
        found = self.random.sample(values, self.random.randint(1, most))
        return found[0] if len(found) == 1 and self.random.random() < 0.5 else found

    def condition(self) -> tuple[str, str, Any]:
        key = self.random.choice(tuple(VALUES))
        kinds, values = VALUES[key]
        if self.random.random() < 0.1:
            return "Null", key, self.random.choice(("true", "false"))
        operator = self.random.choice(OPERATORS[self.random.choice(kinds)])
        quantifier = self.random.choice(("", "", "", "ForAnyValue:", "ForAllValues:"))
        suffix = self.random.choice(("", "", "IfExists"))
        return f"{quantifier}{operator}{suffix}", key, self.random.choice(values)

    def statement(self, *, of_resource: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"Effect": self.random.choices(("Allow", "Deny"), (5, 1))[0]}
        found[self.random.choices(("Action", "NotAction"), (5, 1))[0]] = self.some(ACTION_PATTERNS)
        found[self.random.choices(("Resource", "NotResource"), (5, 1))[0]] = self.some(RESOURCE_PATTERNS, 3)
        if of_resource:
            found[self.random.choices(("Principal", "NotPrincipal"), (6, 1))[0]] = self.random.choice(PRINCIPALS)
        conditions: dict[str, dict[str, Any]] = {}
        for _ in range(self.random.choice((0, 0, 1, 2))):
            operator, key, value = self.condition()
            conditions.setdefault(operator, {})[key] = value
        return found | ({"Condition": conditions} if conditions else {})

    def document(self, *, of_resource: bool = False) -> dict[str, Any]:
        version = self.random.choices(("2012-10-17", "2008-10-17"), (6, 1))[0]
        count = self.random.randint(1, 3)
        return {"Version": version, "Statement": [self.statement(of_resource=of_resource) for _ in range(count)]}

    def maybe(self, chance: float, **how: bool) -> dict[str, Any] | None:
        return self.document(**how) if self.random.random() < chance else None

    def asked(self) -> dict[str, Any]:
        context = {key: self.random.choice(values) for key, values in KEYS.items() if self.random.random() < 0.6}
        arn, parent = self.random.choice(((USER, ""), (SESSION, ROLE)))
        action, resource = self.random.choice(ACTIONS), self.random.choice(RESOURCES)
        return {
            "arn": arn, "parent": parent, "account": OURS, "action": action, "resource": resource, "context": context,
        }  # fmt: skip


def read(document: Mapping[str, Any], *, of_resource: bool = False) -> Policy:
    return policies.parse(json.dumps(document), of_resource=of_resource)


def ask(asked: Mapping[str, Any]) -> Question:
    return Question(
        asked["arn"], OURS, frozenset(), asked["action"], asked["resource"], asked["context"], asked["parent"]
    )


def test_a_second_evaluator_agrees_on_a_hundred_thousand_requests() -> None:
    chance, allowed, explicit = Chance(20261122), 0, 0
    for _ in range(2000):
        identity = [chance.document() for _ in range(chance.random.randint(0, 3))]
        boundary, resource = chance.maybe(0.2), chance.maybe(0.5, of_resource=True)
        session = [chance.document()] if chance.random.random() < 0.2 else None
        owner = chance.random.choices((OURS, THEIRS), (3, 1))[0]
        powers = Powers(
            tuple(Attached(f"inline {number}", read(each)) for number, each in enumerate(identity)),
            None if boundary is None else Attached("boundary", read(boundary)),
            None if session is None else tuple(Attached("session", read(each)) for each in session),
        )
        of_resource = None if resource is None else read(resource, of_resource=True)
        for _ in range(50):
            asked = chance.asked()
            verdict = evaluate(powers, ask(asked), resource_policy=of_resource, resource_account=owner)
            expected = naive.allowed(identity, boundary, session, resource, asked, owner)
            assert verdict.allowed is expected, (identity, boundary, session, resource, asked, owner, verdict)
            assert verdict.allowed is (verdict.because == "")
            allowed += verdict.allowed
            explicit += verdict.explicit
    assert 10_000 < allowed < 90_000, "else the cases prove little"
    assert explicit > 5_000


@given(st.integers(0, 2**32), st.sampled_from(["identity", "boundary", "session", "resource"]))
@settings(max_examples=300, deadline=None)
def test_a_deny_more_and_an_allow_less_never_allow(seed: int, where: str) -> None:
    chance = Chance(seed)
    documents: dict[str, dict[str, Any]] = {
        name: chance.document(of_resource=name == "resource")
        for name in ("identity", "boundary", "session", "resource")
    }
    asked = ask(chance.asked())
    owner = chance.random.choice((OURS, THEIRS))

    def allowed(changed: Mapping[str, Any]) -> bool:
        parsed = {name: read(each, of_resource=name == "resource") for name, each in changed.items()}
        powers = Powers(
            (Attached("i", parsed["identity"]),), Attached("b", parsed["boundary"]), (Attached("s", parsed["session"]),)
        )
        return evaluate(powers, asked, resource_policy=parsed["resource"], resource_account=owner).allowed

    before = allowed(documents)
    statements = documents[where]["Statement"]
    denying = chance.statement(of_resource=where == "resource") | {"Effect": "Deny"}
    assert before or not allowed(documents | {where: documents[where] | {"Statement": [*statements, denying]}})
    kept = [each for each in statements if each["Effect"] == "Deny"]
    fewer = kept + [each for each in statements if each["Effect"] == "Allow"][1:]
    nothing = {"Effect": "Deny", "Action": "none:None", "Resource": "arn:aws:none:::none"} | (
        {"Principal": "*"} if where == "resource" else {}
    )
    assert before or not allowed(documents | {where: documents[where] | {"Statement": fewer or [nothing]}})
