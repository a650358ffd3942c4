"""May this principal do that? Until policies decide, a user may do everything in its account, or nothing.

`sts:GetCallerIdentity` needs no permission, as in AWS.
"""

from __future__ import annotations

from eucapy.aws.chain import Request
from eucapy.clc.context import Principal
from eucapy.errors import ApiError

_FREE = frozenset({("sts", "GetCallerIdentity"), ("sts", "GetAccessKeyInfo")})


class UnauthorizedOperation(ApiError):
    status = 403
    message = "You are not authorized to perform this operation. User: {arn} is not authorized to perform: {action}"


class AccessDenied(ApiError):
    status = 403
    message = "User: {arn} is not authorized to perform: {action}"


def authorize(request: Request) -> None:
    """Raises UnauthorizedOperation (EC2) or AccessDenied."""
    principal = request.identity.principal
    if (request.service.name, request.action) in _FREE:
        return
    if isinstance(principal, Principal) and principal.rights == "all":
        return
    arn = principal.arn if isinstance(principal, Principal) else "anonymous"
    refusal = UnauthorizedOperation if request.service.family == "ec2" else AccessDenied
    raise refusal(arn=arn, action=f"{request.service.name}:{request.action}")
