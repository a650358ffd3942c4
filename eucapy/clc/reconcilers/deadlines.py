"""The loop `deadlines`: what has waited too long is helped along, and what ended long ago is forgotten.

pending        an hour on its node        failed (first start), or stopped again
stopping       five minutes               its power is cut
shutting-down  ten minutes on a node that does not answer or is no longer registered: terminated; its tombstone
               stays for that node, which removes what is left when it comes back
pending        a snapshot that is written by blocks, and rested for as long as it may: error
terminated     `keep_terminated_s`        its row goes, once its node confirmed (or is no longer registered)
deregistered   no instance of it left     the image's row goes
pending-acceptance   a peering connection that nobody accepted in seven days: expired; what has ended is hidden in time
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from eucapy.clc import transitions
from eucapy.clc.config import Config
from eucapy.clc.reconcilers import endings
from eucapy.clc.store import (
    client_tokens,
    components,
    hosts,
    images,
    instances,
    snapshot_writes,
    snapshots,
    tags,
    vms,
    vpc_peerings,
)
from eucapy.clc.store.advance import advance
from eucapy.clc.store.vpc_peerings import LONG_S
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.lifecycle import image as image_life
from eucapy.lifecycle import instance as life
from eucapy.lifecycle.instance import INSTANCE

log = logging.getLogger(__name__)

PENDING_S = 3600.0
STOPPING_S = 300.0
SHUTTING_DOWN_S = 600.0
TOKENS_S = 24 * 3600.0
UNWRITTEN = "The snapshot was not completed within its timeout."


class Deadlines:
    """Callable as the loop's activation; one transaction."""

    def __init__(self, database: Database, config: Config, clock: Clock, wake: Callable[[str], None]) -> None:
        self._database, self._config, self._clock, self._wake = database, config, clock, wake

    async def __call__(self) -> bool:
        return await self._database.write(self._sweep)

    async def _sweep(self, tx: Tx) -> bool:
        now = self._clock.time()
        away = await self._nodes_away(tx)
        moved = False
        for row in await instances.in_state(tx, life.PENDING, now - PENDING_S):
            moved = await self._give_up(tx, row, now) or moved
        for row in await instances.in_state(tx, life.STOPPING, now - STOPPING_S):
            if not row.force_stop:
                await instances.set_values(tx, row.id, force_stop=True)
                moved = True
        for row in await instances.in_state(tx, life.SHUTTING_DOWN, now - SHUTTING_DOWN_S):
            if away(row.node):
                moved = await self._end(tx, row, now) or moved
        for row in await snapshot_writes.overdue(tx, now):
            moved = await snapshots.move(tx, row, "failed", now, fault=UNWRITTEN) or moved
        for row in await vpc_peerings.overdue(tx, now):
            moved = await vpc_peerings.end(tx, row, "expire", "Expired", now + LONG_S, now + LONG_S) or moved
        if moved:
            tx.on_commit(lambda: self._wake("cluster_sync"))
            tx.on_commit(lambda: self._wake("storage_sync"))
        forgotten = await self._forget(tx, now)
        return bool(forgotten) or moved

    async def _nodes_away(self, tx: Tx) -> Callable[[str], bool]:
        """A function that tells whether a node does not answer or is no longer registered."""
        registered = {row.name for row in await components.of_kind(tx, "nc")}
        known = await hosts.by_names(tx, sorted(registered))
        here = {name for name, row in known.items() if row.reachable}
        return lambda node: node not in here

    async def _give_up(self, tx: Tx, row: Row, now: float) -> bool:
        event = "failed" if row.starts == 1 else "start_failed"
        why = transitions.broken("The instance did not start in time")
        moved = await advance(tx, INSTANCE, row, event, state_at=now, run=False, **why)
        log.warning("an instance did not start in time", extra={"data": {"instance": row.id}})
        return moved is not None

    async def _end(self, tx: Tx, row: Row, now: float) -> bool:
        if await advance(tx, INSTANCE, row, "gone", state_at=now) is None:
            return False
        await endings.release(tx, row, now)
        return True

    async def _forget(self, tx: Tx, now: float) -> int:
        registered = {row.name for row in await components.of_kind(tx, "nc")}
        ended = await instances.in_state(tx, life.TERMINATED, now - self._config.keep_terminated_s)
        gone = [row.id for row in ended if not row.node or row.node not in registered]
        for instance_id in gone:
            await tags.remove(tx, instance_id)
        await instances.remove(tx, gone)
        await vms.remove(tx, gone)
        forgotten = len(gone)
        for image in await images.in_state(tx, image_life.DEREGISTERED):
            if not await instances.of_image(tx, image.id):
                await images.remove(tx, image.id)
                forgotten += 1
        for peering_id in await vpc_peerings.forget(tx, now):
            await tags.remove(tx, peering_id)
            forgotten += 1
        return forgotten + await client_tokens.forget(tx, now - TOKENS_S)
