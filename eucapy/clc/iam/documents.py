"""Policy documents as IAM takes and shows them.

They come as JSON, and are answered percent-encoded; SDKs undo that. Sizes are counted without white space. What a document
must be: the engine's grammar (`aws/policy.py`); what a trust policy must be besides: here.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from eucapy.aws import policy
from eucapy.aws.policy import MalformedPolicy, Policy
from eucapy.clc.iam.service import LimitExceeded, MalformedPolicyDocument

_TRUST_ACTIONS = re.compile(
    r"sts:(\*|AssumeRole|AssumeRoleWithSAML|AssumeRoleWithWebIdentity|TagSession|SetSourceIdentity|SetContext)\Z", re.I
)


def shown(text: str) -> str:
    """As a response carries it: RFC 3986."""
    return quote(text, safe="-_.~")


def size(text: str) -> int:
    """Characters that count towards a quota: all but white space."""
    return len(re.sub(r"\s", "", text))


def identity_policy(text: str) -> Policy:
    """A document for a user, a group or a role. Raises MalformedPolicyDocument."""
    parsed = _parsed(text, of_resource=False)
    if any(statement.principals is not None for statement in parsed.statements):
        raise MalformedPolicyDocument("Policy document should not specify a principal.")
    return parsed


def trust_policy(text: str, most: int = 2048) -> None:
    """A document that says who may take on a role. Raises MalformedPolicyDocument, LimitExceeded."""
    document = _json(text)
    statements = document.get("Statement")
    for statement in statements if isinstance(statements, list) else [statements]:
        if isinstance(statement, dict):
            for field in ("Resource", "NotResource"):
                if field in statement:
                    raise MalformedPolicyDocument(f"Has prohibited field {field}")
            statement["Resource"] = "*"
    for statement in _parsed(json.dumps(document), of_resource=True).statements:
        if statement.not_action or not all(_TRUST_ACTIONS.match(action) for action in statement.actions):
            raise MalformedPolicyDocument("AssumeRole policy may only specify STS AssumeRole actions.")
    if size(text) > most:
        raise LimitExceeded(quota="ACLSizePerRole", most=most)


def _json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise MalformedPolicyDocument("This policy contains invalid Json")
    return document


def _parsed(text: str, *, of_resource: bool) -> Policy:
    _json(text)
    try:
        return policy.parse(text, of_resource=of_resource)
    except MalformedPolicy as error:
        raise MalformedPolicyDocument(error.text) from error
