"""Powers made of stored texts: what IAM took is read, what nobody can read denies all."""

from __future__ import annotations

import json

import pytest

from eucapy.aws import policytexts
from eucapy.aws.evaluation import Powers, evaluate
from eucapy.aws.policy import Question

ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def document(*statements: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allows(powers: Powers) -> bool:
    user = "arn:aws:iam::111122223333:user/ann"
    question = Question(user, "111122223333", frozenset(), "s3:GetObject", "arn:aws:s3:::b/k", {})
    return evaluate(powers, question).allowed


@pytest.mark.parametrize(
    "statement",
    [
        ALL | {"Resource": ["*", None]},
        ALL | {"Action": ["*", "s3:what is none"]},
        ALL | {"Condition": {"StringEquals": {}}},
    ],
)
def test_what_iam_took_is_what_it_says(statement: object) -> None:
    assert allows(policytexts.powers([("inline i", document(statement))]))


@pytest.mark.parametrize("text", ["", "{", "[]", document({"Effect": "Allow"}), document(ALL | {"Principal": "*"})])
def test_what_cannot_be_read_denies_all(text: str) -> None:
    fine = ("inline i", document(ALL))
    assert allows(policytexts.powers([fine]))
    assert not allows(policytexts.powers([fine, ("inline j", text)]))
    assert not allows(policytexts.powers([fine], boundary=("b", text)))
    assert not allows(policytexts.powers([fine], session=[("s", text)]))


def test_one_text_is_compiled_once_for_all_who_have_it() -> None:
    first, second = (policytexts.powers([("inline i", document(ALL))]) for _ in range(2))
    assert first.identity[0].policy is second.identity[0].policy
