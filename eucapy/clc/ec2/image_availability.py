"""EnableImage, DisableImage, EnableImageDeregistrationProtection, DisableImageDeregistrationProtection, and deprecation:
EnableImageDeprecation, DisableImageDeprecation.

A disabled image is kept, but launched by nobody and shown to its owner alone, who must ask for it. A protected one cannot be
deregistered; protection with a cool-down lasts a day longer than its owner wants. Source: EC2 User Guide, "Disable an Amazon
EC2 AMI", "Protect an Amazon EC2 AMI from deregistration".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import (
    InvalidAMIIDUnavailable,
    InvalidParameterValue,
)
from eucapy.clc.ec2.images import own
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import images
from eucapy.clc.store.advance import advance
from eucapy.database import Row
from eucapy.lifecycle import image as life
from eucapy.lifecycle.image import IMAGE

COOLDOWN_S = 24 * 3600.0
PROTECTED, PROTECTED_WITH_COOLDOWN = "enabled-without-cooldown", "enabled-with-cooldown"


@ec2.action("EnableImage")
async def enable_image(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Launch permissions that it had before it was disabled do not come back."""
    row = await _in_either_state(call, p["ImageId"])
    if row.state == life.DISABLED:
        await advance(call.tx, IMAGE, row, "enable")
    return {"Return": True}


@ec2.action("DisableImage")
async def disable_image(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _in_either_state(call, p["ImageId"])
    if row.state == life.AVAILABLE:
        await advance(call.tx, IMAGE, row, "disable", public=False)
        await images.unshare(call.tx, row.id)
    return {"Return": True}


@ec2.action("EnableImageDeregistrationProtection")
async def enable_image_deregistration_protection(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await own(call, p["ImageId"])
    kind = PROTECTED_WITH_COOLDOWN if p.get("WithCooldown") else PROTECTED
    await images.set_values(call.tx, row.id, protection=kind, protected_until=None)
    return {"Return": "true"}


@ec2.action("DisableImageDeregistrationProtection")
async def disable_image_deregistration_protection(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await own(call, p["ImageId"])
    if row.protection == PROTECTED_WITH_COOLDOWN:
        if row.protected_until is None:
            await images.set_values(call.tx, row.id, protected_until=call.now + COOLDOWN_S)
    else:
        await images.set_values(call.tx, row.id, protection="")
    return {"Return": "true"}


@ec2.action("EnableImageDeprecation")
async def enable_image_deprecation(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await own(call, p["ImageId"])
    at = p["DeprecateAt"].timestamp() if hasattr(p["DeprecateAt"], "timestamp") else float(p["DeprecateAt"])
    if at <= call.now:
        raise InvalidParameterValue("The deprecation date must be in the future.")
    await images.set_values(call.tx, row.id, deprecated_at=at)
    return {"Return": True}


@ec2.action("DisableImageDeprecation")
async def disable_image_deprecation(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await own(call, p["ImageId"])
    await images.set_values(call.tx, row.id, deprecated_at=None)
    return {"Return": True}


async def _in_either_state(call: Call, image_id: str) -> Row:
    row = await own(call, image_id)
    if row.state not in (life.AVAILABLE, life.DISABLED):
        raise InvalidAMIIDUnavailable(image=image_id)
    return row
