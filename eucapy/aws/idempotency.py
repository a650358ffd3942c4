"""DryRun and client tokens: the part of them that is AWS's and the same everywhere.

The environment's `invoke` does the rest, around its transaction: look the token up before the handler runs, store the
answer with it after, roll back a dry run.

    if wants_dry_run(request): ... run, roll back ...; raise DryRunOperation()
    token = client_token(request)
    if token: print = fingerprint(request); known = await tokens.find(tx, account, action, token)
        known and known.fingerprint != print → IdempotentParameterMismatch(); known → its stored answer
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from eucapy.aws.bodies import BodyReader
from eucapy.aws.chain import Request
from eucapy.aws.errors import InvalidParameterValue

MAX_TOKEN = 64
_ENCODER = msgspec.json.Encoder(order="sorted")


def wants_dry_run(request: Request) -> bool:
    """The caller asks only whether it may: everything is checked, nothing is kept."""
    return request.operation is not None and request.operation.has_dry_run and bool(request.params.get("DryRun"))


def client_token(request: Request) -> str | None:
    """The token of an idempotent operation, None when the caller gave none. Raises InvalidParameterValue for one that is
    longer than EC2 takes."""
    if request.operation is None or request.operation.token_member is None:
        return None
    token = request.params.get(request.operation.token_member)
    if not token:
        return None
    if len(token) > MAX_TOKEN or not token.isascii():
        raise InvalidParameterValue(
            f"Invalid client token: {request.operation.token_member} must have at most {MAX_TOKEN} ASCII characters."
        )
    return str(token)


def fingerprint(request: Request) -> str:
    """The same for requests that ask the same: the parameters apart from the token, hashed."""
    token = request.operation.token_member if request.operation is not None else None
    kept: dict[str, Any] = {
        name: value
        for name, value in request.params.items()
        if name not in (token, "DryRun") and not isinstance(value, BodyReader)
    }
    return hashlib.sha256(request.action.encode() + b"\0" + _ENCODER.encode(kept)).hexdigest()
