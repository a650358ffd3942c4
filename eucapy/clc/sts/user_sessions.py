"""Temporary credentials of users: GetSessionToken for the user itself, GetFederationToken for somebody in its name.

Neither is for temporary credentials, so that no session outlives the one that it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import FEDERATED_USER, Call
from eucapy.clc.sessions import Session
from eucapy.clc.sts import granting, mfa
from eucapy.clc.sts.service import sts


@sts.action("GetSessionToken")
async def get_session_token(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    granting.refuse_sessions(call)
    now = int(call.now)
    principal = call.principal
    session = Session(
        kind=principal.kind,
        account=principal.account,
        holder=principal.user_id,
        name="",
        issued_at=now,
        expires_at=now + granting.user_seconds(call, p.get("DurationSeconds")),
        mfa_at=await mfa.shown(call, p),
    )
    return granting.begin(call, session, p.get("MinimumSessionTokenSize", 0))


@sts.action("GetFederationToken")
async def get_federation_token(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Without session policies the federated user may do only what a resource's own policy allows it."""
    granting.refuse_sessions(call)
    now = int(call.now)
    principal = call.principal
    session = Session(
        kind=FEDERATED_USER,
        account=principal.account,
        holder=principal.user_id,
        name=p["Name"],
        issued_at=now,
        expires_at=now + granting.user_seconds(call, p.get("DurationSeconds")),
        **granting.limits(p),
        **granting.session_tags(p.get("Tags") or (), (), None),
    )
    answer = granting.begin(call, session, p.get("MinimumSessionTokenSize", 0))
    answer["FederatedUser"] = {
        "FederatedUserId": f"{principal.account}:{session.name}",
        "Arn": f"arn:aws:sts::{principal.account}:federated-user/{session.name}",
    }
    return {"PackedPolicySize": 0, **answer}
