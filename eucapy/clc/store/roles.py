"""Roles: who may take them on (`trust`, a policy's text) and for how long a session lasts.

What a role may do: `iam_policies.py` (attached), `iam_inline.py`; all of it at once: `powers.py`.
"""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store import iam_names
from eucapy.clc.store.base import metadata
from eucapy.database import Row, Tx

SESSION_S = 3600

roles = sa.Table(
    "roles",
    metadata,
    *iam_names.columns(64),
    sa.Column("trust", sa.Text, nullable=False),
    sa.Column("description", sa.String(1000)),
    sa.Column("max_session_s", sa.Integer, nullable=False),
    sa.Column("boundary", sa.String(2048)),
    sa.Column("linked_service", sa.String(128), nullable=False, server_default=""),
    sa.Column("last_used_at", sa.Float),
    sa.Column("last_used_region", sa.String(32)),
)
"""`boundary` is a policy's ARN; `linked_service` the service's name of a service-linked role, else empty."""


def arn(row: Row) -> str:
    return f"arn:aws:iam::{row.account}:role{row.path}{row.name}"


async def role(tx: Tx, account: str, name: str) -> Row | None:
    return await iam_names.by_name(tx, roles, account, name)


async def by_id(tx: Tx, role_id: str) -> Row | None:
    """By `AROA…`."""
    return await iam_names.by_id(tx, roles, role_id)


async def by_arn(tx: Tx, role_arn: str) -> Row | None:
    """The role with exactly this ARN, its path included."""
    head, _, resource = role_arn.partition(":role/")
    account = head.rpartition(":")[2]
    found = await role(tx, account, resource.rpartition("/")[2])
    return found if found is not None and arn(found) == role_arn else None


async def insert(
    tx: Tx, account: str, name: str, trust: str, now: float, *, path: str = "/", description: str | None = None,
    max_session_s: int = SESSION_S, boundary: str | None = None, linked_service: str = "",
) -> Row:  # fmt: skip
    """The name must be free: check with `iam_names.holder`."""
    return await iam_names.insert(
        tx, roles, "AROA", account, name, path, now, trust=trust, description=description,
        max_session_s=max_session_s, boundary=boundary, linked_service=linked_service,
    )  # fmt: skip


async def note_use(tx: Tx, role_id: str, region: str, at: float) -> None:
    """That a session of the role was used; an earlier use than the one known changes nothing."""
    later = sa.or_(roles.c.last_used_at.is_(None), roles.c.last_used_at < at)
    await tx.run(sa.update(roles).where(roles.c.id == role_id, later).values(last_used_at=at, last_used_region=region))


async def perhaps_trusting(tx: Tx, principal: str) -> list[Row]:
    """The roles, of whatever account, in whose trust policy the text occurs, or may occur in an escaped form: JSON writes
    a slash as `\\/` too, and any letter as `\\u0061`."""
    named = roles.c.trust.contains(principal, autoescape=True)
    escaped = roles.c.trust.contains("\\", autoescape=True)
    return list(await tx.all(sa.select(roles).where(sa.or_(named, escaped))))
