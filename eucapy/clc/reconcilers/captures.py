"""The loop `captures`: sees images that are being made of instances through.

For each, in this order, as far as the reports allow:

    1 the guest is down, or need not be        its volumes' snapshots may be taken, its node may copy its root disk
    2 the node has copied the root disk        the storage is told to fetch the copy
    3 nothing of the guest is needed any more  it is started again
    4 the storage has everything               the row goes, and with it the node's copy; the loop `images` goes on

A copy that the node has given up (its disk is full) fails its snapshot, and so the image, with the node's reason. An
instance that ends meanwhile needs no rest; a root disk that went with it fails its snapshot, and so the image. An image
that was deregistered keeps nobody down.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from eucapy.clc.store import image_captures, images, instances, snapshots, vms
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.lifecycle import image as image_life
from eucapy.lifecycle import instance as instance_life
from eucapy.lifecycle import snapshot as snapshot_life

log = logging.getLogger(__name__)

ENDED = "the instance ended before its root disk was copied"
_AT_AN_END = (instance_life.SHUTTING_DOWN, instance_life.TERMINATED)


class Captures:
    """Callable as the loop's activation."""

    def __init__(self, database: Database, clock: Clock, wake: Callable[[str], None]) -> None:
        self._database, self._clock, self._wake = database, clock, wake

    async def __call__(self) -> bool:
        changed = False
        for row in await self._database.read(image_captures.every):
            changed = await self._database.write(partial(self._one, row=row)) or changed
        return changed

    async def _one(self, tx: Tx, row: Row) -> bool:
        image = await images.by_id(tx, row.id)
        instance = (await instances.by_ids(tx, [row.instance_id])).get(row.instance_id)
        vm = (await vms.of_instances(tx, [row.instance_id])).get(row.instance_id)
        if instance is None or vm is None or vm.node != instance.node:
            vm = None
        taken = await snapshots.of_capture(tx, row.id)
        given_up = image is None or image.state != image_life.PENDING
        ended = instance is None or instance.state in _AT_AN_END
        begun = row.begun or given_up or ended or is_at_rest(row, instance, vm)
        moved = False
        for snapshot in taken:
            if snapshot.awaits and begun:
                moved = await self._begin(tx, row, snapshot, instance, vm, ended or given_up) or moved
        if moved:
            taken = await snapshots.of_capture(tx, row.id)
            tx.on_commit(lambda: self._wake("storage_sync"))
        if begun and not row.begun:
            await image_captures.set_values(tx, row.id, begun=True)
            moved = True
        pending = [snapshot for snapshot in taken if snapshot.state == snapshot_life.PENDING]
        if not pending:
            await image_captures.remove(tx, row.id)
            log.info("capture is over", extra={"data": {"image": row.id, "instance": row.instance_id}})
            tx.on_commit(lambda: self._wake("images"))
            moved = True
        elif (
            row.rest
            and begun
            and all(snapshot.id == row.root_snapshot_id and not snapshot.awaits for snapshot in pending)
        ):
            await image_captures.set_values(tx, row.id, rest=False)
            moved = True
        if moved:
            tx.on_commit(lambda: self._wake("cluster_sync"))
        return moved

    async def _begin(
        self, tx: Tx, row: Row, snapshot: Row, instance: Row | None, vm: Row | None, hopeless: bool
    ) -> bool:
        """What waited for the instance goes on, if it can; the root's snapshot when the node has copied the disk."""
        if snapshot.id != row.root_snapshot_id:
            await snapshots.set_values(tx, snapshot.id, awaits=False)
            return True
        if hopeless:
            await snapshots.set_values(tx, snapshot.id, awaits=False)
            await snapshots.move(tx, snapshot, "failed", self._clock.time(), fault=ENDED)
            return True
        held = vm.captures.get(snapshot.id) if vm is not None else None
        if held is None or instance is None:
            return False
        if held["fault"]:
            await snapshots.set_values(tx, snapshot.id, awaits=False)
            await snapshots.move(tx, snapshot, "failed", self._clock.time(), fault=held["fault"])
            return True
        source = {"node": instance.node, "instance_id": instance.id, "size_bytes": held["size_bytes"]}
        await snapshots.set_values(tx, snapshot.id, awaits=False, source=source)
        return True


def is_at_rest(row: Any, instance: Any, vm: Any | None) -> bool:
    """The guest writes no more, or nobody asked for that."""
    if not row.rest or instance.state == instance_life.STOPPED:
        return True
    return vm is not None and vm.resting == row.id
