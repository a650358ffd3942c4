"""VPC peering connections: a row for both sides; `account` is the requester's.

States: `eucapy/lifecycle/vpc_peering_connection.py`. What has ended is shown to each side for a while of its own:
`requester_until` and `accepter_until` say how long, null without end, 0 no more. The loop `deadlines` sees to both, and to
what nobody accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.advance import advance, lifecycle_table
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.clc.store.vpc_cidrs import vpc_cidrs
from eucapy.database import Row, Tx
from eucapy.lifecycle import vpc_peering_connection as life

vpc_peerings = sa.Table(
    "vpc_peerings",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("accepter_account", sa.String(12), nullable=False, index=True),
    sa.Column("accepter_region", sa.String(64), nullable=False),
    sa.Column("requester_vpc", sa.String(32), nullable=False, index=True),
    sa.Column("accepter_vpc", sa.String(32), nullable=False, index=True),
    sa.Column("state", sa.String(24), nullable=False),
    sa.Column("status_message", sa.String(255), nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("requester_until", sa.Float, nullable=True),
    sa.Column("accepter_until", sa.Float, nullable=True),
    created_column(),
)
lifecycle_table(life.VPC_PEERING_CONNECTION, vpc_peerings)

SHORTLY_S, LONG_S = 2 * 3600.0, 2 * 24 * 3600.0
"""How long what has ended is shown: to whoever ended it or asked in vain, and to the other side."""
HIDDEN = 0.0
_VPCS = sa.table("vpcs", sa.column("id", sa.String), sa.column("cidr", sa.String))
"""By name: the file of VPCs needs that of routes, and that this one."""
_ACTIVE = vpc_peerings.c.state == life.ACTIVE


def _block(vpc_column: sa.ColumnElement[str], *also: filters.Condition) -> filters.Filter:
    """Any block of the VPC."""
    return filters.exists(
        lambda values: (
            sa.select(_VPCS.c.id)
            .outerjoin(vpc_cidrs, vpc_cidrs.c.vpc_id == _VPCS.c.id)
            .where(
                _VPCS.c.id == vpc_column,
                *also,
                sa.or_(filters.matches(_VPCS.c.cidr, values), filters.matches(vpc_cidrs.c.cidr, values)),
            )
        )
    )


FILTERS: dict[str, filters.Filter] = {
    "accepter-vpc-info.cidr-block": _block(vpc_peerings.c.accepter_vpc, _ACTIVE),
    "accepter-vpc-info.owner-id": filters.text(vpc_peerings.c.accepter_account),
    "accepter-vpc-info.vpc-id": filters.text(vpc_peerings.c.accepter_vpc),
    "expiration-time": filters.timestamp(
        sa.case((vpc_peerings.c.state == life.PENDING, vpc_peerings.c.expires_at), else_=None)
    ),
    "requester-vpc-info.cidr-block": _block(vpc_peerings.c.requester_vpc),
    "requester-vpc-info.owner-id": filters.text(vpc_peerings.c.account),
    "requester-vpc-info.vpc-id": filters.text(vpc_peerings.c.requester_vpc),
    "status-code": filters.text(vpc_peerings.c.state),
    "status-message": filters.text(vpc_peerings.c.status_message),
    "vpc-peering-connection-id": filters.text(vpc_peerings.c.id),
    **tag_filters(vpc_peerings.c.id),
}


async def insert(
    tx: Tx,
    *,
    account: str,
    requester_vpc: str,
    accepter_account: str,
    accepter_vpc: str,
    accepter_region: str,
    now: float,
    expires_at: float,
) -> Row:
    peering_id = ids.new("pcx")
    await tx.run(
        sa.insert(vpc_peerings).values(
            id=peering_id,
            account=account,
            requester_vpc=requester_vpc,
            accepter_account=accepter_account,
            accepter_vpc=accepter_vpc,
            accepter_region=accepter_region,
            state=life.VPC_PEERING_CONNECTION.start,
            status_message=f"Pending Acceptance by {accepter_account}",
            expires_at=expires_at,
            created_at=now,
        )
    )
    row = await tx.first(sa.select(vpc_peerings).where(vpc_peerings.c.id == peering_id))
    assert row is not None
    return row


def _seen_by(account: str) -> filters.Condition:
    return sa.or_(
        sa.and_(vpc_peerings.c.account == account, sa.func.coalesce(vpc_peerings.c.requester_until, 1.0) != HIDDEN),
        sa.and_(
            vpc_peerings.c.accepter_account == account, sa.func.coalesce(vpc_peerings.c.accepter_until, 1.0) != HIDDEN
        ),
    )


async def by_id(tx: Tx, account: str, peering_id: str) -> Row | None:
    """One that the account sees, from either side."""
    return await tx.first(sa.select(vpc_peerings).where(vpc_peerings.c.id == peering_id, _seen_by(account)))


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those that the account sees, meet all conditions and come after the id `after`, by id."""
    statement = sa.select(vpc_peerings).where(_seen_by(account), vpc_peerings.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(vpc_peerings.c.id).limit(limit)))


