"""CIDR reservations of subnets: addresses that the cloud gives to nobody who does not ask for them by name.

`private_ips.free` keeps out of them; an address that a request names may lie in one. EC2 User Guide, "Subnet CIDR
reservations". `kind` is `explicit` or `prefix`.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

table = sa.Table(
    "subnet_cidr_reservations",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("subnet_id", sa.String(32), sa.ForeignKey("subnets.id"), nullable=False),
    sa.Column("cidr", sa.String(18), nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("description", sa.String(255), nullable=False, server_default=""),
    created_column(),
    sa.Index(None, "subnet_id", "first", "last"),
)
"""`first` and `last` are the block's ends as numbers."""

FILTERS: dict[str, filters.Filter] = {
    "reservationType": filters.text(table.c.kind),
    "reservation-type": filters.text(table.c.kind),
    "subnet-id": filters.text(table.c.subnet_id),
    **tag_filters(table.c.id),
}

# On the path of every launch: built once.
_SPANS = (
    sa.select(table.c.first, table.c.last).where(table.c.subnet_id == sa.bindparam("subnet_id")).order_by(table.c.first)
)


async def insert(
    tx: Tx, *, account: str, subnet_id: str, cidr: str, first: int, last: int, kind: str, description: str, now: float
) -> Row:
    """`cidr` is canonical, inside the subnet, and touches no other reservation."""
    reservation_id = ids.new("scr")
    await tx.run(
        sa.insert(table).values(
            id=reservation_id,
            account=account,
            subnet_id=subnet_id,
            cidr=cidr,
            first=first,
            last=last,
            kind=kind,
            description=description,
            created_at=now,
        )
    )
    row = await by_id(tx, account, reservation_id)
    assert row is not None
    return row


async def by_id(tx: Tx, account: str, reservation_id: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.account == account, table.c.id == reservation_id))


async def spans(tx: Tx, subnet_id: str) -> list[tuple[int, int]]:
    """First and last number of each reservation of the subnet, in order."""
    return [(row.first, row.last) for row in await tx.all(_SPANS, {"subnet_id": subnet_id})]


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(table).where(table.c.account == account, table.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(table.c.id).limit(limit)))


async def of_subnet(tx: Tx, subnet_id: str) -> list[Row]:
    return list(await tx.all(sa.select(table).where(table.c.subnet_id == subnet_id).order_by(table.c.id)))


async def remove(tx: Tx, reservation_id: str) -> None:
    await tx.run(sa.delete(table).where(table.c.id == reservation_id))
