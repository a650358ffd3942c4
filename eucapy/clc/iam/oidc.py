"""OpenID Connect providers: issuers whose tokens AssumeRoleWithWebIdentity takes.

Nobody calls the issuer here: without thumbprints its certificate is judged by the host's authorities when a token comes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from eucapy.clc.context import Call
from eucapy.clc.iam.service import EntityAlreadyExists, InvalidInput, LimitExceeded, NoSuchEntity, ValidationError, iam
from eucapy.clc.iam.tags import checked, with_tags
from eucapy.clc.store import iam_providers, iam_tags
from eucapy.clc.store.iam_providers import oidc_providers
from eucapy.database import Row

PROVIDERS_PER_ACCOUNT = 100
CLIENTS_PER_PROVIDER = 100
THUMBPRINTS = 5
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?\Z", re.ASCII)


@iam.action("CreateOpenIDConnectProvider")
async def create(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    url, tags = p["Url"], checked(p.get("Tags"))
    clients, thumbprints = list(dict.fromkeys(p.get("ClientIDList") or ())), list(p.get("ThumbprintList") or ())
    _refuse_many_thumbprints(thumbprints)
    if len(clients) > CLIENTS_PER_PROVIDER:
        raise LimitExceeded(quota="ClientIdsPerOpenIdConnectProvider", most=CLIENTS_PER_PROVIDER)
    parts = urlsplit(url)
    if parts.scheme != "https" or not _HOST.match(parts.netloc) or parts.query or parts.fragment:
        raise ValidationError("Invalid Open ID Connect Provider URL")
    issuer = url.removeprefix("https://")
    arn = f"arn:aws:iam::{call.account}:oidc-provider/{issuer}"
    if await iam_providers.by_arn(call.tx, oidc_providers, arn) is not None:
        raise EntityAlreadyExists(f"Provider with url {url} already exists.")
    if len(await iam_providers.of(call.tx, oidc_providers, call.account)) >= PROVIDERS_PER_ACCOUNT:
        raise LimitExceeded(quota="OpenIdConnectProvidersPerAccount", most=PROVIDERS_PER_ACCOUNT)
    await iam_providers.insert(
        call.tx, oidc_providers, arn=arn, account=call.account, url=issuer, client_ids=clients,
        thumbprints=thumbprints, created_at=call.now,
    )  # fmt: skip
    await iam_tags.put(call.tx, arn, tags)
    return with_tags({"OpenIDConnectProviderArn": arn}, tags)


@iam.action("GetOpenIDConnectProvider")
async def get(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["OpenIDConnectProviderArn"])
    shown = {
        "Url": row.url,
        "ClientIDList": row.client_ids,
        "ThumbprintList": row.thumbprints,
        "CreateDate": row.created_at,
    }
    return with_tags(shown, await iam_tags.of(call.tx, row.arn), always=True)


@iam.action("ListOpenIDConnectProviders")
async def list_all(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows = await iam_providers.of(call.tx, oidc_providers, call.account)
    return {"OpenIDConnectProviderList": [{"Arn": row.arn} for row in rows]}


@iam.action("AddClientIDToOpenIDConnectProvider")
async def add_client(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """One that is there already changes nothing."""
    row = await require(call, p["OpenIDConnectProviderArn"])
    clients = list(row.client_ids)
    if p["ClientID"] not in clients:
        if len(clients) >= CLIENTS_PER_PROVIDER:
            raise LimitExceeded(quota="ClientIdsPerOpenIdConnectProvider", most=CLIENTS_PER_PROVIDER)
        await iam_providers.update(call.tx, oidc_providers, row.arn, client_ids=[*clients, p["ClientID"]])
    return {}


@iam.action("RemoveClientIDFromOpenIDConnectProvider")
async def remove_client(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """One that is not there changes nothing."""
    row = await require(call, p["OpenIDConnectProviderArn"])
    left = [client for client in row.client_ids if client != p["ClientID"]]
    await iam_providers.update(call.tx, oidc_providers, row.arn, client_ids=left)
    return {}


@iam.action("UpdateOpenIDConnectProviderThumbprint")
async def update_thumbprint(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["OpenIDConnectProviderArn"])
    _refuse_many_thumbprints(p["ThumbprintList"])
    await iam_providers.update(call.tx, oidc_providers, row.arn, thumbprints=list(p["ThumbprintList"]))
    return {}


@iam.action("DeleteOpenIDConnectProvider")
async def delete(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Roles that trust it stay, and nobody gets at them by it any more."""
    arn = p["OpenIDConnectProviderArn"]
    row = await iam_providers.by_arn(call.tx, oidc_providers, arn)
    if row is None or row.account != call.account:
        raise NoSuchEntity(f"OpenId connect Provider {arn} cannot be found.")
    await iam_tags.remove_all(call.tx, arn)
    await iam_providers.remove(call.tx, oidc_providers, arn)
    return {}


async def require(call: Call, arn: str) -> Row:
    """Raises NoSuchEntity."""
    row = await iam_providers.by_arn(call.tx, oidc_providers, arn)
    if row is None or row.account != call.account:
        raise NoSuchEntity(f"OpenIDConnect Provider not found for arn {arn}")
    return row


def _refuse_many_thumbprints(thumbprints: list[str]) -> None:
    if len(thumbprints) > THUMBPRINTS:
        raise InvalidInput(f"Thumbprint list must contain fewer than {THUMBPRINTS} entries.")
