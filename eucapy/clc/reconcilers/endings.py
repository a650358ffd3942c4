"""What an instance leaves behind when it ends: its interfaces and volumes go as they were attached, its addresses back."""

from __future__ import annotations

from eucapy.clc.store import addresses, attachments, instances, network_interfaces
from eucapy.database import Row, Tx


async def release(tx: Tx, row: Row, now: float) -> None:
    """The instance is terminated. Its row stays visible for a while, without a network."""
    await attachments.release_all(tx, row.id, now)
    await network_interfaces.release_all(tx, row.id)
    await instances.set_values(tx, row.id, vpc_id="", subnet_id="", private_ip="")


async def rest(tx: Tx, row: Row) -> None:
    """The instance is stopped. Interfaces on their way into or out of the guest have arrived; automatic public addresses go
    back to the pool; one whose root is a volume leaves its node and may start anywhere in the zone."""
    await network_interfaces.settle_all(tx, row.id)
    await addresses.release_autos(tx, row.id)
    if row.root_kind == "ebs" and row.node:
        await instances.set_values(tx, row.id, leaving=True)
