"""SAML 2.0 providers: who may vouch for users in AssumeRoleWithSAML, by their metadata document."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import serialization
from lxml import etree

from eucapy.clc.context import Call
from eucapy.clc.iam.service import EntityAlreadyExists, InvalidInput, LimitExceeded, NoSuchEntity, iam
from eucapy.clc.iam.tags import checked, with_tags
from eucapy.clc.store import iam_providers, iam_tags
from eucapy.clc.store.iam_names import principal_id
from eucapy.clc.store.iam_providers import saml_providers
from eucapy.database import Row

PROVIDERS_PER_ACCOUNT = 100
PRIVATE_KEYS = 2
LASTS_S = 100 * 365 * 86400
"""A metadata document without validUntil is taken for so long."""
_METADATA = "{urn:oasis:names:tc:SAML:2.0:metadata}"
_SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}"


@iam.action("CreateSAMLProvider")
async def create(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    tags = checked(p.get("Tags"))
    valid_until = _valid_until(p["SAMLMetadataDocument"], call.now)
    arn = f"arn:aws:iam::{call.account}:saml-provider/{p['Name']}"
    if await iam_providers.by_arn(call.tx, saml_providers, arn) is not None:
        raise EntityAlreadyExists(f"SAMLProvider with name {p['Name']} already exists.")
    if len(await iam_providers.of(call.tx, saml_providers, call.account)) >= PROVIDERS_PER_ACCOUNT:
        raise LimitExceeded(quota="SAMLProvidersPerAccount", most=PROVIDERS_PER_ACCOUNT)
    keys = [_private_key(call, p["AddPrivateKey"])] if p.get("AddPrivateKey") else []
    await iam_providers.insert(
        call.tx, saml_providers, arn=arn, account=call.account, unique_id=principal_id("ASAML")[:21],
        document=p["SAMLMetadataDocument"], encryption=p.get("AssertionEncryptionMode"), private_keys=keys,
        valid_until=valid_until, created_at=call.now,
    )  # fmt: skip
    await iam_tags.put(call.tx, arn, tags)
    return with_tags({"SAMLProviderArn": arn}, tags)


@iam.action("GetSAMLProvider")
async def get(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["SAMLProviderArn"])
    shown = {
        "SAMLProviderUUID": row.unique_id,
        "SAMLMetadataDocument": row.document,
        "CreateDate": row.created_at,
        "ValidUntil": row.valid_until,
        "AssertionEncryptionMode": row.encryption or "Allowed",
        "PrivateKeyList": [{"KeyId": key["id"], "Timestamp": key["at"]} for key in row.private_keys],
    }
    return with_tags(shown, await iam_tags.of(call.tx, row.arn), always=True)


@iam.action("ListSAMLProviders")
async def list_all(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows = await iam_providers.of(call.tx, saml_providers, call.account)
    return {
        "SAMLProviderList": [
            {"Arn": row.arn, "ValidUntil": row.valid_until, "CreateDate": row.created_at} for row in rows
        ]
    }


@iam.action("UpdateSAMLProvider")
async def update(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["SAMLProviderArn"])
    values: dict[str, Any] = {}
    if p.get("SAMLMetadataDocument"):
        values["valid_until"] = _valid_until(p["SAMLMetadataDocument"], call.now)
        values["document"] = p["SAMLMetadataDocument"]
    if p.get("AssertionEncryptionMode"):
        values["encryption"] = p["AssertionEncryptionMode"]
    keys = list(row.private_keys)
    if p.get("RemovePrivateKey"):
        if not any(key["id"] == p["RemovePrivateKey"] for key in keys):
            raise InvalidInput(f"Private key {p['RemovePrivateKey']} was not found.")
        keys = [key for key in keys if key["id"] != p["RemovePrivateKey"]]
    if p.get("AddPrivateKey"):
        if len(keys) >= PRIVATE_KEYS:
            raise LimitExceeded(quota="PrivateKeysPerSAMLProvider", most=PRIVATE_KEYS)
        keys.append(_private_key(call, p["AddPrivateKey"]))
    await iam_providers.update(call.tx, saml_providers, row.arn, **values, private_keys=keys)
    return {"SAMLProviderArn": row.arn}


@iam.action("DeleteSAMLProvider")
async def delete(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["SAMLProviderArn"])
    await iam_tags.remove_all(call.tx, row.arn)
    await iam_providers.remove(call.tx, saml_providers, row.arn)
    return {}


async def require(call: Call, arn: str) -> Row:
    """Raises NoSuchEntity."""
    row = await iam_providers.by_arn(call.tx, saml_providers, arn)
    if row is None or row.account != call.account:
        raise NoSuchEntity(f"Manifest not found for arn {arn}")
    return row


def _valid_until(document: str, now: float) -> float:
    """Until when the metadata counts. Raises InvalidInput for what is no identity provider's metadata.

    No entities, no DTD, no network: the document is a stranger's.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(document.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InvalidInput("Could not parse metadata") from error
    if root.getroottree().docinfo.doctype or root.tag != f"{_METADATA}EntityDescriptor" or not root.get("entityID"):
        raise InvalidInput("Could not parse metadata")
    provider = root.find(f"{_METADATA}IDPSSODescriptor")
    if provider is None or provider.find(f".//{_SIGNATURE}X509Certificate") is None:
        raise InvalidInput("Could not parse metadata")
    said = root.get("validUntil") or provider.get("validUntil")
    if not said:
        return now + LASTS_S
    try:
        moment = datetime.fromisoformat(said.replace("Z", "+00:00"))
    except ValueError as error:
        raise InvalidInput("Could not parse metadata") from error
    until = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if until <= now:
        raise InvalidInput("The metadata document is expired.")
    return until


def _private_key(call: Call, text: str) -> dict[str, Any]:
    try:
        serialization.load_pem_private_key(text.strip().encode(), None)
    except (ValueError, TypeError) as error:
        raise InvalidInput("The private key is not valid.") from error
    sealed = base64.b64encode(call.seal(text.encode())).decode()
    return {"id": secrets.token_hex(16).upper(), "at": call.now, "sealed": sealed}
