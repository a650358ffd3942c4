"""Network ACLs: each VPC's default one, which allows everything and holds every subnet of the VPC.

Packets are not filtered by further ACLs yet, so there are none: the operations that would make them have no handler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.subnets import subnets
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx

network_acls = sa.Table(
    "network_acls",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("vpc_id", sa.String(32), sa.ForeignKey("vpcs.id"), nullable=False, index=True),
    created_column(),
)

ENTRIES: tuple[dict[str, Any], ...] = tuple(
    {
        "CidrBlock": "0.0.0.0/0",
        "Egress": egress,
        "Protocol": "-1",
        "RuleAction": action,
        "RuleNumber": number,
    }
    for egress in (True, False)
    for number, action in ((100, "allow"), (32767, "deny"))
)
"""What the default ACL of every VPC says, as EC2 shows it: allow everything, and the last rule that denies."""


def association_id(subnet_id: str) -> str:
    """The id of a subnet's association with its ACL: made from the subnet's, since there is exactly one."""
    return f"aclassoc-{subnet_id.removeprefix('subnet-')}"


def _subnet(column: sa.ColumnElement[str]) -> filters.Filter:
    return filters.exists(
        lambda values: sa.select(subnets.c.id).where(
            subnets.c.vpc_id == network_acls.c.vpc_id, filters.matches(column, values)
        )
    )


FILTERS: dict[str, filters.Filter] = {
    "network-acl-id": filters.text(network_acls.c.id),
    "association.network-acl-id": filters.text(network_acls.c.id),
    "association.subnet-id": _subnet(subnets.c.id),
    "association.association-id": _subnet(sa.func.replace(subnets.c.id, "subnet-", "aclassoc-")),
    "default": filters.constant("true"),
    "vpc-id": filters.text(network_acls.c.vpc_id),
    "owner-id": filters.text(network_acls.c.account),
    "entry.cidr": filters.constant("0.0.0.0/0"),
    "entry.icmp.code": filters.never,
    "entry.icmp.type": filters.never,
    "entry.ipv6-cidr": filters.never,
    "entry.port-range.from": filters.never,
    "entry.port-range.to": filters.never,
    "entry.protocol": filters.constant("-1"),
    "entry.egress": lambda values: sa.true() if {"true", "false"} & set(values) else sa.false(),
    "entry.rule-action": lambda values: sa.true() if {"allow", "deny"} & set(values) else sa.false(),
    "entry.rule-number": lambda values: sa.true() if {"100", "32767"} & set(values) else sa.false(),
    **tag_filters(network_acls.c.id),
}


async def insert(tx: Tx, *, account: str, vpc_id: str, now: float) -> None:
    """The default ACL of a new VPC."""
    await tx.run(sa.insert(network_acls).values(id=ids.new("acl"), account=account, vpc_id=vpc_id, created_at=now))


async def of_vpc(tx: Tx, vpc_id: str) -> Row | None:
    return await tx.first(sa.select(network_acls).where(network_acls.c.vpc_id == vpc_id))


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(network_acls).where(network_acls.c.account == account, network_acls.c.id > after, *conditions)
    return list(await tx.all(statement.order_by(network_acls.c.id).limit(limit)))


async def remove_of(tx: Tx, vpc_id: str) -> None:
    await tx.run(sa.delete(network_acls).where(network_acls.c.vpc_id == vpc_id))
