"""The MFA code that a call brings along: SerialNumber and TokenCode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc import totp
from eucapy.clc.context import ROOT, USER, Call
from eucapy.clc.guesses import GUESSES
from eucapy.clc.store import iam_mfa
from eucapy.clc.sts.service import AccessDenied, ValidationError

_NO_DEVICE = (
    "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and "
    "associated with this user."
)
_WRONG_CODE = "MultiFactorAuthentication failed with invalid MFA one time pass code. "


async def shown(call: Call, p: Mapping[str, Any]) -> int | None:
    """When the caller showed a good code: now, or None where it showed none. Raises AccessDenied, ValidationError."""
    serial, code = p.get("SerialNumber"), p.get("TokenCode")
    if not serial and not code:
        return None
    if not serial or not code:
        raise ValidationError("MFA serial number and token code are given together.")
    principal = call.principal
    if principal.kind not in (USER, ROOT) or principal.session is not None:
        raise AccessDenied(_NO_DEVICE)
    device = await iam_mfa.by_serial(call.tx, serial)
    if device is None or device.user_id != principal.user_id:
        raise AccessDenied(_NO_DEVICE)
    if not GUESSES.may_try(serial, call.now):
        raise AccessDenied(_WRONG_CODE)
    if not await totp.check(call.tx, call.unseal, call.now, principal.user_id, serial, code):
        raise AccessDenied(_WRONG_CODE)
    GUESSES.was_right(serial)
    return int(call.now)
