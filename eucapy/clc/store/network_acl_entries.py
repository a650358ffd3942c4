"""What network ACLs say: numbered entries, a row each, of both directions.

The last entry of each direction, which denies what no other one matched, is a row like the others; its number is above
those that a request may use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from eucapy.clc.store import filters
from eucapy.clc.store.base import metadata
from eucapy.database import Row, Tx

LAST, LAST6 = 32767, 32768
"""The numbers of the entries that deny the rest, of IPv4 and of IPv6."""
FIRST, FIRST6 = 100, 101
"""Those of the entries by which a default ACL lets everything through."""
EVERYWHERE, EVERYWHERE6 = "0.0.0.0/0", "::/0"

entries = sa.Table(
    "network_acl_entries",
    metadata,
    sa.Column("network_acl_id", sa.String(32), sa.ForeignKey("network_acls.id"), primary_key=True),
    sa.Column("is_egress", sa.Boolean, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("action", sa.String(8), nullable=False),
    sa.Column("protocol", sa.String(8), nullable=False),
    sa.Column("cidr", sa.String(18), nullable=False),
    sa.Column("cidr6", sa.String(43), nullable=False),
    sa.Column("from_port", sa.Integer, nullable=True),
    sa.Column("to_port", sa.Integer, nullable=True),
    sa.Column("icmp_type", sa.Integer, nullable=True),
    sa.Column("icmp_code", sa.Integer, nullable=True),
)
"""`protocol` is a number as text, or -1; one of `cidr` and `cidr6` is set. TCP and UDP have ports, ICMP type and code."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What an entry says, under its columns' names."""

    action: str
    protocol: str = "-1"
    cidr: str = ""
    cidr6: str = ""
    from_port: int | None = None
    to_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


def filters_of(acl_id: sa.ColumnElement[str]) -> dict[str, filters.Filter]:
    """DescribeNetworkAcls' filters `entry.…`."""

    def some(filter_: filters.Filter) -> filters.Filter:
        return filters.exists(
            lambda values: sa.select(entries.c.number).where(entries.c.network_acl_id == acl_id, filter_(values))
        )

    return {
        "entry.cidr": some(filters.text(entries.c.cidr)),
        "entry.icmp.code": some(filters.number(entries.c.icmp_code)),
        "entry.icmp.type": some(filters.number(entries.c.icmp_type)),
        "entry.ipv6-cidr": some(filters.text(entries.c.cidr6)),
        "entry.port-range.from": some(filters.number(entries.c.from_port)),
        "entry.port-range.to": some(filters.number(entries.c.to_port)),
        "entry.protocol": some(_protocol),
        "entry.egress": some(filters.boolean(entries.c.is_egress)),
        "entry.rule-action": some(filters.text(entries.c.action)),
        "entry.rule-number": some(filters.number(entries.c.number)),
    }


def _protocol(values: Sequence[str]) -> filters.Condition:
    """By number or by name. Source: DescribeNetworkAcls, "tcp | udp | icmp or a protocol number"."""
    numbers = {"tcp": "6", "udp": "17", "icmp": "1"}
    return filters.matches(entries.c.protocol, [numbers.get(value, value) for value in values])


async def insert_first(tx: Tx, acl_id: str, *, is_open: bool) -> None:
    """The entries that an ACL is born with."""
    for is_egress in (True, False):
        if is_open:
            await insert(tx, acl_id, is_egress, FIRST, Entry(action="allow", cidr=EVERYWHERE))
        await insert(tx, acl_id, is_egress, LAST, Entry(action="deny", cidr=EVERYWHERE))


async def insert_first6(tx: Tx, acl_id: str, *, is_open: bool) -> None:
    """The entries about IPv6 that an ACL has from when its VPC has IPv6; what stands there already stays."""
    held = {(row.is_egress, row.number) for row in (await of_acls(tx, [acl_id])).get(acl_id, [])}
    for is_egress in (True, False):
        if is_open and (is_egress, FIRST6) not in held:
            await insert(tx, acl_id, is_egress, FIRST6, Entry(action="allow", cidr6=EVERYWHERE6))
        if (is_egress, LAST6) not in held:
            await insert(tx, acl_id, is_egress, LAST6, Entry(action="deny", cidr6=EVERYWHERE6))


async def insert(tx: Tx, acl_id: str, is_egress: bool, number: int, entry: Entry) -> None:
    values: dict[str, Any] = {"network_acl_id": acl_id, "is_egress": is_egress, "number": number, **asdict(entry)}
    await tx.run(sa.insert(entries).values(values))


async def replace(tx: Tx, acl_id: str, is_egress: bool, number: int, entry: Entry) -> bool:
    """False: there is no such entry."""
    return await tx.run(sa.update(entries).where(*_is(acl_id, is_egress, number)).values(asdict(entry))) > 0


async def remove(tx: Tx, acl_id: str, is_egress: bool, number: int) -> bool:
    """False: there is no such entry."""
    return await tx.run(sa.delete(entries).where(*_is(acl_id, is_egress, number))) > 0


async def remove_of(tx: Tx, acl_id: str) -> None:
    await tx.run(sa.delete(entries).where(entries.c.network_acl_id == acl_id))


async def of_acls(tx: Tx, acl_ids: Sequence[str]) -> dict[str, list[Row]]:
    """By ACL: those of what leaves first, then by number, as EC2 shows them and as they are asked."""
    found: dict[str, list[Row]] = {}
    rows = await tx.all(
        sa.select(entries)
        .where(entries.c.network_acl_id.in_(acl_ids))
        .order_by(entries.c.network_acl_id, entries.c.is_egress.desc(), entries.c.number)
    )
    for row in rows:
        found.setdefault(row.network_acl_id, []).append(row)
    return found


def _is(acl_id: str, is_egress: bool, number: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        entries.c.network_acl_id == acl_id,
        entries.c.is_egress.is_(is_egress),
        entries.c.number == number,
    )
