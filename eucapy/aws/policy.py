"""AWS's policy language: parse, decide, and what counts as public. Pure: no clock, no store, no notion of a service.

    policy = parse(text)                                   # MalformedPolicy says what is wrong, in S3's words
    decide(policy, Question(arn, account, ids, "s3:GetObject", "arn:aws:s3:::b/k", context))    # ALLOW, DENY or None

An explicit Deny wins over every Allow; None says that the policy is silent, which whoever asked takes for "no" unless
something else allows it. `decide` asks one policy; what several say together is `evaluation.py`'s. IAM has its own words
for what is wrong with a policy: `policygrammar.py`. Source: "Policy evaluation logic" and "IAM JSON policy elements",
IAM guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from eucapy.aws.policyconditions import is_operator
from eucapy.aws.policystatements import (
    ACCOUNT,
    ALLOW,
    ARN,
    DENY,
    NOBODY,
    OLDEST,
    VERSIONS,
    MalformedPolicy,
    Policy,
    Question,
    Statement,
)

__all__ = ["ALLOW", "DENY", "MalformedPolicy", "Policy", "Question", "Statement", "decide", "is_public", "parse"]
_STATEMENT_FIELDS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_ACTION = re.compile(r"\*\Z|[A-Za-z0-9-]+:[A-Za-z0-9*?]+\Z", re.ASCII)
_PINNING = frozenset({"aws:sourceip", "aws:sourcearn", "aws:sourceaccount", "aws:sourcevpc", "aws:sourcevpce",
                      "aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:userid"})  # fmt: skip

# --- parse ------------------------------------------------------------------------------------------------------------


def parse(text: str, *, of_resource: bool = True) -> Policy:
    """`of_resource`: the policy hangs on a resource, so that each statement names its principals. Raises MalformedPolicy."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
        if text.lstrip()[:1] == "{":
            raise MalformedPolicy("This policy contains invalid Json") from None
    if not isinstance(document, dict):
        raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'")
    for name in document:
        if name not in ("Version", "Id", "Statement"):
            raise MalformedPolicy(f"Unknown field {name}")
    version = document.get("Version", OLDEST)
    if version not in VERSIONS:
        raise MalformedPolicy("The policy must contain a valid version string")
    statements = document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise MalformedPolicy("Missing required field Statement")
    sids = [each.get("Sid") for each in statements if isinstance(each, dict) and each.get("Sid")]
    if len({str(sid) for sid in sids}) != len(sids):
        raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique.")
    return Policy(tuple(_statement(each, of_resource) for each in statements), version)


def _statement(raw: Any, of_resource: bool) -> Statement:
    if not isinstance(raw, dict):
        raise MalformedPolicy("Statement is not a JSON object")
    for name in raw:
        if name not in _STATEMENT_FIELDS:
            raise MalformedPolicy(f"Unknown field {name}")
    effect = raw.get("Effect")
    if effect is None:
        raise MalformedPolicy("Missing required field Effect")
    if effect not in (ALLOW, DENY):
        raise MalformedPolicy(f"Invalid effect: {effect}")
    not_principal, principal = _either(raw, "Principal", required=of_resource)
    not_action, action = _either(raw, "Action")
    not_resource, resource = _either(raw, "Resource")
    actions = _texts(action, "Policy has invalid action")
    if any(_ACTION.match(each) is None for each in actions):
        raise MalformedPolicy("Policy has invalid action")
    principals = None if principal is None else _principals(principal)
    resources = _texts(resource, "Policy has invalid resource")
    conditions = _conditions(raw.get("Condition"))
    sid = str(raw.get("Sid") or "")
    return Statement(effect, principals, not_principal, actions, not_action, resources, not_resource, conditions, sid)


def _either(raw: Mapping[str, Any], name: str, *, required: bool = True) -> tuple[bool, Any]:
    if name in raw and f"Not{name}" in raw:
        raise MalformedPolicy(f"Statement cannot have both {name} and Not{name}")
    if f"Not{name}" in raw:
        return True, raw[f"Not{name}"]
    if name not in raw and required:
        raise MalformedPolicy(f"Missing required field {name}")
    return False, raw.get(name)


def _texts(value: Any, complaint: str) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(each, str) and each for each in values):
        raise MalformedPolicy(complaint)
    return tuple(values)


def _principals(value: Any) -> tuple[tuple[str, str], ...]:
    complaint = "Invalid principal in policy"
    if value == "*":
        return (("AWS", "*"),)
    if not isinstance(value, dict) or not value:
        raise MalformedPolicy(complaint)
    found: list[tuple[str, str]] = []
    for kind, names in value.items():
        if kind not in ("AWS", "CanonicalUser", "Service", "Federated"):
            raise MalformedPolicy(complaint)
        for name in _texts(names, complaint):
            if kind == "AWS" and name != "*" and not ACCOUNT.match(name) and not ARN.match(name):
                raise MalformedPolicy(complaint)
            found.append((kind, name))
    return tuple(found)


def _conditions(value: Any) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise MalformedPolicy("Invalid Condition")
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for operator, keys in value.items():
        if not is_operator(operator):
            raise MalformedPolicy(f"Invalid Condition type : {operator}")
        if not isinstance(keys, dict):
            raise MalformedPolicy("Invalid Condition")
        for key, wanted in keys.items():
            values = wanted if isinstance(wanted, list) else [wanted]
            if ":" not in key:
                raise MalformedPolicy("Policy has an invalid condition key")
            if not all(isinstance(each, str | int | float | bool) for each in values):
                raise MalformedPolicy("Policy has invalid condition value")
            found.append((operator, key.lower(), tuple(_as_text(each) for each in values)))
    return tuple(found)


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- decide -----------------------------------------------------------------------------------------------------------


def decide(policy: Policy, question: Question) -> str | None:
    """DENY where any statement that applies denies, else ALLOW where one allows, else None."""
    answer = None
    action = question.action.lower()
    for rule in policy.rules:
        if rule.statement.effect == answer or not rule.regards(action) or rule.level(question) == NOBODY:
            continue
        if not rule.applies(question):
            continue
        if rule.deny:
            return DENY
        answer = ALLOW
    return answer


# --- public -----------------------------------------------------------------------------------------------------------


def is_public(policy: Policy) -> bool:
    """Whether it lets anybody in: an Allow for everyone that no condition ties to fixed callers.

    Source: "The meaning of public", S3 user guide.
    """
    return any(_lets_anybody_in(statement) for statement in policy.statements)


def _lets_anybody_in(statement: Statement) -> bool:
    if statement.effect != ALLOW:
        return False
    everybody = statement.not_principal or any(name == "*" for _, name in statement.principals or ())
    return everybody and not any(_pins(*condition) for condition in statement.conditions)


def _pins(operator: str, key: str, values: Sequence[str]) -> bool:
    if key not in _PINNING or "Not" in operator or "IfExists" in operator or operator.startswith("ForAllValues"):
        return False
    if key == "aws:sourceip":
        return all(value not in ("0.0.0.0/0", "::/0") for value in values)
    return all("*" not in value and "?" not in value and "${" not in value for value in values)
