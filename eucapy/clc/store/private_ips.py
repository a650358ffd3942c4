"""Private addresses that are given out: one row each. EC2 keeps five addresses of every subnet for itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy.clc.store import subnet_reservations
from eucapy.clc.store.base import metadata
from eucapy.clc.store.free_numbers import Span, holds, pick, without
from eucapy.database import Tx

RESERVED = 5
"""The network, the router, the resolver, one for the future, and the broadcast address."""

private_ips = sa.Table(
    "private_ips",
    metadata,
    sa.Column("subnet_id", sa.String(32), sa.ForeignKey("subnets.id"), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("ip", sa.String(15), nullable=False),
    sa.Column("is_primary", sa.Boolean, nullable=False),
    sa.Column("interface_id", sa.String(32), nullable=False, index=True),
)


# On the path of every launch: built once.
_TAKEN = sa.select(private_ips.c.number).where(
    private_ips.c.subnet_id == sa.bindparam("subnet_id"), private_ips.c.number == sa.bindparam("number")
)
_BETWEEN = sa.select(private_ips.c.number).where(
    private_ips.c.subnet_id == sa.bindparam("subnet_id"),
    private_ips.c.number.between(sa.bindparam("first"), sa.bindparam("last")),
)
_INSERT = sa.insert(private_ips)


def usable(cidr: str) -> Span:
    """The first and last address that may be given out, as numbers."""
    network = ipaddress.IPv4Network(cidr)
    return int(network.network_address) + 4, int(network.broadcast_address) - 1


_COUNT = (
    sa.select(sa.func.count())
    .where(private_ips.c.subnet_id == sa.bindparam("subnet_id"))
    .where(private_ips.c.number.between(sa.bindparam("first"), sa.bindparam("last")))
)


async def how_many_free(tx: Tx, subnet_id: str, cidr: str) -> int:
    """How many addresses of the subnet nobody has, and may be chosen by the cloud."""
    free = 0
    for first, last in await _open(tx, subnet_id, cidr):
        taken = await tx.scalar(_COUNT, {"subnet_id": subnet_id, "first": first, "last": last})
        free += last - first + 1 - int(taken)
    return free


async def _open(tx: Tx, subnet_id: str, cidr: str) -> list[Span]:
    """What the cloud chooses from: the subnet without what is reserved of it."""
    reserved = await subnet_reservations.spans(tx, subnet_id)
    return without(usable(cidr), reserved) if reserved else [usable(cidr)]


async def is_taken(tx: Tx, subnet_id: str, number: int) -> bool:
    return await tx.first(_TAKEN, {"subnet_id": subnet_id, "number": number}) is not None


async def free(tx: Tx, subnet_id: str, cidr: str, spared: Collection[str] = ()) -> str | None:
    """An address of the subnet that nobody has, neither reserved nor one of `spared`; None when there is none left."""
    spans = await _open(tx, subnet_id, cidr)
    kept = {number for number in map(_number, spared) if number is not None and holds(spans, number)}

    async def taken(number: int) -> bool:
        return number in kept or await is_taken(tx, subnet_id, number)

    async def taken_between(first: int, last: int) -> Iterable[int]:
        rows: Sequence[Any] = await tx.all(_BETWEEN, {"subnet_id": subnet_id, "first": first, "last": last})
        return kept.union(row[0] for row in rows)

    number = await pick(spans, taken, taken_between)
    return None if number is None else str(ipaddress.IPv4Address(number))


def _number(ip: str) -> int | None:
    """None for what is no address: it is refused where it is to be taken."""
    try:
        return int(ipaddress.IPv4Address(ip))
    except ValueError:
        return None


async def insert(tx: Tx, *, subnet_id: str, ip: str, interface_id: str, is_primary: bool) -> None:
    await tx.run(
        _INSERT,
        {
            "subnet_id": subnet_id,
            "number": int(ipaddress.IPv4Address(ip)),
            "ip": ip,
            "is_primary": is_primary,
            "interface_id": interface_id,
        },
    )


async def remove(tx: Tx, interface_id: str, ips: Iterable[str] | None = None) -> None:
    """Give back these addresses of the interface, or all of them."""
    statement = sa.delete(private_ips).where(private_ips.c.interface_id == interface_id)
    if ips is not None:
        statement = statement.where(private_ips.c.ip.in_(list(ips)))
    await tx.run(statement)
