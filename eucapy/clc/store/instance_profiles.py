"""Instance profiles: what hands an instance its role. One has one role, or none."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy.clc.store import iam_names
from eucapy.clc.store.base import metadata
from eucapy.clc.store.roles import roles
from eucapy.database import Row, Tx

instance_profiles = sa.Table(
    "instance_profiles",
    metadata,
    *iam_names.columns(128),
    sa.Column("role_id", sa.String(32), sa.ForeignKey("roles.id"), index=True),
)


def arn(row: Row) -> str:
    return f"arn:aws:iam::{row.account}:instance-profile{row.path}{row.name}"


async def by_name(tx: Tx, account: str, name: str) -> Row | None:
    return await iam_names.by_name(tx, instance_profiles, account, name)


async def by_id(tx: Tx, profile_id: str) -> Row | None:
    """By `AIPA…`."""
    return await iam_names.by_id(tx, instance_profiles, profile_id)


async def by_arn(tx: Tx, profile_arn: str) -> Row | None:
    """The profile with exactly this ARN, its path included."""
    head, _, resource = profile_arn.partition(":instance-profile/")
    found = await by_name(tx, head.rpartition(":")[2], resource.rpartition("/")[2])
    return found if found is not None and arn(found) == profile_arn else None


async def role_of(tx: Tx, profile_id: str) -> Row | None:
    """The profile's role, a row of `roles`."""
    return await tx.first(
        sa.select(roles)
        .join(instance_profiles, instance_profiles.c.role_id == roles.c.id)
        .where(instance_profiles.c.id == profile_id)
    )


async def roles_of(tx: Tx, profile_ids: Sequence[str]) -> dict[str, Row]:
    """The roles (rows of `roles`) by profile; those without one are absent."""
    columns = instance_profiles.c.id.label("profile_id")
    statement = (
        sa.select(columns, roles)
        .join(instance_profiles, instance_profiles.c.role_id == roles.c.id)
        .where(instance_profiles.c.id.in_(sorted(set(profile_ids))))
    )
    return {str(row.profile_id): row for row in await tx.all(statement)}


async def insert(tx: Tx, account: str, name: str, path: str, now: float) -> Row:
    return await iam_names.insert(tx, instance_profiles, "AIPA", account, name, path, now)


async def with_role(tx: Tx, role_id: str, after: str = "", limit: int | None = None) -> list[Row]:
    """The profiles that hand out the role."""
    return list(
        await tx.all(
            sa.select(instance_profiles)
            .where(instance_profiles.c.role_id == role_id, instance_profiles.c.folded > after)
            .order_by(instance_profiles.c.folded)
            .limit(limit)
        )
    )


async def set_role(tx: Tx, profile_id: str, role_id: str | None) -> None:
    await iam_names.update(tx, instance_profiles, profile_id, role_id=role_id)
