"""Elastic and automatic public addresses: allocating, associating, giving back. The rows: `public_ips.py`.

An interface that runs has one public address for its primary private one: the elastic address that is associated with
it, else an automatic one if it was launched so. Whoever changes an association wakes `cluster_sync`.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters, public_ips
from eucapy.clc.store.network_interfaces import network_interfaces
from eucapy.clc.store.public_ips import public_ips as addresses
from eucapy.clc.store.tags import tag_filters, tags
from eucapy.database import Row, Tx

FILTERS: dict[str, filters.Filter] = {
    "allocation-id": filters.text(addresses.c.id),
    "association-id": filters.text(sa.func.nullif(addresses.c.association_id, "")),
    "domain": filters.constant("vpc"),
    "instance-id": filters.text(sa.func.nullif(network_interfaces.c.instance_id, "")),
    "network-interface-id": filters.text(sa.func.nullif(addresses.c.interface_id, "")),
    "network-interface-owner-id": filters.text(network_interfaces.c.account),
    "private-ip-address": filters.text(sa.func.nullif(addresses.c.private_ip, "")),
    "public-ip": filters.text(addresses.c.ip),
    **tag_filters(addresses.c.id),
}


async def allocate(tx: Tx, *, account: str, ip: str, now: float) -> Row:
    """An elastic address for the account; `ip` is free (`public_ips.free`)."""
    allocation_id = ids.new("eipalloc")
    await public_ips.insert(tx, row_id=allocation_id, account=account, ip=ip, elastic=True, now=now)
    row = await by_id(tx, account, allocation_id)
    assert row is not None
    return row


async def by_id(tx: Tx, account: str, allocation_id: str) -> Row | None:
    return await tx.first(
        sa.select(addresses).where(
            addresses.c.account == account, addresses.c.id == allocation_id, addresses.c.elastic.is_(True)
        )
    )


async def by_association(tx: Tx, account: str, association_id: str) -> Row | None:
    return await tx.first(
        sa.select(addresses).where(addresses.c.account == account, addresses.c.association_id == association_id)
    )


async def count(tx: Tx, account: str) -> int:
    """Elastic addresses that the account holds."""
    return int(
        await tx.scalar(
            sa.select(sa.func.count())
            .select_from(addresses)
            .where(addresses.c.account == account, addresses.c.elastic.is_(True))
        )
    )


async def find(tx: Tx, account: str, conditions: Sequence[filters.Condition]) -> list[Row]:
    """The account's elastic addresses that meet all conditions, by id, each with `instance_id`, `subnet_id` and
    `interface_account` of its interface, or nulls."""
    return list(
        await tx.all(
            sa.select(
                addresses,
                network_interfaces.c.instance_id,
                network_interfaces.c.subnet_id,
                network_interfaces.c.account.label("interface_account"),
            )
            .outerjoin(network_interfaces, network_interfaces.c.id == addresses.c.interface_id)
            .where(addresses.c.account == account, addresses.c.elastic.is_(True), *conditions)
            .order_by(addresses.c.id)
        )
    )


async def associate(tx: Tx, address: Row, interface: Row, private_ip: str) -> str:
    """Let the address stand for that private address of the interface; what stood for it before is unbound. The new
    association's id."""
    await public_ips.unbind(tx, interface.id, [private_ip])
    association_id = ids.new("eipassoc")
    await public_ips.bind(
        tx, address.id, association_id=association_id, interface_id=interface.id, private_ip=private_ip
    )
    return association_id


async def disassociate(tx: Tx, address: Row) -> None:
    await public_ips.bind(tx, address.id, association_id="", interface_id="", private_ip="")


async def release(tx: Tx, allocation_id: str) -> None:
    """Give an elastic address back to the pool."""
    await tx.run(sa.delete(tags).where(tags.c.resource_id == allocation_id))
    await public_ips.remove(tx, allocation_id)


_AUTOMATIC = sa.select(
    network_interfaces.c.account, network_interfaces.c.private_ip, network_interfaces.c.auto_public
).where(network_interfaces.c.id == sa.bindparam("interface"))
"""On the path of every launch: built once."""


async def assign_auto(tx: Tx, interface_id: str, ranges: Sequence[str], now: float) -> str | None:
    """An automatic public address for the interface, out of `config.public_ranges`, when it is one that gets them.

    Returns the address; None when the interface gets none, has an elastic one, or the pool is empty: an instance is
    launched nevertheless.
    """
    interface = await tx.first(_AUTOMATIC, {"interface": interface_id})
    if interface is None or not interface.auto_public:
        return None
    for row in (await public_ips.of_interfaces(tx, [interface_id])).get(interface_id, ()):
        if row.private_ip == interface.private_ip:
            return None if row.elastic else str(row.ip)
    ip = await public_ips.free(tx, ranges)
    if ip is None:
        return None
    await public_ips.insert(
        tx,
        row_id=interface_id,
        account=interface.account,
        ip=ip,
        elastic=False,
        now=now,
        interface_id=interface_id,
        private_ip=interface.private_ip,
    )
    return ip


async def release_auto(tx: Tx, interface_id: str) -> None:
    """The instance stops or ends: its automatic address goes back to the pool. An elastic one stays."""
    await public_ips.remove(tx, interface_id)


async def assign_autos(tx: Tx, instance_id: str, ranges: Sequence[str], now: float) -> None:
    """The instance starts: automatic addresses for those of its interfaces that get one."""
    for interface_id in await _interfaces(tx, instance_id):
        await assign_auto(tx, interface_id, ranges, now)


async def release_autos(tx: Tx, instance_id: str) -> None:
    """The instance stops or ends: the automatic addresses of all its interfaces go back to the pool."""
    for interface_id in await _interfaces(tx, instance_id):
        await release_auto(tx, interface_id)


async def _interfaces(tx: Tx, instance_id: str) -> list[str]:
    rows = await tx.all(sa.select(network_interfaces.c.id).where(network_interfaces.c.instance_id == instance_id))
    return [row.id for row in rows]
