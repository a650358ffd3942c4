"""The loop `nat_gateways`: finds a node that translates for each NAT gateway, and ends what is deleted.

One node of the gateway's zone has its public address, since answers come back to one place; the others send it what their
guests send out. It is the one with the fewest gateways, by name among equals, and stays it until it has not answered for
`LOST_S`: then another one takes over, under the same address. Connections that went through the lost one are lost with it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping

from eucapy.clc.store import hosts, internet_gateways, nat_gateways, network_interfaces, tags
from eucapy.clc.store.advance import advance
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.lifecycle import nat_gateway as life

log = logging.getLogger(__name__)

LOST_S = 30.0
SHOWN_S = 3600.0
"""How long EC2 shows what has failed or is deleted."""


class NatGateways:
    """Callable as the loop's activation."""

    def __init__(self, database: Database, clock: Clock, wake: Callable[[str], None]) -> None:
        self._database, self._clock, self._wake = database, clock, wake

    async def __call__(self) -> bool:
        if not await self._database.read(nat_gateways.every):
            return False
        return await self._database.write(self._all)

    async def _all(self, tx: Tx) -> bool:
        now, rows = self._clock.time(), await nat_gateways.every(tx)
        usable = await hosts.usable(tx)
        known = await hosts.by_names(tx, sorted({row.node for row in rows if row.node}))
        load = Counter(row.node for row in rows if row.state == life.AVAILABLE)
        changed = False
        for row in rows:
            match row.state:
                case life.PENDING:
                    moved = await self._begin(tx, row, usable, load, now)
                case life.AVAILABLE if row.node and _lost(row.node, known, now):
                    moved = await self._move(tx, row, usable, load)
                case life.DELETING:
                    await network_interfaces.remove(tx, row.interface_id)
                    moved = await advance(tx, life.NAT_GATEWAY, row, "gone", ended_at=now, node="") is not None
                case _:
                    moved = False
            changed = moved or changed
        old = [row.id for row in rows if row.ended_at is not None and row.ended_at <= now - SHOWN_S]
        for gateway_id in old:
            await tags.remove(tx, gateway_id)
        if old:
            await nat_gateways.remove(tx, old)
        if changed:
            tx.on_commit(lambda: self._wake("cluster_sync"))
        return changed or bool(old)

    async def _begin(self, tx: Tx, row: Row, usable: list[Row], load: Counter[str], now: float) -> bool:
        node = ""
        if row.connectivity == nat_gateways.PUBLIC:
            if await internet_gateways.of_vpc(tx, row.vpc_id) is None:
                await network_interfaces.remove(tx, row.interface_id)
                why = f"Network {row.vpc_id} has no Internet gateway attached"
                given = {"failure_code": "Gateway.NotAttached", "failure_message": why, "ended_at": now}
                return await advance(tx, life.NAT_GATEWAY, row, "failed", **given) is not None
            node = choose(usable, row.zone, load)
            if not node:
                return False
        load[node] += 1
        return await advance(tx, life.NAT_GATEWAY, row, "ready", node=node) is not None

    async def _move(self, tx: Tx, row: Row, usable: list[Row], load: Counter[str]) -> bool:
        node = choose(usable, row.zone, load)
        if not node:
            return False
        load[node] += 1
        log.warning("a NAT gateway moves", extra={"data": {"gateway": row.id, "from": row.node, "to": node}})
        await nat_gateways.place(tx, row.id, node)
        return True


def choose(usable: list[Row], zone: str, load: Mapping[str, int]) -> str:
    """The node of the zone with the fewest gateways; "" when none can be had. Pure."""
    names = sorted(host.name for host in usable if host.zone == zone)
    return min(names, key=lambda name: load.get(name, 0), default="")


def _lost(node: str, known: Mapping[str, Row], now: float) -> bool:
    host = known.get(node)
    return host is None or (not host.reachable and (host.unreachable_since or now) <= now - LOST_S)
