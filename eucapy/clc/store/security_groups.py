"""Security groups. Their rules: `security_group_rules.py`.

`revision` is random and new whenever the rules change: what was made of a group's rules may be kept under
(id, revision), by any process, and is never stale.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters, ipv6_blocks, security_group_rules
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.security_group_rules import Rule
from eucapy.clc.store.tags import tag_filters
from eucapy.database import Row, Tx
from eucapy.errors import ApiError

security_groups = sa.Table(
    "security_groups",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("vpc_id", sa.String(32), sa.ForeignKey("vpcs.id"), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.String(255), nullable=False),
    sa.Column("revision", sa.String(16), nullable=False),
    created_column(),
    sa.UniqueConstraint("vpc_id", "name"),
)

DEFAULT = "default"
"""The name of the group that every VPC has, and that nobody can delete."""


class InvalidGroupNotFound(ApiError):
    code = "InvalidGroup.NotFound"
    message = "The security group '{name}' does not exist in VPC '{vpc}'"


class DifferentNetworks(ApiError):
    code = "InvalidParameter"
    message = "Security group {group} and subnet {subnet} belong to different networks."


FILTERS: dict[str, filters.Filter] = {
    "description": filters.text(security_groups.c.description),
    "group-id": filters.text(security_groups.c.id),
    "group-name": filters.text(security_groups.c.name),
    "owner-id": filters.text(security_groups.c.account),
    "vpc-id": filters.text(security_groups.c.vpc_id),
    **security_group_rules.group_filters("ip-permission", security_groups.c.id, is_egress=False),
    **security_group_rules.group_filters("egress.ip-permission", security_groups.c.id, is_egress=True),
    **tag_filters(security_groups.c.id),
}


_BY_IDS = sa.select(security_groups).where(
    security_groups.c.account == sa.bindparam("account"),
    security_groups.c.id.in_(sa.bindparam("wanted", expanding=True)),
)
"""On the path of every launch: built once."""


_OUT, _OUT6 = Rule("-1", cidr="0.0.0.0/0"), Rule("-1", cidr6="::/0")


async def insert(tx: Tx, *, account: str, vpc_id: str, name: str, description: str, now: float) -> Row:
    """A group with EC2's first rule: everything may go out, of IPv6 too where the VPC has any. The name must be free in the
    VPC."""
    group_id = ids.new("sg")
    await tx.run(
        sa.insert(security_groups).values(
            id=group_id,
            account=account,
            vpc_id=vpc_id,
            name=name,
            description=description,
            revision=secrets.token_hex(8),
            created_at=now,
        )
    )
    await security_group_rules.insert(tx, account, group_id, True, [_OUT])
    if await ipv6_blocks.of_vpc(tx, vpc_id):
        await security_group_rules.insert(tx, account, group_id, True, [_OUT6])
    row = await by_id(tx, account, group_id)
    assert row is not None
    return row


async def open_to_ipv6(tx: Tx, vpc_id: str) -> None:
    """The VPC has IPv6 from now on: its groups that let out what they let out from the beginning let IPv6 out too."""
    groups = await of_vpcs(tx, [vpc_id])
    rules = await security_group_rules.of_groups(tx, [group.id for group in groups])
    for group in groups:
        out = [security_group_rules.of_row(rule) for rule in rules.get(group.id, ()) if rule.is_egress]
        if [rule.key for rule in out] == [_OUT.key]:
            await security_group_rules.insert(tx, group.account, group.id, True, [_OUT6])
            await touch(tx, group.id)


async def insert_default(tx: Tx, *, account: str, vpc_id: str, now: float) -> Row:
    """The group `default` of a new VPC: its members reach each other, and everything may go out."""
    row = await insert(
        tx, account=account, vpc_id=vpc_id, name=DEFAULT, description="default VPC security group", now=now
    )
    rule = Rule("-1", referenced_group=row.id, referenced_account=account)
    await security_group_rules.insert(tx, account, row.id, False, [rule])
    return row


async def touch(tx: Tx, group_id: str) -> None:
    """The group's rules changed."""
    await tx.run(
        sa.update(security_groups).where(security_groups.c.id == group_id).values(revision=secrets.token_hex(8))
    )


async def touch_peered(tx: Tx, peering_id: str) -> None:
    """The connection is not what it was: groups with rules by it are shown anew."""
    for group_id in await security_group_rules.groups_by_peering(tx, peering_id):
        await touch(tx, group_id)


async def by_id(tx: Tx, account: str, group_id: str) -> Row | None:
    return await tx.first(
        sa.select(security_groups).where(security_groups.c.account == account, security_groups.c.id == group_id)
    )


async def of_anyone(tx: Tx, group_ids: Sequence[str]) -> dict[str, Row]:
    """Whosever they are: for rules about groups of peered VPCs."""
    rows = await tx.all(sa.select(security_groups).where(security_groups.c.id.in_(group_ids)))
    return {row.id: row for row in rows}


async def by_ids(tx: Tx, account: str, group_ids: Sequence[str]) -> dict[str, Row]:
    return {row.id: row for row in await tx.all(_BY_IDS, {"account": account, "wanted": group_ids})}


async def by_name(tx: Tx, vpc_id: str, name: str) -> Row | None:
    return await tx.first(
        sa.select(security_groups).where(security_groups.c.vpc_id == vpc_id, security_groups.c.name == name)
    )


async def of_vpcs(tx: Tx, vpc_ids: Sequence[str]) -> list[Row]:
    return list(
        await tx.all(
            sa.select(security_groups).where(security_groups.c.vpc_id.in_(vpc_ids)).order_by(security_groups.c.id)
        )
    )


async def count(tx: Tx, account: str) -> int:
    return int(
        await tx.scalar(
            sa.select(sa.func.count()).select_from(security_groups).where(security_groups.c.account == account)
        )
    )


async def require(
    tx: Tx, account: str, vpc_id: str, group_ids: Sequence[str], names: Sequence[str], *, subnet_id: str = ""
) -> list[Row]:
    """The groups of the VPC with these ids and names, each once, in the order given; without any, the VPC's default.

    Raises InvalidGroup.NotFound, InvalidGroupId.Malformed, and InvalidParameter for a group of another VPC.
    """
    if not group_ids and not names:
        names = (DEFAULT,)
    found: dict[str, Row] = {}
    known = await by_ids(tx, account, [ids.check("sg", value) for value in group_ids]) if group_ids else {}
    missing = [value for value in group_ids if value not in known]
    if missing:
        raise ids.missing("sg", missing)
    for value in group_ids:
        if known[value].vpc_id != vpc_id:
            if subnet_id:
                raise DifferentNetworks(group=value, subnet=subnet_id)
            raise InvalidGroupNotFound(name=value, vpc=vpc_id)
        found[value] = known[value]
    for name in names:
        row = await by_name(tx, vpc_id, name)
        if row is None or row.account != account:
            raise InvalidGroupNotFound(name=name, vpc=vpc_id)
        found[row.id] = row
    return list(found.values())


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(security_groups).where(
        security_groups.c.account == account, security_groups.c.id > after, *conditions
    )
    return list(await tx.all(statement.order_by(security_groups.c.id).limit(limit)))


async def remove(tx: Tx, group_id: str) -> None:
    """The group and its rules; nothing may refer to it any more."""
    await security_group_rules.remove_of(tx, group_id)
    await tx.run(sa.delete(security_groups).where(security_groups.c.id == group_id))
