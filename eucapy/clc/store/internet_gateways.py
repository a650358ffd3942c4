"""Internet gateways: owned by an account, attached to one VPC at most (`vpc_id`, or "")."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

internet_gateways = sa.Table(
    "internet_gateways",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("vpc_id", sa.String(32), nullable=False, server_default="", index=True),
    created_column(),
)

_STATE = sa.case((internet_gateways.c.vpc_id != "", "available"), else_=None)

FILTERS: dict[str, filters.Filter] = {
    "internet-gateway-id": filters.text(internet_gateways.c.id),
    "attachment.vpc-id": filters.text(sa.func.nullif(internet_gateways.c.vpc_id, "")),
    "attachment.state": filters.text(_STATE),
    "owner-id": filters.text(internet_gateways.c.account),
    **tag_filters(internet_gateways.c.id),
}


async def insert(tx: Tx, *, account: str, now: float, vpc_id: str = "") -> Row:
    gateway_id = ids.new("igw")
    await tx.run(sa.insert(internet_gateways).values(id=gateway_id, account=account, vpc_id=vpc_id, created_at=now))
    row = await by_id(tx, account, gateway_id)
    assert row is not None
    return row


async def by_id(tx: Tx, account: str, gateway_id: str) -> Row | None:
    return await tx.first(
        sa.select(internet_gateways).where(internet_gateways.c.account == account, internet_gateways.c.id == gateway_id)
    )


async def of_vpc(tx: Tx, vpc_id: str) -> Row | None:
    """The gateway that is attached to the VPC."""
    return await tx.first(sa.select(internet_gateways).where(internet_gateways.c.vpc_id == vpc_id))


async def count(tx: Tx, account: str) -> int:
    return int(
        await tx.scalar(
            sa.select(sa.func.count()).select_from(internet_gateways).where(internet_gateways.c.account == account)
        )
    )


async def attach(tx: Tx, gateway_id: str, vpc_id: str) -> None:
    """Attach to the VPC; "" detaches."""
    await tx.run(sa.update(internet_gateways).where(internet_gateways.c.id == gateway_id).values(vpc_id=vpc_id))


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(internet_gateways).where(
        internet_gateways.c.account == account, internet_gateways.c.id > after, *conditions
    )
    return list(await tx.all(statement.order_by(internet_gateways.c.id).limit(limit)))


async def remove(tx: Tx, gateway_id: str) -> None:
    await tx.run(sa.delete(internet_gateways).where(internet_gateways.c.id == gateway_id))
