"""Public addresses that are given out: elastic ones, which an account holds, and automatic ones, which an interface has
for as long as its instance runs. One row each; both kinds come from the same pool (`public_ranges.py`).

The verbs that give them meaning: `addresses.py`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from eucapy.clc.store import public_ranges
from eucapy.clc.store.base import account_column, created_column, metadata
from eucapy.clc.store.free_numbers import pick
from eucapy.database import Row, Tx

public_ips = sa.Table(
    "public_ips",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("ip", sa.String(15), nullable=False, unique=True),
    sa.Column("elastic", sa.Boolean, nullable=False),
    sa.Column("association_id", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("interface_id", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("private_ip", sa.String(15), nullable=False, server_default=""),
    created_column(),
)
"""`id` is the allocation of an elastic address; an automatic one carries its interface's id. An address that is
associated names the interface and the private address that it stands for, one to one."""


# On the path of every launch: built once.
_INSERT = sa.insert(public_ips)
_BY_IP = sa.select(public_ips).where(public_ips.c.ip == sa.bindparam("ip"))
_OF_INTERFACES = (
    sa.select(public_ips)
    .where(public_ips.c.interface_id.in_(sa.bindparam("wanted", expanding=True)))
    .order_by(public_ips.c.ip)
)


async def free(tx: Tx, ranges: Sequence[str]) -> str | None:
    """An address of the pool that nobody has; None when the pool is empty."""

    async def taken(number: int) -> bool:
        return await by_ip(tx, str(ipaddress.IPv4Address(number))) is not None

    all_taken: set[int] = set()

    async def taken_between(_first: int, _last: int) -> Iterable[int]:
        if not all_taken:
            all_taken.update(int(ipaddress.IPv4Address(row.ip)) for row in await tx.all(sa.select(public_ips.c.ip)))
        return all_taken

    number = await pick(public_ranges.spans(ranges), taken, taken_between)
    return None if number is None else str(ipaddress.IPv4Address(number))


async def insert(
    tx: Tx,
    *,
    row_id: str,
    account: str,
    ip: str,
    elastic: bool,
    now: float,
    interface_id: str = "",
    private_ip: str = "",
) -> None:
    await tx.run(
        _INSERT,
        {
            "id": row_id,
            "account": account,
            "ip": ip,
            "elastic": elastic,
            "interface_id": interface_id,
            "private_ip": private_ip,
            "created_at": now,
        },
    )


async def by_id(tx: Tx, row_id: str) -> Row | None:
    return await tx.first(sa.select(public_ips).where(public_ips.c.id == row_id))


async def by_ip(tx: Tx, ip: str) -> Row | None:
    """Whose ever it is."""
    return await tx.first(_BY_IP, {"ip": ip})


async def of_interfaces(tx: Tx, interface_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The addresses that stand for private ones of these interfaces."""
    found: dict[str, list[Row]] = {}
    for row in await tx.all(_OF_INTERFACES, {"wanted": interface_ids}):
        found.setdefault(row.interface_id, []).append(row)
    return found


async def mapped_in(tx: Tx, vpc_id: str) -> bool:
    """Whether an address stands for a private one in the VPC."""
    interfaces = metadata.tables["network_interfaces"]
    mapped = (
        sa.select(public_ips.c.id)
        .join(interfaces, interfaces.c.id == public_ips.c.interface_id)
        .where(interfaces.c.vpc_id == vpc_id)
    )
    return await tx.first(mapped.limit(1)) is not None


async def bind(tx: Tx, row_id: str, *, association_id: str, interface_id: str, private_ip: str) -> None:
    await tx.run(
        sa.update(public_ips)
        .where(public_ips.c.id == row_id)
        .values(association_id=association_id, interface_id=interface_id, private_ip=private_ip)
    )


async def unbind(tx: Tx, interface_id: str, private_ips: Iterable[str] | None = None) -> None:
    """Take the public addresses from these private ones of the interface, or from all: elastic ones stay with their
    account, automatic ones go back to the pool."""
    statement = public_ips.c.interface_id == interface_id
    if private_ips is not None:
        statement = sa.and_(statement, public_ips.c.private_ip.in_(list(private_ips)))
    await tx.run(sa.delete(public_ips).where(statement, public_ips.c.elastic.is_(False)))
    await tx.run(sa.update(public_ips).where(statement).values(association_id="", interface_id="", private_ip=""))


async def remove(tx: Tx, row_id: str) -> None:
    await tx.run(sa.delete(public_ips).where(public_ips.c.id == row_id))
