"""EnableImageBlockPublicAccess, DisableImageBlockPublicAccess, GetImageBlockPublicAccessState: whether the account's images may
become public.

Blocked, launch permissions take `all` no more; what is public stays so. Source: EC2 User Guide, "Understand block public
access for AMIs"; a new account begins unblocked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import OperationNotPermitted
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import image_public_access

BLOCKED, UNBLOCKED = "block-new-sharing", "unblocked"


@ec2.action("EnableImageBlockPublicAccess")
async def enable_image_block_public_access(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    await image_public_access.block(call.tx, call.account)
    return {"ImageBlockPublicAccessState": BLOCKED}


@ec2.action("DisableImageBlockPublicAccess")
async def disable_image_block_public_access(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    await image_public_access.unblock(call.tx, call.account)
    return {"ImageBlockPublicAccessState": UNBLOCKED}


@ec2.action("GetImageBlockPublicAccessState")
async def get_image_block_public_access_state(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    blocked = await image_public_access.is_blocked(call.tx, call.account)
    return {"ImageBlockPublicAccessState": BLOCKED if blocked else UNBLOCKED, "ManagedBy": "account"}


async def require_open(call: Call) -> None:
    """Raises OperationNotPermitted in AWS's words."""
    if await image_public_access.is_blocked(call.tx, call.account):
        raise OperationNotPermitted(
            "You can’t publicly share this image because block public access for AMIs is enabled for this account. To "
            "publicly share the image, you must call the DisableImageBlockPublicAccess API."
        )
