"""The loop `exports`: sees ExportImage, CreateInstanceExportTask and CreateStoreImageTask through.

    1 a multipart upload is begun for every disk, in the task's name: may it write into the bucket?
    2 the zone's storage writes the snapshots out, converts and uploads them (`storage_sync`, `sc/executor.py`)
    3 every part is there: the uploads are completed, in the task's name again, and the objects appear
    ✗ one cannot be made, or the task is cancelled: the uploads are given up, then the task is `deleted`

An export keeps the snapshots that it reads, whoever deletes them meanwhile. Each step may be done again: an upload is noted
before anything is put into it, and completing one twice is completing it once. Ended tasks are forgotten after a week,
those of CreateStoreImageTask after a month. The disks of a stored image are one object, with a manifest at the end
(`stored_image.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import msgspec

from eucapy.clc import stored_image
from eucapy.clc.actors import Actor
from eucapy.clc.objects import Abandoning
from eucapy.clc.places import Place
from eucapy.clc.store import export_tasks, snapshots
from eucapy.clc.stored_image import Manifest
from eucapy.clc.user_objects import Refused, UserObjects
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.lifecycle import export_task as life
from eucapy.lifecycle import snapshot as snapshot_life
from eucapy.wire.contract import Unreachable

log = logging.getLogger(__name__)

KEPT_S, STORED_KEPT_S = 7 * 24 * 3600.0, 31 * 24 * 3600.0
SWEEP_S = 3600.0
NO_ACCESS = "ClientError: We do not have access to the given resource. {why}"
_MESSAGES = {"converting": "converting", "uploading": "updating"}
"""Of an ExportImage task, by the storage's stage."""


