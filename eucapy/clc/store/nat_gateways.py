"""NAT gateways: the interface in a subnet, the public address, and the node that translates.

States: `eucapy/lifecycle/nat_gateway.py`, moved on by `reconcilers/nat_gateways.py`, which alone writes `node`. The row says
what its addresses were even when they are gone, as EC2 does for the hour in which it still shows the gateway.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.advance import lifecycle_table
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx
from eucapy.lifecycle import nat_gateway as life

PUBLIC, PRIVATE = "public", "private"

nat_gateways = sa.Table(
    "nat_gateways",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("vpc_id", sa.String(32), nullable=False, index=True),
    sa.Column("subnet_id", sa.String(32), nullable=False),
    sa.Column("zone", sa.String(64), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("connectivity", sa.String(16), nullable=False),
    sa.Column("interface_id", sa.String(32), nullable=False),
    sa.Column("private_ip", sa.String(15), nullable=False),
    sa.Column("allocation_id", sa.String(32), nullable=False),
    sa.Column("association_id", sa.String(32), nullable=False),
    sa.Column("public_ip", sa.String(15), nullable=False),
    sa.Column("node", sa.String(64), nullable=False, server_default=""),
    sa.Column("failure_code", sa.String(64), nullable=False, server_default=""),
    sa.Column("failure_message", sa.String(255), nullable=False, server_default=""),
    sa.Column("ended_at", sa.Float, nullable=True),
    created_column(),
)
lifecycle_table(life.NAT_GATEWAY, nat_gateways)

FILTERS: dict[str, filters.Filter] = {
    "nat-gateway-id": filters.text(nat_gateways.c.id),
    "state": filters.text(nat_gateways.c.state),
    "subnet-id": filters.text(nat_gateways.c.subnet_id),
    "vpc-id": filters.text(nat_gateways.c.vpc_id),
    **tag_filters(nat_gateways.c.id),
}


def new_id() -> str:
    return ids.new("nat")


async def insert(
    tx: Tx, gateway_id: str, *, interface: Row, connectivity: str, address: Row | None, association_id: str, now: float
) -> Row:
    """`interface` is the gateway's own; `address` the elastic one that is associated with it."""
    await tx.run(
        sa.insert(nat_gateways).values(
            id=gateway_id,
            account=interface.account,
            vpc_id=interface.vpc_id,
            subnet_id=interface.subnet_id,
            zone=interface.zone,
            state=life.NAT_GATEWAY.start,
            connectivity=connectivity,
            interface_id=interface.id,
            private_ip=interface.private_ip,
            allocation_id="" if address is None else address.id,
            association_id=association_id,
            public_ip="" if address is None else address.ip,
            created_at=now,
        )
    )
    row = await by_id(tx, interface.account, gateway_id)
    assert row is not None
    return row


async def by_id(tx: Tx, account: str, gateway_id: str) -> Row | None:
    return await tx.first(
        sa.select(nat_gateways).where(nat_gateways.c.account == account, nat_gateways.c.id == gateway_id)
    )


async def count_in(tx: Tx, account: str, zone: str) -> int:
    """Those that routes can lead to."""
    wanted = (nat_gateways.c.account == account, nat_gateways.c.zone == zone, nat_gateways.c.state.in_(life.HELD))
    return int(await tx.scalar(sa.select(sa.func.count()).select_from(nat_gateways).where(*wanted)))


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(nat_gateways).where(nat_gateways.c.account == account, nat_gateways.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(nat_gateways.c.id).limit(limit)))


async def every(tx: Tx) -> list[Row]:
    """Of all accounts, by id; for the loop."""
    return list(await tx.all(sa.select(nat_gateways).order_by(nat_gateways.c.id)))


async def translating(tx: Tx, vpc_ids: Sequence[str]) -> list[Row]:
    """Those of these VPCs for which a node translates, by id."""
    return list(
        await tx.all(
            sa.select(nat_gateways)
            .where(nat_gateways.c.vpc_id.in_(vpc_ids), nat_gateways.c.state == life.AVAILABLE)
            .where(nat_gateways.c.node != "")
            .order_by(nat_gateways.c.id)
        )
    )


async def vpcs_in(tx: Tx, zone: str) -> set[str]:
    """The VPCs for which a node of the zone translates."""
    wanted = (nat_gateways.c.zone == zone, nat_gateways.c.node != "", nat_gateways.c.state == life.AVAILABLE)
    return {row.vpc_id for row in await tx.all(sa.select(nat_gateways.c.vpc_id).where(*wanted))}


async def place(tx: Tx, gateway_id: str, node: str) -> None:
    await tx.run(sa.update(nat_gateways).where(nat_gateways.c.id == gateway_id).values(node=node))


async def remove(tx: Tx, gateway_ids: Sequence[str]) -> None:
    await tx.run(sa.delete(nat_gateways).where(nat_gateways.c.id.in_(gateway_ids)))
