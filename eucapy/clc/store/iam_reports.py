"""What was asked for and is fetched later: credential reports, deletions of service-linked roles, access advice."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from eucapy.clc.store.base import Json, account_column, created_column, metadata
from eucapy.database import Row, Tx

credential_reports = sa.Table(
    "credential_reports",
    metadata,
    sa.Column("account", sa.String(12), sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
    created_column(),
)

iam_jobs = sa.Table(
    "iam_jobs",
    metadata,
    sa.Column("id", sa.String(1000), primary_key=True),
    account_column(),
    sa.Column("facts", Json, nullable=False),
    created_column(),
)


async def report(tx: Tx, account: str) -> Row | None:
    return await tx.first(sa.select(credential_reports).where(credential_reports.c.account == account))


async def put_report(tx: Tx, account: str, content: str, now: float) -> None:
    await tx.run(sa.delete(credential_reports).where(credential_reports.c.account == account))
    await tx.run(sa.insert(credential_reports).values(account=account, content=content, created_at=now))


async def job(tx: Tx, account: str, job_id: str) -> Row | None:
    return await tx.first(sa.select(iam_jobs).where(iam_jobs.c.account == account, iam_jobs.c.id == job_id))


async def put_job(tx: Tx, account: str, job_id: str, facts: dict[str, Any], now: float) -> None:
    await tx.run(sa.insert(iam_jobs).values(id=job_id, account=account, facts=facts, created_at=now))


async def forget_jobs(tx: Tx, before: float) -> None:
    """Those made before `before`, of all accounts."""
    await tx.run(sa.delete(iam_jobs).where(iam_jobs.c.created_at < before))
