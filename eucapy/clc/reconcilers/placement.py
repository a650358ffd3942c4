"""The loop `placement`: gives every pending instance a node, or ends it when there is none for it.

Which node is decided by `clc/placement.py`, from what the nodes last reported and what is already placed there. An
instance that no node of its zone could ever take, even an empty one, ends at once; one that would fit if others left
waits for a while. At its first start it is terminated, later it is stopped again, as EC2 does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from eucapy.clc import transitions
from eucapy.clc.capacity import demand_of, rooms
from eucapy.clc.config import Config
from eucapy.clc.placement import place
from eucapy.clc.reconcilers import endings
from eucapy.clc.store import hosts, instances
from eucapy.clc.store.advance import advance
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.lifecycle.instance import INSTANCE

log = logging.getLogger(__name__)

PATIENCE_S = 120.0
"""How long an instance that fits no node now may wait for room."""


class Placement:
    """An activation of the loop is one transaction."""

    def __init__(self, database: Database, config: Config, clock: Clock, wake: Callable[[str], None]) -> None:
        self._database, self._config, self._clock, self._wake = database, config, clock, wake

    async def __call__(self) -> bool:
        if not await self._database.read(instances.any_unplaced):
            return False
        return await self._database.write(self._place)

    async def _place(self, tx: Tx) -> bool:
        now = self._clock.time()
        waiting = {row.id: row for row in await instances.unplaced(tx)}
        usable = await hosts.usable(tx)
        demands = {instance_id: demand_of(row) for instance_id, row in waiting.items()}
        free = rooms(usable, await instances.loads(tx), self._config, await instances.grouped(tx))
        chosen = place(demands, free)
        empty = rooms(usable, {}, self._config)
        changed = False
        by_node: dict[str, list[str]] = {}
        for instance_id, node in chosen.items():
            by_node.setdefault(node, []).append(instance_id)
        for node, placed in by_node.items():
            changed = await instances.place(tx, placed, node) > 0 or changed
        for instance_id, row in waiting.items():
            if instance_id in chosen:
                continue
            known = any(room.zone == row.zone for room in empty)
            never = known and not any(room.fits(demands[instance_id]) for room in empty)
            if never or now - row.state_at >= PATIENCE_S:
                changed = await self._give_up(tx, row, now) or changed
        if changed:
            tx.on_commit(lambda: self._wake("cluster_sync"))
            tx.on_commit(lambda: self._wake("storage_sync"))
            if any(row.profile_id for row in waiting.values()):
                tx.on_commit(lambda: self._wake("role_credentials"))
        return changed

    async def _give_up(self, tx: Tx, row: Row, now: float) -> bool:
        first = row.starts == 1
        event = "unplaced" if first else "start_unplaced"
        moved = await advance(tx, INSTANCE, row, event, state_at=now, run=False, **transitions.UNPLACED)
        if moved is None:
            return False
        log.warning("no node has room", extra={"data": {"instance": row.id, "type": row.instance_type}})
        if first:
            await endings.release(tx, row, now)
        else:
            await endings.rest(tx, row)
        return True
