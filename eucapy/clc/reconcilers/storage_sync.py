"""The loop `storage_sync`: tells each zone's storage controller what shall be, and writes down what it reports.

An activation, zone by zone: compile the spec, send it if it is not what was sent last, read the newest status, apply it.
Volumes and snapshots move by the storage's word, attachments by the node's (`vms`, which `observe` writes and wakes this
loop for); `storage_verdicts.py` says how. A volume that cannot be made ends the launch that waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from eucapy.clc import transitions
from eucapy.clc.agents import Agents
from eucapy.clc.reconcilers import snapshot_archives, upload_reports
from eucapy.clc.reconcilers.storage_verdicts import (
    judge_attachment,
    judge_export,
    judge_modification,
    judge_snapshot,
    judge_volume,
)
from eucapy.clc.specs.storage import fingerprint, storage_spec
from eucapy.clc.store import (
    attachments,
    components,
    export_tasks,
    instances,
    snapshot_visits,
    snapshot_writes,
    snapshots,
    vms,
    volume_modifications,
    volumes,
)
from eucapy.clc.store.advance import advance
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.lifecycle import attachment as attachment_life
from eucapy.lifecycle import instance as instance_life
from eucapy.wire.contract import Cursor, Refused, Unreachable
from eucapy.wire.storage import StorageAgent, StorageSpec, StorageStatus

log = logging.getLogger(__name__)


class StorageSync:
    """Callable as the loop's activation."""

    def __init__(
        self, database: Database, agents: Agents, zones: Sequence[str], clock: Clock, wake: Callable[[str], None]
    ) -> None:
        self._database, self._agents, self._zones = database, agents, zones
        self._clock, self._wake = clock, wake
        self._sent: dict[str, tuple[str, int]] = {}
        """Zone → (digest, generation) of what its storage controller acknowledged in this life."""
        self._boots: dict[str, str] = {}
        """Zone → the storage controller's life that was seen last."""

    async def __call__(self) -> bool:
        changed = False
        for zone in self._zones:
            agent = await self._agents.storage(zone)
            if agent is None:
                continue
            try:
                changed = await self._zone(zone, agent) or changed
            except Unreachable as error:
                log.info("storage controller silent", extra={"data": {"zone": zone, "error": str(error)}})
        return changed

    async def _zone(self, zone: str, agent: StorageAgent) -> bool:
        sent = await self._send(zone, agent)
        status = await agent.get_status(Cursor(), 0.0)
        applied = await self._database.write(lambda tx: self._apply(tx, zone, status))
        return self._reborn(zone, status) or sent or applied

    def _reborn(self, zone: str, status: StorageStatus) -> bool:
        """The agent lives a new life and may have lost its ledger: what it was sent goes out once more."""
        before, self._boots[zone] = self._boots.get(zone, status.boot), status.boot
        if before == status.boot:
            return False
        self._sent.pop(zone, None)
        return True

    async def _send(self, zone: str, agent: StorageAgent) -> bool:
        """Send the zone's spec unless it was acknowledged already. Raises Unreachable."""
        name = f"sc/{zone}"
        spec = await self._database.read(lambda tx: self._compile(tx, zone))
        digest = fingerprint(spec)
        if self._sent.get(zone, ("", 0))[0] == digest:
            return False
        generation = await self._database.write(lambda tx: components.generation(tx, name, digest))
        ack = await agent.put_spec(msgspec.structs.replace(spec, generation=generation))
        if ack.refused in (Refused.STALE, Refused.CONFLICT):
            await self._database.write(lambda tx: components.skip_to(tx, name, ack.generation))
            generation = await self._database.write(lambda tx: components.generation(tx, name, digest))
            ack = await agent.put_spec(msgspec.structs.replace(spec, generation=generation))
        if ack.refused is not None:
            log.error("spec refused", extra={"data": {"zone": zone, "reason": str(ack.refused)}})
            raise Unreachable(f"{name} refused the spec: {ack.refused}")
        self._sent[zone] = (digest, generation)
        return True

    async def _compile(self, tx: Tx, zone: str) -> StorageSpec:
        attached = await attachments.in_zone(tx, zone)
        nodes = await components.of_kind(tx, "nc", zone)
        exports = await export_tasks.unsettled(tx)
        return storage_spec(
            zone,
            volumes=await volumes.wanted(tx, zone),
            snapshots=await snapshots.wanted(tx, zone),
            attachments=attached,
            instances=await instances.whereabouts(tx, sorted({row.instance_id for row in attached})),
            addresses={node.name: node.address for node in nodes},
            urls={node.name: node.url for node in nodes},
            needed=await snapshots.needed(tx, zone)
            | await snapshot_writes.needed(tx, zone)
            | export_tasks.needed(exports),
            awaited=await snapshots.awaited(tx, zone),
            writes=await snapshot_writes.in_zone(tx, zone),
            exported=export_tasks.told(exports, zone),
            visits=await snapshot_visits.in_zone(tx, zone),
        )

    async def _apply(self, tx: Tx, zone: str, status: StorageStatus) -> bool:
        now = self._clock.time()
        changed = await self._volumes(tx, zone, status, now)
        changed = await self._snapshots(tx, zone, status, now) or changed
        changed = await snapshot_archives.write_down(tx, zone, status, self._sent[zone][1]) or changed
        changed = await self._attachments(tx, zone, status, now) or changed
        if await upload_reports.write_down(tx, zone, status):
            tx.on_commit(lambda: self._wake("exports"))
            changed = True
        return await self._modifications(tx, zone, status, now) or changed

    async def _volumes(self, tx: Tx, zone: str, status: StorageStatus, now: float) -> bool:
        rows = await volumes.in_motion(tx, zone)
        attached = await attachments.of_volumes(tx, [row.id for row in rows])
        changed = False
        for row in rows:
            seen = status.volumes.get(row.id)
            if seen is None:
                continue
            verdict = judge_volume(row, seen, row.id in attached)
            if not verdict.event:
                continue
            if verdict.event == "gone":
                await volumes.finish(tx, row, now)
            else:
                await volumes.move(tx, row, verdict.event, now, **verdict.columns)
            if verdict.event == "failed" and row.id in attached:
                await self._end_launch(tx, attached[row.id].instance_id, verdict.columns["fault"], now)
            log.info("volume", extra={"data": {"volume": row.id, "event": verdict.event}})
            changed = True
        return changed

    async def _end_launch(self, tx: Tx, instance_id: str, fault: str, now: float) -> None:
        """A volume that the instance shall start with cannot be made."""
        instance = (await instances.by_ids(tx, [instance_id])).get(instance_id)
        if instance is None or instance.state != instance_life.PENDING:
            return
        event = "failed" if instance.starts == 1 else "start_failed"
        why = transitions.broken(f"a volume could not be created: {fault}")
        await advance(tx, instance_life.INSTANCE, instance, event, state_at=now, run=False, **why)
        tx.on_commit(lambda: self._wake("cluster_sync"))

    async def _modifications(self, tx: Tx, zone: str, status: StorageStatus, now: float) -> bool:
        rows = await volume_modifications.in_motion(tx, zone)
        if not rows:
            return False
        attached = await attachments.of_volumes(tx, [row.id for row in rows])
        owners = sorted({row.instance_id for row in attached.values()})
        machines, seen_vms = await instances.whereabouts(tx, owners), await vms.of_instances(tx, owners)
        changed = False
        for row in rows:
            attachment = attached.get(row.id)
            owner = attachment.instance_id if attachment is not None else ""
            verdict = judge_modification(
                row, status.volumes.get(row.id), attachment, machines.get(owner), seen_vms.get(owner)
            )
            if not verdict.event:
                continue
            if await volume_modifications.move(tx, row, verdict.event, now, **verdict.columns):
                log.info("volume modification", extra={"data": {"volume": row.id, "event": verdict.event}})
                changed = True
        return changed

    async def _snapshots(self, tx: Tx, zone: str, status: StorageStatus, now: float) -> bool:
        changed = False
        for row in await snapshots.in_motion(tx, zone):
            seen = status.snapshots.get(row.id)
            if seen is None:
                continue
            verdict = judge_snapshot(row, seen, now)
            if verdict.event == "gone":
                await snapshots.finish(tx, row, now)
                await snapshot_writes.remove(tx, row.id)
                tx.on_commit(lambda: self._wake("imports"))
            elif verdict.event:
                await snapshots.move(tx, row, verdict.event, now, **verdict.columns)
                log.info("snapshot", extra={"data": {"snapshot": row.id, "event": verdict.event}})
                tx.on_commit(lambda: self._wake("captures"))
                tx.on_commit(lambda: self._wake("imports"))
            elif verdict.columns:
                await snapshots.set_values(tx, row.id, **verdict.columns)
                tx.on_commit(lambda: self._wake("imports"))
            else:
                continue
            changed = True
        return changed

    async def _attachments(self, tx: Tx, zone: str, status: StorageStatus, now: float) -> bool:
        rows = await attachments.in_zone(tx, zone)
        machines = await instances.whereabouts(tx, sorted({row.instance_id for row in rows}))
        changed = False
        for row in rows:
            changed = await self._export(tx, row, machines.get(row.instance_id), status) or changed
        rows = [row for row in rows if row.state in attachment_life.IN_MOTION]
        owners = sorted({row.instance_id for row in rows})
        seen_vms = await vms.of_instances(tx, owners)
        disks = await volumes.by_ids(tx, [row.volume_id for row in rows])
        for row in rows:
            instance, vm = machines.get(row.instance_id), seen_vms.get(row.instance_id)
            verdict = judge_attachment(row, disks[row.volume_id], instance, vm)
            if verdict.event == "plugged":
                changed = await attachments.plugged(tx, row) or changed
            elif verdict.event == "released":
                await attachments.release(tx, row, now)
                changed = True
        return changed

    async def _export(self, tx: Tx, attachment: Row, instance: Row | None, status: StorageStatus) -> bool:
        """Write down where the volume is reachable; the node's spec follows."""
        columns = judge_export(attachment, instance, status.volumes.get(attachment.volume_id))
        if all(getattr(attachment, name) == value for name, value in columns.items()):
            return False
        await attachments.set_values(tx, attachment.id, **columns)
        tx.on_commit(lambda: self._wake("cluster_sync"))
        return True
