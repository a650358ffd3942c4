"""Codes of MFA devices (RFC 6238: six digits, SHA-1, a step of 30 seconds): whether one is right.

A code counts within a step before and after the device's own time, and once. The devices themselves: `iam/mfa.py`.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from eucapy.clc.store import iam_mfa
from eucapy.database import Tx

STEP_S = 30
DRIFT = 1
"""Steps by which a code may be early or late."""


async def check(tx: Tx, unseal: Callable[[bytes], bytes], now: float, user_id: str, serial: str, code: str) -> bool:
    """Whether the user's device shows this code now; a code that is right is used up."""
    device = await iam_mfa.by_serial(tx, serial)
    if device is None or device.user_id != user_id:
        return False
    seed, around = unseal(device.sealed_seed), int(now // STEP_S) + device.offset_steps
    for step in range(around - DRIFT, around + DRIFT + 1):
        if hmac.compare_digest(shown_code(seed, step).encode(), code.encode()):
            return await iam_mfa.use_step(tx, serial, step)
    return False


def shown_code(seed: bytes, step: int) -> str:
    """The six digits of a time step (seconds since the epoch over 30). Source: RFC 4226, RFC 6238."""
    digest = hmac.digest(seed, step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**6:06d}"