class Exports:
    """Callable as the loop's activation."""

    def __init__(
        self, database: Database, objects: UserObjects, store: Abandoning, clock: Clock, wake: Callable[[str], None]
    ) -> None:
        self._database, self._objects, self._store = database, objects, store
        self._clock, self._wake = clock, wake
        self._forget_at = 0.0

    async def __call__(self) -> bool:
        changed = False
        for row in await self._database.read(export_tasks.in_motion):
            try:
                changed = await self._one(row) or changed
            except Unreachable as error:
                log.info("object store silent", extra={"data": {"task": row.id, "error": str(error)}})
            except Exception:
                # One task that cannot be worked on never keeps the others.
                log.exception("export not moved on", extra={"data": {"task": row.id}})
        return await self._forget() or changed

    async def _forget(self) -> bool:
        """Once in a while, tasks that ended long ago."""
        now = self._clock.time()
        if now < self._forget_at:
            return False
        self._forget_at = now + SWEEP_S
        return await self._database.write(lambda tx: export_tasks.forget(tx, now - KEPT_S, now - STORED_KEPT_S)) > 0

    async def _one(self, row: Row) -> bool:
        if row.state == life.DELETING:
            return await self._clean(row)
        if not row.begun:
            return await self._begin(row)
        if all(disk.get("parts") is not None for disk in row.disks):
            return await self._finish(row)
        return await self._database.write(partial(self._follow, row=row))

    async def _begin(self, row: Row) -> bool:
        """Begin the uploads. Those that were begun are noted whatever comes, so that they can be given up."""
        who, why = Actor.read(row.actor), ""
        begun: dict[int, str] = {}
        try:
            by_key = {disk["key"]: disk["upload_id"] for disk in row.disks if disk.get("upload_id")}
            for number, disk in enumerate(row.disks):
                key = disk["key"]
                if key not in by_key:
                    headers = row.options.get("headers")
                    by_key[key] = await self._objects.begin_upload(who, Place(row.bucket, key), headers)
                begun[number] = by_key[key]
        except Refused as error:
            why = NO_ACCESS.format(why=error)
        finally:
            await self._database.write(lambda tx: self._note_begun(tx, row, begun))
        return await self._database.write(lambda tx: self._begun(tx, row, why))

    async def _note_begun(self, tx: Tx, row: Row, begun: dict[int, str]) -> None:
        held = await export_tasks.by_id(tx, row.account, row.id)
        if held is not None and begun:
            disks = [{**disk, "upload_id": begun.get(n, disk.get("upload_id"))} for n, disk in enumerate(held.disks)]
            await export_tasks.set_values(tx, row.id, disks=disks)

    async def _begun(self, tx: Tx, row: Row, why: str) -> bool:
        if why:
            return await self._give_up(tx, row, why)
        if not await self._is_active(tx, row):
            return False
        message = "Running" if row.kind == export_tasks.INSTANCE else "converting"
        await export_tasks.set_values(tx, row.id, begun=True, message=message)
        tx.on_commit(lambda: self._wake("storage_sync"))
        return True

    async def _follow(self, tx: Tx, row: Row) -> bool:
        """As far as the uploads are."""
        if not await self._is_active(tx, row):
            return False
        missing = [disk for disk in row.disks if disk.get("parts") is None]
        held = await snapshots.by_ids(tx, [disk["snapshot_id"] for disk in missing])
        for disk in missing:
            snapshot = held.get(disk["snapshot_id"])
            if snapshot is None or snapshot.state == snapshot_life.ERROR:
                fault = snapshot.fault if snapshot is not None else ""
                return await self._give_up(tx, row, f"ClientError: The snapshot could not be made. {fault}".strip())
            if disk.get("fault"):
                return await self._give_up(tx, row, f"ServerError: {disk['fault']}")
        progress = max(row.progress, min(99, sum(disk.get("progress", 0) for disk in row.disks) // len(row.disks)))
        message = row.message
        if row.kind == export_tasks.IMAGE:
            stages = [disk.get("stage", "") for disk in row.disks if disk.get("parts") is None]
            message = _MESSAGES.get(stages[0], row.message)
        if (message, progress) == (row.message, row.progress):
            return False
        await export_tasks.set_values(tx, row.id, message=message, progress=progress)
        return True

    async def _finish(self, row: Row) -> bool:
        """Make the objects of what was uploaded. Once that has begun nobody calls the task off."""
        if not await self._database.write(partial(self._seal, row=row)):
            return False
        who, why = Actor.read(row.actor), ""
        try:
            last = await self._manifest_part(row, who) if row.kind == export_tasks.STORED else []
            for key in dict.fromkeys(disk["key"] for disk in row.disks):
                of_object = [disk for disk in row.disks if disk["key"] == key]
                etags = [etag for disk in of_object for etag in disk["parts"]] + last
                await self._objects.complete_upload(who, Place(row.bucket, key), of_object[0]["upload_id"], etags)
        except Refused as error:
            why = NO_ACCESS.format(why=error)
        return await self._database.write(lambda tx: self._finished(tx, row, why))

    async def _manifest_part(self, row: Row, who: Actor) -> list[str]:
        """The ETag of a stored image's last part; it is put once, since nothing can be put into a completed upload."""
        if "manifest_etag" in row.options:
            return [row.options["manifest_etag"]]
        manifest, start = msgspec.convert(row.options["manifest"], Manifest), 0
        for held, disk in zip(manifest.disks, row.disks, strict=True):
            held.start, held.length_bytes = start, disk["size_bytes"]
            start += disk["size_bytes"]
        number = 1 + sum(len(disk["parts"]) for disk in row.disks)
        first = row.disks[0]
        place = Place(row.bucket, first["key"])
        content = stored_image.encode(manifest)
        etag = await self._objects.put_part(who, place, first["upload_id"], number, content)
        options = {**row.options, "manifest_etag": etag}
        await self._database.write(lambda tx: export_tasks.set_values(tx, row.id, options=options))
        return [etag]

    async def _seal(self, tx: Tx, row: Row) -> bool:
        if not await self._is_active(tx, row):
            return False
        await export_tasks.set_values(tx, row.id, sealing=True)
        return True

    async def _is_active(self, tx: Tx, row: Row) -> bool:
        """Nobody cancelled it since it was read."""
        held = await export_tasks.by_id(tx, row.account, row.id)
        return held is not None and held.state == life.ACTIVE

    async def _finished(self, tx: Tx, row: Row, why: str) -> bool:
        if why:
            return await self._give_up(tx, row, why)
        if not await export_tasks.move(tx, row, "done", self._clock.time(), message="", progress=100):
            return False
        await self._remove_own(tx, row)
        tx.on_commit(lambda: self._wake("storage_sync"))
        log.info("export completed", extra={"data": {"task": row.id}})
        return True

    async def _give_up(self, tx: Tx, row: Row, why: str) -> bool:
        if not await export_tasks.move(tx, row, "failed", self._clock.time(), message=why):
            return False
        tx.on_commit(lambda: self._wake("storage_sync"))
        log.info("export failed", extra={"data": {"task": row.id, "reason": why}})
        return True

    async def _clean(self, row: Row) -> bool:
        """Give the uploads up; when the storage has let go as well, so is the task."""
        if any(export_tasks.is_told(disk) for disk in row.disks):
            self._wake("storage_sync")
            return False
        for disk in row.disks:
            if disk.get("upload_id"):
                await self._store.abandon(row.bucket, disk["key"], disk["upload_id"])
        return await self._database.write(partial(self._cleaned, row=row))

    async def _cleaned(self, tx: Tx, row: Row) -> bool:
        await self._remove_own(tx, row)
        return await export_tasks.move(tx, row, "gone", self._clock.time(), settled=True)

    async def _remove_own(self, tx: Tx, row: Row) -> None:
        """The snapshots that were taken for the task."""
        own = await snapshots.by_ids(tx, [disk["snapshot_id"] for disk in row.disks if disk.get("own")])
        doomed = [one for one in own.values() if one.state in snapshot_life.SHOWN]
        for one in doomed:
            await snapshots.move(tx, one, "delete", self._clock.time())
        if doomed:
            tx.on_commit(lambda: self._wake("storage_sync"))
