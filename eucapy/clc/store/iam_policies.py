"""Managed policies, their versions, and to whom they are attached.

A policy is named by its ARN wherever it is used: those of AWS (`arn:aws:iam::aws:policy/…`) have no row here, their
documents are `clc/iam/managed.py`'s. A principal is the unique id of a user, a group or a role; its first four letters
(`AIDA`, `AGPA`, `AROA`) say which.
"""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store import iam_names
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.database import Row, Tx

policies = sa.Table(
    "policies",
    metadata,
    *iam_names.columns(128),
    sa.Column("description", sa.String(1000)),
    sa.Column("default_version", sa.Integer, nullable=False),
    sa.Column("newest_version", sa.Integer, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
)

versions = sa.Table(
    "policy_versions",
    metadata,
    sa.Column("policy_id", sa.String(32), sa.ForeignKey("policies.id"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
    created_column(),
)

attachments = sa.Table(
    "policy_attachments",
    metadata,
    sa.Column("principal_id", sa.String(32), primary_key=True),
    sa.Column("policy_arn", sa.String(2048), primary_key=True),
    account_column(),
    sa.Index(None, "account", "policy_arn"),
)

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"


def arn(row: Row) -> str:
    return f"arn:aws:iam::{row.account}:policy{row.path}{row.name}"


async def by_arn(tx: Tx, policy_arn: str) -> Row | None:
    """The account's own policy with exactly this ARN."""
    head, _, resource = policy_arn.partition(":policy/")
    found = await iam_names.by_name(tx, policies, head.rpartition(":")[2], resource.rpartition("/")[2])
    return found if found is not None and arn(found) == policy_arn else None


async def insert(tx: Tx, account: str, name: str, path: str, description: str | None, document: str, now: float) -> Row:
    """A policy whose only and default version is 1."""
    row = await iam_names.insert(
        tx, policies, "ANPA", account, name, path, now,
        description=description, default_version=1, newest_version=1, updated_at=now,
    )  # fmt: skip
    await tx.run(sa.insert(versions).values(policy_id=row.id, version=1, document=document, created_at=now))
    return row


async def version(tx: Tx, policy_id: str, number: int) -> Row | None:
    return await tx.first(sa.select(versions).where(versions.c.policy_id == policy_id, versions.c.version == number))


async def versions_of(tx: Tx, policy_id: str) -> list[Row]:
    """The newest first."""
    statement = sa.select(versions).where(versions.c.policy_id == policy_id).order_by(versions.c.version.desc())
    return list(await tx.all(statement))


async def add_version(tx: Tx, policy: Row, document: str, now: float, *, default: bool) -> int:
    """The next version's number; numbers are never given twice."""
    number = int(policy.newest_version) + 1
    await tx.run(sa.insert(versions).values(policy_id=policy.id, version=number, document=document, created_at=now))
    changed = {"default_version": number} if default else {}
    await iam_names.update(tx, policies, policy.id, newest_version=number, updated_at=now, **changed)
    return number


async def remove_version(tx: Tx, policy_id: str, number: int) -> None:
    await tx.run(sa.delete(versions).where(versions.c.policy_id == policy_id, versions.c.version == number))


async def remove(tx: Tx, policy_id: str) -> None:
    """With all its versions; it must be attached to nobody."""
    await tx.run(sa.delete(versions).where(versions.c.policy_id == policy_id))
    await iam_names.remove(tx, policies, policy_id)


async def versions_in_use(tx: Tx, account: str) -> int:
    joined = versions.join(policies, policies.c.id == versions.c.policy_id)
    return int(
        await tx.scalar(sa.select(sa.func.count()).select_from(joined).where(policies.c.account == account)) or 0
    )


# --- attachments ------------------------------------------------------------------------------------------------------


async def attach(tx: Tx, account: str, principal_id: str, policy_arn: str) -> None:
    """Nothing happens when it is attached already."""
    if policy_arn not in await attached_to(tx, principal_id):
        await tx.run(sa.insert(attachments).values(account=account, principal_id=principal_id, policy_arn=policy_arn))


async def detach(tx: Tx, principal_id: str, policy_arn: str) -> bool:
    """False: it was not attached."""
    statement = sa.delete(attachments).where(
        attachments.c.principal_id == principal_id, attachments.c.policy_arn == policy_arn
    )
    return bool(await tx.run(statement))


async def attached_to(tx: Tx, principal_id: str) -> list[str]:
    """ARNs, sorted."""
    statement = sa.select(attachments.c.policy_arn).where(attachments.c.principal_id == principal_id)
    return sorted(str(row.policy_arn) for row in await tx.all(statement))


async def principals_with(tx: Tx, account: str, policy_arn: str) -> list[str]:
    """The unique ids of those in the account to whom the policy is attached, sorted."""
    statement = sa.select(attachments.c.principal_id).where(
        attachments.c.account == account, attachments.c.policy_arn == policy_arn
    )
    return sorted(str(row.principal_id) for row in await tx.all(statement))


async def attachment_counts(tx: Tx, account: str) -> dict[str, int]:
    """By ARN, how many principals of the account have the policy attached."""
    statement = (
        sa.select(attachments.c.policy_arn, sa.func.count().label("held"))
        .where(attachments.c.account == account)
        .group_by(attachments.c.policy_arn)
    )
    return {str(row.policy_arn): int(row.held) for row in await tx.all(statement)}


async def holders(tx: Tx, policy_arn: str) -> frozenset[str]:
    """The unique ids of all, in whatever account, to whom the policy is attached."""
    statement = sa.select(attachments.c.principal_id).where(attachments.c.policy_arn == policy_arn)
    return frozenset(str(row.principal_id) for row in await tx.all(statement))
