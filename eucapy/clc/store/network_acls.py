"""Network ACLs, and which subnets each guards. A VPC is born with its default one, a subnet guarded by that one.

A subnet has exactly one association, and a new id of it whenever it moves to another ACL. What an ACL says:
`network_acl_entries.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters, ipv6_blocks
from eucapy.clc.store import network_acl_entries as entries
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

network_acls = sa.Table(
    "network_acls",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("vpc_id", sa.String(32), sa.ForeignKey("vpcs.id"), nullable=False, index=True),
    sa.Column("is_default", sa.Boolean, nullable=False, server_default=sa.false()),
    created_column(),
)

associations = sa.Table(
    "network_acl_associations",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("network_acl_id", sa.String(32), sa.ForeignKey("network_acls.id"), nullable=False, index=True),
    sa.Column("subnet_id", sa.String(32), sa.ForeignKey("subnets.id"), nullable=False, unique=True),
)


def _association(column: sa.ColumnElement[str]) -> filters.Filter:
    return filters.exists(
        lambda values: sa.select(associations.c.id).where(
            associations.c.network_acl_id == network_acls.c.id, filters.matches(column, values)
        )
    )


FILTERS: dict[str, filters.Filter] = {
    "network-acl-id": filters.text(network_acls.c.id),
    "association.network-acl-id": _association(associations.c.network_acl_id),
    "association.subnet-id": _association(associations.c.subnet_id),
    "association.association-id": _association(associations.c.id),
    "default": filters.boolean(network_acls.c.is_default),
    "vpc-id": filters.text(network_acls.c.vpc_id),
    "owner-id": filters.text(network_acls.c.account),
    **entries.filters_of(network_acls.c.id),
    **tag_filters(network_acls.c.id),
}


async def insert(tx: Tx, *, account: str, vpc_id: str, now: float, is_default: bool = False) -> Row:
    """An ACL that denies everything; the default one of a new VPC lets everything through."""
    acl_id = ids.new("acl")
    row = {"id": acl_id, "account": account, "vpc_id": vpc_id, "is_default": is_default, "created_at": now}
    await tx.run(sa.insert(network_acls).values(row))
    await entries.insert_first(tx, acl_id, is_open=is_default)
    if await ipv6_blocks.of_vpc(tx, vpc_id):
        await entries.insert_first6(tx, acl_id, is_open=is_default)
    found = await by_id(tx, account, acl_id)
    assert found is not None
    return found


async def by_id(tx: Tx, account: str, acl_id: str) -> Row | None:
    return await tx.first(sa.select(network_acls).where(network_acls.c.account == account, network_acls.c.id == acl_id))


async def of_vpc(tx: Tx, vpc_id: str) -> list[Row]:
    return list(await tx.all(sa.select(network_acls).where(network_acls.c.vpc_id == vpc_id)))


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(network_acls).where(network_acls.c.account == account, network_acls.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(network_acls.c.id).limit(limit)))


async def associate(tx: Tx, acl_id: str, subnet_id: str) -> str:
    """The id of the association. The subnet has no other one."""
    association_id = ids.new("aclassoc")
    await tx.run(sa.insert(associations).values(id=association_id, network_acl_id=acl_id, subnet_id=subnet_id))
    return association_id


async def associate_default(tx: Tx, vpc_id: str, subnet_id: str) -> None:
    """A new subnet is guarded by the default ACL of its VPC."""
    default = await tx.first(
        sa.select(network_acls.c.id).where(network_acls.c.vpc_id == vpc_id, network_acls.c.is_default.is_(True))
    )
    assert default is not None, "every VPC has one"
    await associate(tx, default.id, subnet_id)


async def association(tx: Tx, account: str, association_id: str) -> Row | None:
    """An association of the account's: id, network_acl_id, subnet_id, vpc_id."""
    return await tx.first(
        sa.select(associations, network_acls.c.vpc_id)
        .join(network_acls, network_acls.c.id == associations.c.network_acl_id)
        .where(network_acls.c.account == account, associations.c.id == association_id)
    )


async def associations_of(tx: Tx, acl_ids: Sequence[str]) -> dict[str, list[Row]]:
    """By ACL, in the order of their subnets."""
    found: dict[str, list[Row]] = {}
    rows = await tx.all(
        sa.select(associations).where(associations.c.network_acl_id.in_(acl_ids)).order_by(associations.c.subnet_id)
    )
    for row in rows:
        found.setdefault(row.network_acl_id, []).append(row)
    return found


async def guards(tx: Tx, vpc_ids: Sequence[str]) -> dict[str, str]:
    """The ACL of each subnet of these VPCs."""
    rows = await tx.all(
        sa.select(associations.c.subnet_id, associations.c.network_acl_id)
        .join(network_acls, network_acls.c.id == associations.c.network_acl_id)
        .where(network_acls.c.vpc_id.in_(vpc_ids))
    )
    return {row.subnet_id: row.network_acl_id for row in rows}


async def disassociate(tx: Tx, subnet_id: str) -> None:
    await tx.run(sa.delete(associations).where(associations.c.subnet_id == subnet_id))


async def remove(tx: Tx, acl_id: str) -> None:
    """The ACL with its entries; it guards nothing any more."""
    await entries.remove_of(tx, acl_id)
    await tx.run(sa.delete(network_acls).where(network_acls.c.id == acl_id))
