"""Which services, and which of their actions, each user and role used last, and when. Shown by the access advisor.

Written now and then (`reconcilers/key_use.py`); rows end with their user or role.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from eucapy.clc.store.accounts import users
from eucapy.clc.store.base import account_column, metadata
from eucapy.clc.store.roles import roles
from eucapy.database import Row, Tx

TOLD_APART = frozenset({"ec2", "iam"})
"""The services whose actions are told apart."""

service_uses = sa.Table(
    "service_uses",
    metadata,
    sa.Column("principal_id", sa.String(32), primary_key=True),
    sa.Column("service", sa.String(32), primary_key=True),
    sa.Column("action", sa.String(128), primary_key=True),
    account_column(),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("region", sa.String(32), nullable=False),
)
"""`principal_id` is a user's or a role's; `action` is "" where the service's actions are not told apart."""


class Use(msgspec.Struct, frozen=True):
    """`at` in seconds since the epoch."""

    principal_id: str
    service: str
    action: str
    at: float


def _put(dialect: str) -> sa.Insert:
    insert = (sqlite_insert if dialect == "sqlite" else postgresql_insert)(service_uses)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["principal_id", "service", "action"],
        set_={"at": new.at, "region": new.region},
        where=service_uses.c.at < new.at,
    )


_PUT = {dialect: _put(dialect) for dialect in ("sqlite", "postgresql")}


async def note(tx: Tx, uses: Iterable[Use], region: str) -> None:
    """An earlier use than the one known changes nothing; those of users and roles that are gone are dropped."""
    noted = list(uses)
    wanted = {use.principal_id for use in noted}
    accounts: dict[str, str] = {}
    for table in (users, roles):
        found = await tx.all(sa.select(table.c.id, table.c.account).where(table.c.id.in_(wanted)))
        accounts |= {row.id: row.account for row in found}
    rows = [
        {
            "principal_id": use.principal_id,
            "service": use.service,
            "action": use.action,
            "account": accounts[use.principal_id],
            "at": use.at,
            "region": region,
        }
        for use in noted
        if use.principal_id in accounts
    ]
    if rows:
        await tx.run(_PUT[tx.dialect], rows)


async def of(tx: Tx, principals: Sequence[str], since: float) -> list[Row]:
    """What these used at `since` or later, in seconds since the epoch."""
    statement = sa.select(service_uses).where(service_uses.c.principal_id.in_(principals), service_uses.c.at >= since)
    return list(await tx.all(statement))


async def remove(tx: Tx, principal_id: str) -> None:
    await tx.run(sa.delete(service_uses).where(service_uses.c.principal_id == principal_id))
