"""How far temporary credentials of users reach, whatever policies allow them: not into IAM, and into STS hardly.

                      IAM                    STS
GetSessionToken       with an MFA code only  AssumeRole and who somebody is
GetFederationToken    never                  who somebody is
a role's session      as policies say        as policies say; no GetSessionToken, no GetFederationToken (`sts/user_sessions.py`)

Source: "Compare AWS STS credentials", IAM guide.
"""

from __future__ import annotations

from eucapy.aws.chain import Request
from eucapy.clc.context import ASSUMED_ROLE, FEDERATED_USER, Principal
from eucapy.errors import ApiError

_WHO = frozenset({"GetCallerIdentity", "GetAccessKeyInfo", "DecodeAuthorizationMessage"})
_OWN_WORDS = frozenset({"GetSessionToken", "GetFederationToken"})
"""These refuse sessions themselves."""


class InvalidClientTokenId(ApiError):
    """What IAM says of a session that it does not serve."""

    status = 403
    message = "The security token included in the request is invalid"


class AccessDenied(ApiError):
    status = 403
    message = "Cannot call {action} with session credentials"


def check(request: Request) -> None:
    """Raises InvalidClientTokenId, AccessDenied."""
    principal = request.identity.principal
    if not isinstance(principal, Principal) or principal.session is None or principal.kind == ASSUMED_ROLE:
        return
    federated = principal.kind == FEDERATED_USER
    if request.service.name == "iam" and (federated or principal.session.mfa_at is None):
        raise InvalidClientTokenId
    if request.service.name == "sts" and request.action not in _WHO | _OWN_WORDS:
        anonymous = request.action in ("AssumeRoleWithSAML", "AssumeRoleWithWebIdentity")
        if federated or not (anonymous or request.action == "AssumeRole"):
            raise AccessDenied(action=request.action)
