"""`python -m benchmarks.policy`: what one decision of the policy engine costs, in microseconds at the median.

A caller has twenty managed policies of five statements each (wildcards, variables, conditions) and a boundary; in a row of
its own there is a bucket policy too. Once the policies speak of ten services, once all of them of the one that is asked.
*Warm* is what a cloud does: powers are kept, and the action was asked before. *First* asks an action for the first time.
*Compiling* is from texts, once for a change of a policy.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from eucapy.aws import policy as policies
from eucapy.aws import policygrammar
from eucapy.aws.evaluation import Attached, Powers, evaluate
from eucapy.aws.policy import Policy, Question

POLICIES, STATEMENTS = 20, 5
ACCOUNT = "111122223333"
SERVICES = ("ec2", "sns", "rds", "sts", "elasticloadbalancing", "autoscaling", "cloudwatch", "logs", "sqs", "kms")
CONTEXT: dict[str, str | list[str]] = {
    "aws:username": "ann",
    "aws:principaltag/team": "blue",
    "aws:sourceip": "192.0.2.7",
    "aws:securetransport": "true",
    "aws:currenttime": "2026-11-22T12:00:00Z",
    "ec2:resourcetag/team": "blue",
}


def document(number: int, service: str, chance: random.Random) -> str:
    """Of one attached policy: statements as people write them."""
    conditions: tuple[dict[str, Any], ...] = (
        {},
        {"StringEquals": {"ec2:ResourceTag/team": "${aws:PrincipalTag/team}"}},
        {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}, "Bool": {"aws:SecureTransport": "true"}},
        {"StringLike": {"s3:prefix": ["home/${aws:username}/*", "public/*"]}},
    )
    statements = []
    for at in range(STATEMENTS):
        statement: dict[str, Any] = {
            "Sid": f"S{at}",
            "Effect": "Deny" if at == 4 and number % 5 == 0 else "Allow",
            "Action": [f"{service}:{verb}*" for verb in ("Describe", "Get", "List", "Start", "Stop")[: at + 1]],
            "Resource": (
                f"arn:aws:{service}:*:{ACCOUNT}:thing/${{aws:username}}-*",
                f"arn:aws:{service}:*:*:*/x-{number}",
            ),
        }
        if condition := chance.choice(conditions):
            statement["Condition"] = condition
        statements.append(statement)
    if number == POLICIES - 1:
        statements.append({"Effect": "Allow", "Action": ["ec2:StartInstances", "s3:GetObject"], "Resource": "*"})
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def median_us(work: Callable[[], Any], rounds: int) -> float:
    """Of one call."""
    taken = []
    for _ in range(rounds):
        before = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - before)
    return statistics.median(taken) / 1000


def caller(services: tuple[str, ...]) -> Powers:
    """Read and compiled anew."""
    chance = random.Random(4)
    texts = [document(number, services[number % len(services)], chance) for number in range(POLICIES)]
    identity = tuple(Attached(f"policy {number}", policygrammar.identity(text)) for number, text in enumerate(texts))
    everything = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
    powers = Powers(identity, Attached("boundary", policygrammar.identity(everything)))
    powers.concerned("ec2:StartInstances")
    return powers


def bucket_policy() -> Policy:
    named = [f"arn:aws:iam::{number:012}:root" for number in range(20)]
    statement = {"Effect": "Allow", "Principal": {"AWS": named}, "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"}
    return policies.parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def asked(action: str, resource: str) -> Question:
    return Question(f"arn:aws:iam::{ACCOUNT}:user/ann", ACCOUNT, frozenset(), action, resource, CONTEXT)


def main() -> int:
    mixed, same, bucket = caller(SERVICES), caller(("ec2",)), bucket_policy()
    start = asked("ec2:StartInstances", f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-0123456789abcdef0")
    get = asked("s3:GetObject", "arn:aws:s3:::b/home/ann/k")
    nowhere = asked("kms:CreateKey", "*")

    def first() -> None:
        mixed.forget()
        evaluate(mixed, start)

    assert evaluate(mixed, start).allowed
    assert evaluate(same, start).allowed
    assert not evaluate(mixed, nowhere).allowed
    rows: tuple[tuple[str, Callable[[], Any], int], ...] = (
        ("allowed by the last of 20 policies", lambda: evaluate(mixed, start), 5000),
        ("allowed by the last of 20 policies, all of one service", lambda: evaluate(same, start), 2000),
        (
            "allowed by the last of 20 policies, with a bucket policy",
            lambda: evaluate(mixed, get, resource_policy=bucket),
            5000,
        ),
        ("allowed by none of 20 policies", lambda: evaluate(mixed, nowhere), 5000),
        ("allowed by the last of 20 policies, first time of the action", first, 500),
        ("reading and compiling 20 policies", lambda: caller(SERVICES), 20),
    )
    for name, work, rounds in rows:
        print(f"{median_us(work, rounds):9.1f} µs  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
