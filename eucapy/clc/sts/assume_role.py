"""AssumeRole: a user, or the session of another role, takes a role on.

Both sides have to agree: the role's trust policy, and the caller's own policies (where the trust policy names the caller's
account and not the caller itself). `trust.py` asks them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import ASSUMED_ROLE, FEDERATED_USER, ROOT, Call
from eucapy.clc.sessions import Session
from eucapy.clc.store import roles
from eucapy.clc.sts import granting, mfa, trust
from eucapy.clc.sts.service import AccessDenied, ValidationError, sts

_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:[^:]+\Z")


@sts.action("AssumeRole")
async def assume_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    arn = p["RoleArn"]
    if not _ARN.match(arn):
        raise ValidationError(f"{arn} is invalid")
    principal = call.principal
    if principal.kind == ROOT:
        raise AccessDenied("Roles may not be assumed by root accounts.")
    if principal.kind == FEDERATED_USER:
        raise AccessDenied(arn=principal.arn, action="sts:AssumeRole", resource=arn)
    before = granting.calling_role_session(call)
    limits = granting.limits(p)
    tags = granting.session_tags(p.get("Tags") or (), p.get("TransitiveTagKeys") or (), before)
    source_identity = _source_identity(p.get("SourceIdentity") or "", principal.session)
    mfa_at = await mfa.shown(call, p)
    role = await roles.by_arn(call.tx, arn)
    await trust.require_caller(
        call,
        role,
        arn,
        trust.actions("sts:AssumeRole", tags["tags"], source_identity),
        trust.facts(
            name=p["RoleSessionName"],
            tags=tags["tags"],
            transitive=tags["transitive"],
            source_identity=source_identity,
            external_id=p.get("ExternalId"),
        )
        | trust.mfa_facts(mfa_at),
    )
    assert role is not None
    now = int(call.now)
    seconds = granting.role_seconds(p.get("DurationSeconds"), role.max_session_s, chained=before is not None)
    session = Session(
        kind=ASSUMED_ROLE,
        account=role.account,
        holder=role.id,
        name=p["RoleSessionName"],
        issued_at=now,
        expires_at=now + seconds,
        source_identity=source_identity,
        chained=before is not None,
        **limits,
        **tags,
    )
    return granting.of_role(granting.begin(call, session, p.get("MinimumSessionTokenSize", 0)), session, role)


def _source_identity(asked: str, before: Session | None) -> str:
    """Once set it goes along with every role of the chain and does not change. Source: "Monitor and control actions taken
    with assumed roles". Raises ValidationError."""
    if asked.lower().startswith("aws:"):
        raise ValidationError('Source Identity must not begin with "aws:"')
    held = before.source_identity if before is not None else ""
    if held and asked and held != asked:
        raise ValidationError("The source identity of a role session cannot be changed by role chaining.")
    return asked or held
