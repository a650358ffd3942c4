"""Security group rules: one row a peer and port range, each an object with an id of its own (`sgr-…`).

Whoever changes rules says so with `security_groups.touch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters, prefix_lists
from eucapy.clc.store.base import account_column, metadata
from eucapy.clc.store.tags import chunks, tag_filters, tags
from eucapy.database import Row, Tx


@dataclass(frozen=True)
class Rule:
    """What a rule says. Exactly one of `cidr`, `cidr6` and `referenced_group` is set; -1 is any port, type or code.

    `referenced_group` is the other end where it has a name: a group (`sg-…`) or a prefix list (`pl-…`). A group of a peered
    VPC comes with its VPC and the connection (`pcx-…`) that it was named by; it may be gone since."""

    protocol: str
    from_port: int = -1
    to_port: int = -1
    cidr: str = ""
    cidr6: str = ""
    referenced_group: str = ""
    referenced_account: str = ""
    referenced_vpc: str = ""
    referenced_peering: str = ""
    description: str | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two rules of a group the same one: everything but the description."""
        return self.protocol, self.from_port, self.to_port, self.cidr, self.cidr6, self.referenced_group


security_group_rules = sa.Table(
    "security_group_rules",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("group_id", sa.String(32), sa.ForeignKey("security_groups.id"), nullable=False, index=True),
    sa.Column("is_egress", sa.Boolean, nullable=False),
    sa.Column("protocol", sa.String(8), nullable=False),
    sa.Column("from_port", sa.Integer, nullable=False),
    sa.Column("to_port", sa.Integer, nullable=False),
    sa.Column("cidr", sa.String(18), nullable=False),
    sa.Column("cidr6", sa.String(43), nullable=False),
    sa.Column("referenced_group", sa.String(32), nullable=False, index=True),
    sa.Column("referenced_account", sa.String(12), nullable=False),
    sa.Column("referenced_vpc", sa.String(32), nullable=False, server_default=""),
    sa.Column("referenced_peering", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("description", sa.String(255), nullable=True),
    sa.UniqueConstraint(
        "group_id", "is_egress", "protocol", "from_port", "to_port", "cidr", "cidr6", "referenced_group"
    ),
)

FILTERS: dict[str, filters.Filter] = {
    "group-id": filters.text(security_group_rules.c.group_id),
    "security-group-rule-id": filters.text(security_group_rules.c.id),
    **tag_filters(security_group_rules.c.id),
}


def group_filters(prefix: str, group_id: sa.ColumnElement[str], *, is_egress: bool) -> dict[str, filters.Filter]:
    """`<prefix>.cidr` and its siblings, of DescribeSecurityGroups. Several of them may be met by different rules."""
    table = security_group_rules

    def rule(build: filters.Filter) -> filters.Filter:
        return lambda values: group_id.in_(
            sa.select(table.c.group_id).where(table.c.is_egress.is_(is_egress), build(values))
        )

    def referenced_name(values: Sequence[str]) -> filters.Condition:
        groups = table.metadata.tables["security_groups"]
        return table.c.referenced_group.in_(sa.select(groups.c.id).where(filters.matches(groups.c.name, values)))

    return {
        f"{prefix}.cidr": rule(filters.text(table.c.cidr)),
        f"{prefix}.ipv6-cidr": rule(filters.text(table.c.cidr6)),
        f"{prefix}.from-port": rule(filters.number(table.c.from_port)),
        f"{prefix}.to-port": rule(filters.number(table.c.to_port)),
        f"{prefix}.group-id": rule(_of_kind("sg", table.c.referenced_group)),
        f"{prefix}.group-name": rule(referenced_name),
        f"{prefix}.prefix-list-id": rule(_of_kind("pl", table.c.referenced_group)),
        f"{prefix}.protocol": rule(filters.text(table.c.protocol)),
        f"{prefix}.user-id": rule(filters.text(table.c.referenced_account)),
    }


def _of_kind(prefix: str, column: sa.Column[str]) -> filters.Filter:
    return lambda values: sa.and_(column.like(f"{prefix}-%"), filters.matches(column, values))


def is_list(rule: Row | Rule) -> bool:
    """Whether the rule's other end is a prefix list."""
    return str(rule.referenced_group).startswith("pl-")


async def list_sizes(tx: Tx, rules: Iterable[Row | Rule]) -> dict[str, int]:
    """How many entries the prefix lists that rules name may have."""
    named = {str(rule.referenced_group) for rule in rules if is_list(rule)}
    return {row.id: row.max_entries for row in (await prefix_lists.by_ids(tx, named)).values()}


def weight(rules: Iterable[Row | Rule], sizes: Mapping[str, int]) -> int:
    """What rules count for under a group's limit: one that names a prefix list as many as the list may have entries."""
    return sum(sizes[rule.referenced_group] if is_list(rule) else 1 for rule in rules)


def of_row(row: Row) -> Rule:
    return Rule(
        protocol=row.protocol,
        from_port=row.from_port,
        to_port=row.to_port,
        cidr=row.cidr,
        cidr6=row.cidr6,
        referenced_group=row.referenced_group,
        referenced_account=row.referenced_account,
        referenced_vpc=row.referenced_vpc,
        referenced_peering=row.referenced_peering,
        description=row.description,
    )


async def insert(tx: Tx, account: str, group_id: str, is_egress: bool, rules: Sequence[Rule]) -> list[str]:
    """Add rules that the group does not have; their new ids, in order."""
    if not rules:
        return []
    made = [ids.new("sgr") for _ in rules]
    await tx.run(
        sa.insert(security_group_rules),
        [
            {"id": rule_id, "account": account, "group_id": group_id, "is_egress": is_egress, **vars(rule)}
            for rule_id, rule in zip(made, rules, strict=True)
        ],
    )
    return made


async def of_groups(tx: Tx, group_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The rules of groups, in the order of their making (by row)."""
    found: dict[str, list[Row]] = {}
    for chunk in chunks(group_ids, 500):
        rows = await tx.all(
            sa.select(security_group_rules)
            .where(security_group_rules.c.group_id.in_(chunk))
            .order_by(
                security_group_rules.c.group_id,
                security_group_rules.c.from_port,
                security_group_rules.c.to_port,
                security_group_rules.c.protocol,
                security_group_rules.c.cidr,
                security_group_rules.c.cidr6,
                security_group_rules.c.referenced_group,
            )
        )
        for row in rows:
            found.setdefault(row.group_id, []).append(row)
    return found


async def by_ids(tx: Tx, account: str, rule_ids: Sequence[str]) -> dict[str, Row]:
    rows = await tx.all(
        sa.select(security_group_rules).where(
            security_group_rules.c.account == account, security_group_rules.c.id.in_(rule_ids)
        )
    )
    return {row.id: row for row in rows}


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(security_group_rules).where(
        security_group_rules.c.account == account, security_group_rules.c.id > after, *conditions
    )
    return list(await tx.all(statement.order_by(security_group_rules.c.id).limit(limit)))


async def rewrite(tx: Tx, rules: Mapping[str, Rule]) -> None:
    """Give rules new contents under their old ids. Two rules may change places: they go out before they come in."""
    for rule_id in rules:
        await tx.run(
            sa.update(security_group_rules)
            .where(security_group_rules.c.id == rule_id)
            .values(referenced_group=f"moving {rule_id[-20:]}")
        )
    for rule_id, rule in rules.items():
        await tx.run(sa.update(security_group_rules).where(security_group_rules.c.id == rule_id).values(**vars(rule)))


async def describe(tx: Tx, rule_id: str, description: str | None) -> None:
    await tx.run(
        sa.update(security_group_rules).where(security_group_rules.c.id == rule_id).values(description=description)
    )


async def groups_that_refer_to(tx: Tx, group_id: str) -> list[str]:
    """Other groups of the VPC that have a rule about this one; or those that have one about this prefix list."""
    rules = security_group_rules.c
    rows = await tx.all(
        sa.select(rules.group_id)
        .distinct()
        .where(rules.referenced_group == group_id, rules.group_id != group_id, rules.referenced_peering == "")
    )
    return [row.group_id for row in rows]


async def of_peers(tx: Tx, group_ids: Sequence[str]) -> list[Row]:
    """Rules of other VPCs about these groups: `referenced_group`, `referenced_peering`, and the `vpc_id` that they are of."""
    rules, groups = security_group_rules.c, security_group_rules.metadata.tables["security_groups"].c
    wanted = (rules.referenced_group.in_(group_ids), rules.referenced_peering != "")
    statement = sa.select(rules.referenced_group, rules.referenced_peering, groups.vpc_id).distinct()
    statement = statement.join_from(security_group_rules, groups.id.table, groups.id == rules.group_id).where(*wanted)
    return list(await tx.all(statement.order_by(rules.referenced_group, groups.vpc_id)))


async def groups_by_peering(tx: Tx, peering_id: str) -> list[str]:
    """The groups that have a rule by this connection."""
    rules = security_group_rules.c
    rows = await tx.all(sa.select(rules.group_id).distinct().where(rules.referenced_peering == peering_id))
    return [row.group_id for row in rows]


async def remove(tx: Tx, rule_ids: Iterable[str]) -> None:
    for chunk in chunks(list(rule_ids), 500):
        await tx.run(sa.delete(tags).where(tags.c.resource_id.in_(chunk)))
        await tx.run(sa.delete(security_group_rules).where(security_group_rules.c.id.in_(chunk)))


async def remove_of(tx: Tx, group_id: str) -> None:
    rows = await tx.all(sa.select(security_group_rules.c.id).where(security_group_rules.c.group_id == group_id))
    await remove(tx, [row.id for row in rows])
