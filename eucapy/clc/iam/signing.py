"""Users' signing certificates: two at most, for old tools that sign with X.509."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam import users
from eucapy.clc.iam.certificates import parsed
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import LimitExceeded, NoSuchEntity, iam
from eucapy.clc.store import iam_certificates
from eucapy.clc.store.iam_names import principal_id
from eucapy.database import Row
from eucapy.errors import ApiError

CERTIFICATES_PER_USER = 2


class DuplicateCertificate(ApiError):
    status = 409
    message = "The certificate is already in use."


@iam.action("UploadSigningCertificate")
async def upload(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p.get("UserName"))
    certificate = parsed(p["CertificateBody"])
    held = await iam_certificates.signing_of(call.tx, user.id)
    if any(parsed(row.body) == certificate for row in held):
        raise DuplicateCertificate
    if len(held) >= CERTIFICATES_PER_USER:
        raise LimitExceeded(quota="CertificatesPerUser", most=CERTIFICATES_PER_USER)
    new = principal_id("") + principal_id("")[:15]
    await iam_certificates.insert_signing(call.tx, call.account, user.id, new, p["CertificateBody"], call.now)
    (row,) = (row for row in await iam_certificates.signing_of(call.tx, user.id) if row.id == new)
    return {"Certificate": _view(user, row)}


@iam.action("ListSigningCertificates")
async def list_all(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p.get("UserName"))
    held = await iam_certificates.signing_of(call.tx, user.id)
    return listed(
        call, p, "Certificates", held,
        key=lambda row: f"{row.created_at:020.6f} {row.id}", shown=lambda row: _view(user, row),
    )  # fmt: skip


@iam.action("UpdateSigningCertificate")
async def update(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _require(call, p)
    await iam_certificates.set_signing_active(call.tx, row.id, p["Status"] == "Active")
    return {}


@iam.action("DeleteSigningCertificate")
async def delete(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _require(call, p)
    await iam_certificates.remove_signing(call.tx, row.id)
    return {}


async def _require(call: Call, p: Mapping[str, Any]) -> Row:
    user = await users.require(call, p.get("UserName"))
    for row in await iam_certificates.signing_of(call.tx, user.id):
        if row.id == p["CertificateId"]:
            return row
    raise NoSuchEntity(f"The Certificate with id {p['CertificateId']} cannot be found.")


def _view(user: Row, row: Row) -> dict[str, Any]:
    return {
        "UserName": user.name,
        "CertificateId": row.id,
        "CertificateBody": row.body,
        "Status": "Active" if row.active else "Inactive",
        "UploadDate": row.created_at,
    }
