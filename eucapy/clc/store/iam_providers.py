"""Identity providers that roles may trust: OpenID Connect issuers and SAML 2.0 providers. Both are named by their ARN."""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store.base import Json, account_column, created_column, metadata
from eucapy.database import Row, Tx

oidc_providers = sa.Table(
    "oidc_providers",
    metadata,
    sa.Column("arn", sa.String(512), primary_key=True),
    account_column(),
    sa.Column("url", sa.String(255), nullable=False),
    sa.Column("client_ids", Json, nullable=False),
    sa.Column("thumbprints", Json, nullable=False),
    created_column(),
)
"""`url` is the issuer without `https://`, as IAM shows it."""

saml_providers = sa.Table(
    "saml_providers",
    metadata,
    sa.Column("arn", sa.String(512), primary_key=True),
    account_column(),
    sa.Column("unique_id", sa.String(64), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("encryption", sa.String(16)),
    sa.Column("private_keys", Json, nullable=False),
    sa.Column("valid_until", sa.Float, nullable=False),
    created_column(),
)
"""`document` is the provider's metadata; `private_keys` are [{id, at, sealed}], `sealed` in base64."""


async def by_arn(tx: Tx, table: sa.Table, provider_arn: str) -> Row | None:
    """A provider of either table."""
    return await tx.first(sa.select(table).where(table.c.arn == provider_arn))


async def of(tx: Tx, table: sa.Table, account: str) -> list[Row]:
    return list(await tx.all(sa.select(table).where(table.c.account == account).order_by(table.c.arn)))


async def insert(tx: Tx, table: sa.Table, **values: object) -> None:
    await tx.run(sa.insert(table).values(**values))


async def update(tx: Tx, table: sa.Table, provider_arn: str, **values: object) -> None:
    await tx.run(sa.update(table).where(table.c.arn == provider_arn).values(**values))


async def remove(tx: Tx, table: sa.Table, provider_arn: str) -> None:
    await tx.run(sa.delete(table).where(table.c.arn == provider_arn))
