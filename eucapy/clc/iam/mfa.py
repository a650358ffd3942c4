"""Virtual MFA devices: codes of six digits that change every 30 seconds (RFC 6238, SHA-1), and are checked.

A code counts within a step before and after the device's own time, and once. The seed is answered at CreateVirtualMFADevice,
as text and as a picture to scan, and kept sealed. Whether a code is right: `clc/totp.py`.
"""

from __future__ import annotations

import base64
import hmac
import io
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import segno

from eucapy.clc.context import Call
from eucapy.clc.iam import users
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import (
    DeleteConflict,
    EntityAlreadyExists,
    LimitExceeded,
    NoSuchEntity,
    ValidationError,
    changed,
    iam,
)
from eucapy.clc.iam.tags import checked, with_tags
from eucapy.clc.store import accounts, iam_mfa, iam_tags
from eucapy.clc.totp import STEP_S, shown_code
from eucapy.database import Row
from eucapy.errors import ApiError

SEED_BYTES = 20
SEARCHED = 20
"""Steps around now in which EnableMFADevice and ResyncMFADevice look for a device's clock."""
DEVICES_PER_USER = 8
_PATH = re.compile(r"/(?:[!-~]+/)?\Z", re.ASCII)


class InvalidAuthenticationCode(ApiError):
    status = 403
    message = "Authentication code for device is not valid"


@iam.action("CreateVirtualMFADevice")
async def create(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    path, name = p.get("Path") or "/", p["VirtualMFADeviceName"]
    if not _PATH.match(path):
        raise ValidationError(
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric "
            "characters and/or / characters."
        )
    tags = checked(p.get("Tags"))
    serial = f"arn:aws:iam::{call.account}:mfa{path}{name}"
    if await iam_mfa.by_serial(call.tx, serial) is not None:
        raise EntityAlreadyExists("MFADevice entity at the same path and name already exists.")
    seed = os.urandom(SEED_BYTES)
    await iam_mfa.insert(call.tx, call.account, serial, call.seal(seed), call.now)
    await iam_tags.put(call.tx, serial, tags)
    text = base64.b32encode(seed)
    device = {"SerialNumber": serial, "Base32StringSeed": text, "QRCodePNG": _picture(call.account, name, text)}
    return {"VirtualMFADevice": with_tags(device, tags)}


@iam.action("DeleteVirtualMFADevice")
async def delete(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    device = await require(call, p["SerialNumber"])
    if device.user_id is not None:
        raise DeleteConflict("Cannot delete entity, must deactivate MFA device first.")
    await iam_tags.remove_all(call.tx, device.serial)
    await iam_mfa.remove(call.tx, device.serial)
    return {}


@iam.action("EnableMFADevice")
async def enable(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Two codes, one right after the other, tie the device to the user, and tell how its clock goes."""
    user = await users.require(call, p["UserName"])
    device = await require(call, p["SerialNumber"])
    if device.user_id is not None:
        raise EntityAlreadyExists("MFA Device is already in use.")
    if len(await iam_mfa.of_user(call.tx, user.id)) >= DEVICES_PER_USER:
        raise LimitExceeded(quota="MFADevicesPerUser", most=DEVICES_PER_USER)
    facts = _synchronized(call, device, p)
    await iam_mfa.update(call.tx, device.serial, user_id=user.id, enabled_at=call.now, **facts)
    changed(call)
    return {}


@iam.action("ResyncMFADevice")
async def resync(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p["UserName"])
    device = await _require_of(call, user, p["SerialNumber"])
    await iam_mfa.update(call.tx, device.serial, **_synchronized(call, device, p))
    return {}


@iam.action("DeactivateMFADevice")
async def deactivate(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The device is nobody's again; another EnableMFADevice needs codes that were not used yet."""
    user = await users.require(call, p.get("UserName"))
    device = await _require_of(call, user, p["SerialNumber"])
    await iam_mfa.update(call.tx, device.serial, user_id=None, enabled_at=None)
    changed(call)
    return {}


@iam.action("ListMFADevices")
async def list_devices(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p.get("UserName"))
    held = await iam_mfa.of_user(call.tx, user.id)

    def view(row: Row) -> dict[str, Any]:
        return {"UserName": user.name, "SerialNumber": row.serial, "EnableDate": row.enabled_at}

    return listed(call, p, "MFADevices", held, key=lambda row: str(row.serial), shown=view)


@iam.action("GetMFADevice")
async def get_device(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    device = await require(call, p["SerialNumber"])
    user = await accounts.user_by_id(call.tx, device.user_id) if device.user_id is not None else None
    if user is None or p.get("UserName") not in (None, user.name):
        raise _absent(p["SerialNumber"])
    return {"UserName": user.name, "SerialNumber": device.serial, "EnableDate": device.enabled_at}


@iam.action("ListVirtualMFADevices")
async def list_virtual(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    wanted = p.get("AssignmentStatus") or "Any"
    rows = [
        row
        for row in await iam_mfa.of_account(call.tx, call.account)
        if wanted == "Any" or (row.user_id is not None) == (wanted == "Assigned")
    ]
    owners = {row.user_id: await accounts.user_by_id(call.tx, row.user_id) for row in rows if row.user_id is not None}

    def view(row: Row) -> dict[str, Any]:
        owner = owners.get(row.user_id)
        shown: dict[str, Any] = {"SerialNumber": row.serial}
        if owner is not None:
            shown |= {"User": users.view(owner), "EnableDate": row.enabled_at}
        return shown

    return listed(call, p, "VirtualMFADevices", rows, key=lambda row: str(row.serial), shown=view)


def _synchronized(call: Call, device: Row, p: Mapping[str, Any]) -> dict[str, int]:
    """Where two codes in a row stand in the device's time. Raises InvalidAuthenticationCode."""
    seed, present = call.unseal(device.sealed_seed), int(call.now // STEP_S)
    first, second = p["AuthenticationCode1"], p["AuthenticationCode2"]
    for step in sorted(range(present - SEARCHED, present + SEARCHED + 1), key=lambda step: abs(step - present)):
        pair = shown_code(seed, step) + shown_code(seed, step + 1)
        if hmac.compare_digest(pair, first + second):
            return {"offset_steps": step + 1 - present, "last_step": step + 1}
    raise InvalidAuthenticationCode


async def require(call: Call, serial: str) -> Row:
    """A device of the account. Raises NoSuchEntity."""
    device = await iam_mfa.by_serial(call.tx, serial)
    if device is None or device.account != call.account:
        raise _absent(serial)
    return device


async def _require_of(call: Call, user: Row, serial: str) -> Row:
    device = await iam_mfa.by_serial(call.tx, serial)
    if device is None or device.user_id != user.id:
        raise _absent(serial)
    return device


def _absent(serial: str) -> NoSuchEntity:
    return NoSuchEntity(f"MFA Device with serial number {serial} does not exist.")


def _picture(account: str, name: str, seed: bytes) -> bytes:
    """A PNG of what authenticator apps scan."""
    label = quote(f"Amazon Web Services:{name}@{account}")
    uri = f"otpauth://totp/{label}?secret={seed.decode()}&issuer={quote('Amazon Web Services')}"
    png = io.BytesIO()
    segno.make(uri, micro=False).save(png, kind="png", scale=5)
    return png.getvalue()