async def live_of(tx: Tx, vpc_id: str) -> list[Row]:
    """Those of the VPC that are active or may become so, by id."""
    statement = sa.select(vpc_peerings).where(
        vpc_peerings.c.state.in_(life.LIVE),
        sa.or_(vpc_peerings.c.requester_vpc == vpc_id, vpc_peerings.c.accepter_vpc == vpc_id),
    )
    return list(await tx.all(statement.order_by(vpc_peerings.c.id)))


async def pending_of(tx: Tx, account: str) -> int:
    """How many requests of the account wait."""
    wanted = (vpc_peerings.c.account == account, vpc_peerings.c.state == life.PENDING)
    return int(await tx.scalar(sa.select(sa.func.count()).select_from(vpc_peerings).where(*wanted)))


async def active_of(tx: Tx, vpc_ids: Iterable[str]) -> list[Row]:
    """The active ones that one of the VPCs is a side of, by id."""
    wanted = sorted(vpc_ids)
    sides = sa.or_(vpc_peerings.c.requester_vpc.in_(wanted), vpc_peerings.c.accepter_vpc.in_(wanted))
    return list(await tx.all(sa.select(vpc_peerings).where(_ACTIVE, sides).order_by(vpc_peerings.c.id)))


async def between(tx: Tx, one: str, other: str) -> Row | None:
    """The active one between the two VPCs."""
    return next((row for row in await active_of(tx, [one]) if other in (row.requester_vpc, row.accepter_vpc)), None)


async def states(tx: Tx, peering_ids: Iterable[str]) -> dict[str, str]:
    """By id; one that nobody sees any more is `deleted`."""
    wanted = sorted(set(peering_ids))
    rows = await tx.all(sa.select(vpc_peerings.c.id, vpc_peerings.c.state).where(vpc_peerings.c.id.in_(wanted)))
    return {**dict.fromkeys(wanted, life.DELETED), **{row.id: row.state for row in rows}}


async def peers(tx: Tx, vpc_ids: Iterable[str]) -> set[str]:
    """The VPCs on either side of the active ones of these VPCs."""
    return {vpc_id for row in await active_of(tx, vpc_ids) for vpc_id in (row.requester_vpc, row.accepter_vpc)}


def peers_of(vpc_ids: sa.Select[Any] | sa.CompoundSelect[Any]) -> sa.CompoundSelect[Any]:
    """The VPCs on the other side of the active ones of these VPCs."""
    p = vpc_peerings.c
    return sa.union(
        sa.select(p.accepter_vpc).where(_ACTIVE, p.requester_vpc.in_(vpc_ids)),
        sa.select(p.requester_vpc).where(_ACTIVE, p.accepter_vpc.in_(vpc_ids)),
    )


async def end(tx: Tx, row: Row, event: str, message: str, requester_until: float, accepter_until: float) -> bool:
    """Whether it was in the state that was seen, and has ended."""
    ended: dict[str, Any] = {"status_message": message, "requester_until": requester_until}
    return (
        await advance(tx, life.VPC_PEERING_CONNECTION, row, event, accepter_until=accepter_until, **ended) is not None
    )


async def delete(tx: Tx, row: Row, account: str, now: float) -> bool:
    """One of the two accounts ends what is active, or what it has asked for."""
    until = {row.accepter_account: now + LONG_S, row.account: now + LONG_S, account: now + SHORTLY_S}
    return await end(tx, row, "delete", f"Deleted by {account}", until[row.account], until[row.accepter_account])


async def overdue(tx: Tx, now: float) -> list[Row]:
    """Those that nobody has accepted in time."""
    wanted = (vpc_peerings.c.state == life.PENDING, vpc_peerings.c.expires_at <= now)
    return list(await tx.all(sa.select(vpc_peerings).where(*wanted)))


async def forget(tx: Tx, now: float) -> list[str]:
    """Hide what has been shown for long enough; those that nobody sees any more go, and are returned."""
    for column in (vpc_peerings.c.requester_until, vpc_peerings.c.accepter_until):
        await tx.run(sa.update(vpc_peerings).where(column <= now, column != HIDDEN).values({column: HIDDEN}))
    both = (vpc_peerings.c.requester_until == HIDDEN, vpc_peerings.c.accepter_until == HIDDEN)
    gone = [row.id for row in await tx.all(sa.select(vpc_peerings.c.id).where(*both))]
    if gone:
        await tx.run(sa.delete(vpc_peerings).where(vpc_peerings.c.id.in_(gone)))
    return gone
