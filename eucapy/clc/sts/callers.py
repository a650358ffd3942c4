"""Who somebody is: GetCallerIdentity, GetAccessKeyInfo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc import sessions
from eucapy.clc.context import Call
from eucapy.clc.store import accounts
from eucapy.clc.sts.service import InvalidClientTokenId, sts


@sts.action("GetCallerIdentity")
async def get_caller_identity(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Everybody may ask this, whatever policies say. Source: its reference, "No permissions are required"."""
    principal = call.principal
    return {"UserId": principal.unique_id, "Account": principal.account, "Arn": principal.arn}


@sts.action("GetAccessKeyInfo")
async def get_access_key_info(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The account of an access key, one of other accounts and one that has expired too. Raises InvalidClientTokenId."""
    access_key_id = p["AccessKeyId"]
    row = await accounts.key(call.tx, access_key_id)
    if row is not None:
        return {"Account": row.account}
    account = sessions.account_of(access_key_id)
    if account is None or await accounts.by_id(call.tx, account) is None:
        raise InvalidClientTokenId
    return {"Account": account}
