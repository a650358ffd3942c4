"""STS: who calls. Roles and temporary credentials are not served yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.aws.service import Service
from eucapy.clc.context import Call
from eucapy.clc.store import accounts
from eucapy.errors import ApiError

sts = Service("sts")


class InvalidClientTokenId(ApiError):
    status = 403
    message = "The security token included in the request is invalid"


@sts.action("GetCallerIdentity")
async def get_caller_identity(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    principal = call.principal
    return {"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn}


@sts.action("GetAccessKeyInfo")
async def get_access_key_info(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await accounts.key(call.tx, p["AccessKeyId"])
    if row is None:
        raise InvalidClientTokenId
    return {"Account": row.account}
