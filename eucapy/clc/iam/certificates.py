"""Server certificates: what balancers present. The private key is sealed, and never answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from eucapy.clc.context import Call
from eucapy.clc.iam.paging import page, window
from eucapy.clc.iam.service import EntityAlreadyExists, LimitExceeded, MalformedCertificate, NoSuchEntity, iam
from eucapy.clc.iam.tags import checked, with_tags
from eucapy.clc.store import iam_certificates, iam_names, iam_tags
from eucapy.database import Row
from eucapy.errors import ApiError

CERTIFICATES_PER_ACCOUNT = 20
_TABLE = iam_certificates.server_certificates


class KeyPairMismatch(ApiError):
    message = "The public key certificate and the private key do not match."


@iam.action("UploadServerCertificate")
async def upload(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    name, tags = p["ServerCertificateName"], checked(p.get("Tags"))
    certificate = parsed(p["CertificateBody"])
    _require_pair(certificate, p["PrivateKey"])
    if p.get("CertificateChain"):
        _require_chain(p["CertificateChain"])
    if await iam_names.holder(call.tx, _TABLE, call.account, name) is not None:
        raise EntityAlreadyExists(f"The Server Certificate with name {name} already exists.")
    if await iam_names.count(call.tx, _TABLE, call.account) >= CERTIFICATES_PER_ACCOUNT:
        raise LimitExceeded(quota="ServerCertificatesPerAccount", most=CERTIFICATES_PER_ACCOUNT)
    row = await iam_names.insert(
        call.tx, _TABLE, "ASCA", call.account, name, p.get("Path") or "/", call.now,
        body=p["CertificateBody"], chain=p.get("CertificateChain") or None,
        sealed_key=call.seal(p["PrivateKey"].encode()),
        expires_at=certificate.not_valid_after_utc.timestamp(),
    )  # fmt: skip
    await iam_tags.put(call.tx, row.id, tags)
    return with_tags({"ServerCertificateMetadata": _view(row)}, tags)


@iam.action("GetServerCertificate")
async def get(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["ServerCertificateName"])
    shown = {"ServerCertificateMetadata": _view(row), "CertificateBody": row.body}
    if row.chain is not None:
        shown["CertificateChain"] = row.chain
    return {"ServerCertificate": with_tags(shown, await iam_tags.of(call.tx, row.id), always=True)}


@iam.action("ListServerCertificates")
async def list_all(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    after, most = window(call, p)
    rows = await iam_names.page(call.tx, _TABLE, call.account, p.get("PathPrefix") or "", after, most + 1)
    return page(call, "ServerCertificateMetadataList", rows, most, key=lambda row: str(row.folded), shown=_view)


@iam.action("UpdateServerCertificate")
async def update(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["ServerCertificateName"])
    new = p.get("NewServerCertificateName")
    if new is not None and new != row.name:
        holder = await iam_names.holder(call.tx, _TABLE, call.account, new)
        if holder is not None and holder != row.id:
            raise EntityAlreadyExists(f"The Server Certificate with name {new} already exists.")
    given = {"name": new, "path": p.get("NewPath")}
    values = {column: value for column, value in given.items() if value is not None}
    await iam_names.update(call.tx, _TABLE, row.id, **values)
    return {}


@iam.action("DeleteServerCertificate")
async def delete(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["ServerCertificateName"])
    await iam_tags.remove_all(call.tx, row.id)
    await iam_names.remove(call.tx, _TABLE, row.id)
    return {}


async def require(call: Call, name: str) -> Row:
    """Raises NoSuchEntity."""
    row = await iam_names.by_name(call.tx, _TABLE, call.account, name)
    if row is None:
        raise NoSuchEntity(f"The Server Certificate with name {name} cannot be found.")
    return row


def parsed(body: str) -> x509.Certificate:
    """Raises MalformedCertificate."""
    try:
        return x509.load_pem_x509_certificate(body.strip().encode())
    except ValueError as error:
        raise MalformedCertificate(body=body) from error


def _require_chain(chain: str) -> None:
    try:
        x509.load_pem_x509_certificates(chain.encode())
    except ValueError as error:
        raise MalformedCertificate("Unable to parse certificate chain. Please ensure the certificate chain is in PEM "
                                   "format.") from error  # fmt: skip


def _require_pair(certificate: x509.Certificate, key: str) -> None:
    try:
        private = serialization.load_pem_private_key(key.strip().encode(), None)
    except (ValueError, TypeError) as error:
        raise MalformedCertificate("Unable to parse key; Unable to load key") from error
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise KeyPairMismatch


def _view(row: Row) -> dict[str, Any]:
    return {
        "Path": row.path,
        "ServerCertificateName": row.name,
        "ServerCertificateId": row.id,
        "Arn": iam_certificates.arn(row),
        "UploadDate": row.created_at,
        "Expiration": row.expires_at,
    }
