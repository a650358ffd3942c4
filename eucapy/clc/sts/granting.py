"""What the calls that make temporary credentials share: how long, under which policies and tags, and the answer's shapes.

`limits` reads session policies, `session_tags` the tags; `credentials` seals a session and shows it as AWS does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from eucapy.aws import policygrammar
from eucapy.aws.policy import MalformedPolicy
from eucapy.clc.context import ASSUMED_ROLE, ROOT, Call
from eucapy.clc.sessions import LONGEST_TOKEN, Session, TooLarge, packed_percent
from eucapy.clc.sts.service import (
    AccessDenied,
    InvalidParameterValue,
    MalformedPolicyDocument,
    PackedPolicyTooLarge,
    ValidationError,
)

HOUR_S = 3600
MOST_POLICY_ARNS = 10
MOST_TAGS = 50
MOST_POLICY_CHARACTERS = 2048
"""Of a session policy. Source: "IAM and AWS STS quotas"."""


def role_seconds(asked: int | None, most_s: int, *, chained: bool) -> int:
    """How long the session of a role lasts: an hour unless asked otherwise. Raises ValidationError.

    Source: AssumeRole, "DurationSeconds"; a session that assumes the next role gets an hour at most.
    """
    if asked is None:
        return HOUR_S
    if chained and asked > HOUR_S:
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    if asked > most_s:
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return asked


def user_seconds(call: Call, asked: int | None) -> int:
    """How long GetSessionToken's and GetFederationToken's last: twelve hours unless asked otherwise, and one at most for
    the root user. Source: their reference, "DurationSeconds"."""
    seconds = 12 * HOUR_S if asked is None else asked
    return min(seconds, HOUR_S) if call.principal.kind == ROOT else seconds


def limits(p: Mapping[str, Any]) -> dict[str, Any]:
    """The session policies of a request, as fields of a Session. Raises MalformedPolicyDocument, ValidationError,
    PackedPolicyTooLarge."""
    arns = tuple(each["arn"] for each in p.get("PolicyArns") or () if each.get("arn"))
    if len(arns) > MOST_POLICY_ARNS:
        raise ValidationError(
            f"1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length "
            f"less than or equal to {MOST_POLICY_ARNS}"
        )
    for arn in arns:
        if not arn.startswith("arn:aws:iam::") or ":policy/" not in arn:
            raise ValidationError(f"ARN {arn} is not valid.")
    text = p.get("Policy")
    if not text:
        return {"policies": (), "policy_arns": arns}
    if len(text) > MOST_POLICY_CHARACTERS:
        raise ValidationError(
            f"1 validation error detected: Value '{text}' at 'policy' failed to satisfy constraint: Member must have "
            f"length less than or equal to {MOST_POLICY_CHARACTERS}"
        )
    try:
        policygrammar.session(text)
    except MalformedPolicy as error:
        raise MalformedPolicyDocument(error.text) from error
    return {"policies": (text,), "policy_arns": arns}


def session_tags(
    tags: Iterable[Mapping[str, str]], transitive: Sequence[str], inherited: Session | None
) -> dict[str, Any]:
    """The tags of a new session, as fields of a Session: those asked for, and those that the calling session hands down.

    Raises InvalidParameterValue. Source: "Pass session tags in AWS STS": keys are one whatever their case; what is handed
    down cannot be set anew.
    """
    asked = {tag["Key"]: tag.get("Value", "") for tag in tags}
    folded = {key.lower() for key in asked}
    if len(folded) < len(list(tags)):
        raise InvalidParameterValue("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if any(key.lower().startswith("aws:") for key in asked):
        raise InvalidParameterValue("Tag keys and values that start with aws: are reserved.")
    if any(key.lower() not in folded for key in transitive):
        raise InvalidParameterValue("The specified transitive tag key must be included in the requested tags.")
    passed: dict[str, str] = {}
    if inherited is not None:
        handed = {key.lower() for key in inherited.transitive}
        if handed & folded:
            raise InvalidParameterValue(
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key "
                "from the calling session."
            )
        passed = {key: value for key, value in inherited.tags if key.lower() in handed}
    names = {key.lower(): key for key in asked}
    return {
        "tags": (*passed.items(), *asked.items()),
        "transitive": (*passed, *(names[key.lower()] for key in transitive)),
    }


def begin(call: Call, session: Session, padded: int = 0) -> dict[str, Any]:
    """Credentials for the session: the members that every answer has. `padded`: MinimumSessionTokenSize.

    Raises PackedPolicyTooLarge.
    """
    try:
        issued = call.sessions.issue(session, padded)
    except TooLarge as error:
        what = "session policy" if session.limited and not session.tags else "session tags"
        raise PackedPolicyTooLarge(what=what, percent=error.percent) from error
    answer: dict[str, Any] = {
        "Credentials": {
            "AccessKeyId": issued.access_key_id,
            "SecretAccessKey": issued.secret,
            "SessionToken": issued.token,
            "Expiration": datetime.fromtimestamp(issued.expires_at, UTC),
        },
        "SessionTokenSize": len(issued.token),
        "SessionTokenUtilization": -(-len(issued.token) * 100 // LONGEST_TOKEN),
    }
    if session.limited or session.tags:
        answer["PackedPolicySize"] = packed_percent(session)
    return answer


def of_role(answer: dict[str, Any], session: Session, role: Any) -> dict[str, Any]:
    """The answer of an AssumeRole call."""
    answer["AssumedRoleUser"] = {
        "AssumedRoleId": f"{role.id}:{session.name}",
        "Arn": f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{session.name}",
    }
    if session.source_identity:
        answer["SourceIdentity"] = session.source_identity
    return answer


def calling_role_session(call: Call) -> Session | None:
    """The caller's session where the caller is a role: then the next role is chained to it."""
    principal = call.principal
    return principal.session if principal.kind == ASSUMED_ROLE else None


def refuse_sessions(call: Call) -> None:
    """GetSessionToken and GetFederationToken are for long-lived keys alone. Raises AccessDenied."""
    if call.principal.session is not None:
        raise AccessDenied(f"Cannot call {call.action} with session credentials")
