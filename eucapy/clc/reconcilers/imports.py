"""The loop `imports`: sees ImportSnapshot and ImportImage through.

    1 every disk is looked at, with the rights of the service role (or by the presigned URL): there, and allowed? An OVA's
      description is read for the disks in it
    2 a snapshot is written for each, made of the object by its zone's storage (`sc/executor.py`), which converts it
    3 all are there: the task is completed, and an image registered where one was asked for
    ✗ one cannot be made, or the task is cancelled: what was made is removed, then the task is `deleted`

The object that was looked at is the one that is fetched: it is named by its ETag. Progress and status message follow the
snapshots'. Ended tasks are forgotten after a week.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from eucapy.clc import ova, user_objects
from eucapy.clc.places import Place
from eucapy.clc.reconcilers import import_images
from eucapy.clc.seal import Seal
from eucapy.clc.store import import_tasks, roles, snapshots
from eucapy.clc.user_objects import AsRole, Look, Refused, UserObjects
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.lifecycle import import_task as life
from eucapy.lifecycle import snapshot as snapshot_life
from eucapy.wire.contract import Unreachable

log = logging.getLogger(__name__)

KEPT_S = 7 * 24 * 3600.0
SWEEP_S = 3600.0
NO_VOLUME = "vol-ffffffff"
"""What EC2 shows for a snapshot that was taken of no volume."""
GIVEN_UP = "ClientError: Disk validation failed [{why}]"
_STAGES = ((50, "downloading"), (85, "converting"), (90, "updating"), (100, "preparing"))
"""Percents of a snapshot (`sc/executor.py`) below which it is in a stage."""


@dataclass(frozen=True)
class Origin:
    """What a snapshot of an import is taken of: nothing that is here."""

    zone: str
    id: str = NO_VOLUME
    size_gib: int = 0


class _Hopeless(Exception):
    """The import cannot succeed; the message is the task's last status message."""


class Imports:
    """Callable as the loop's activation."""

    def __init__(
        self,
        database: Database,
        objects: UserObjects,
        seal: Seal,
        zones: Sequence[str],
        clock: Clock,
        wake: Callable[[str], None],
    ) -> None:
        """Snapshots are made in the first of the `zones`."""
        self._database, self._objects, self._seal = database, objects, seal
        self._zone, self._clock, self._wake = zones[0], clock, wake
        self._forget_at = 0.0

    async def __call__(self) -> bool:
        changed = False
        for row in await self._database.read(import_tasks.in_motion):
            try:
                changed = await self._one(row) or changed
            except Unreachable as error:
                log.info("object store silent", extra={"data": {"task": row.id, "error": str(error)}})
            except Exception:
                # One task that cannot be worked on never keeps the others.
                log.exception("import not moved on", extra={"data": {"task": row.id}})
        return await self._forget() or changed

    async def _forget(self) -> bool:
        """Once in a while, tasks that ended long ago."""
        now = self._clock.time()
        if now < self._forget_at:
            return False
        self._forget_at = now + SWEEP_S
        return await self._database.write(lambda tx: import_tasks.forget(tx, now - KEPT_S)) > 0

    async def _one(self, row: Row) -> bool:
        if row.state == life.DELETING:
            return await self._database.write(partial(self._clean, row=row))
        if row.begun:
            return await self._database.write(partial(self._follow, row=row))
        try:
            disks = [part for disk in row.disks for part in await self._looked_at(row, disk)]
        except _Hopeless as error:
            why = str(error)
            return await self._database.write(lambda tx: self._give_up(tx, row, why))
        return await self._database.write(lambda tx: self._begin(tx, row, disks))

    async def _looked_at(self, row: Row, disk: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The disk with what was found of its object; for an archive the disks in it. Raises _Hopeless, Unreachable."""
        if disk.get("given"):
            return [dict(disk)]
        try:
            look = await self._look(row, disk)
        except Refused as error:
            why = f"We do not have access to the given resource. {error}"
            raise _Hopeless(GIVEN_UP.format(why=why)) from error
        if look.size_bytes == 0:
            raise _Hopeless(GIVEN_UP.format(why="The file is empty"))
        found = {**disk, "etag": look.etag, "size_bytes": look.size_bytes}
        if disk["format"] != "ova":
            return [found]

        async def part(start: int, length: int) -> bytes:
            if start + length <= len(look.head):
                return look.head[start : start + length]
            more = await self._look(row, disk, start, length)
            if more.etag != look.etag:
                raise _Hopeless(GIVEN_UP.format(why="The file was replaced while it was read"))
            return more.head

        try:
            members = await ova.read(part, look.size_bytes)
        except ova.BadArchive as error:
            raise _Hopeless(GIVEN_UP.format(why=error)) from error
        return [
            {**found, "format": one.format, "start": one.start, "length_bytes": one.length_bytes, "device": ""}
            for one in members
        ]

    async def _look(
        self, row: Row, disk: Mapping[str, Any], start: int = 0, length: int = user_objects.FIRST_BYTES
    ) -> Look:
        if disk["url"]:
            url = self._seal.unseal(bytes.fromhex(disk["url"])).decode()
            return await self._objects.look_presigned(url, start, length)
        if await self._database.read(lambda tx: roles.by_id(tx, row.role)) is None:
            raise _Hopeless("ClientError: The service role does not exist any more.")
        who = AsRole(row.role, row.account, row.id)
        return await self._objects.look(who, Place(disk["bucket"], disk["key"]), start, length)

    async def _begin(self, tx: Tx, row: Row, disks: Sequence[dict[str, Any]]) -> bool:
        """Write the snapshots; unless the task was cancelled meanwhile."""
        held = await import_tasks.by_id(tx, row.account, row.id)
        if held is None or held.state != life.ACTIVE or held.begun:
            return False
        for number, disk in enumerate(disks):
            if not disk.get("given"):
                adapt = row.kind == import_tasks.IMAGE and number == 0
                disk["snapshot_id"] = await self._snapshot(tx, row, disk, adapt)
        await import_tasks.set_values(tx, row.id, disks=list(disks), begun=True, message="validated", progress=5)
        tx.on_commit(lambda: self._wake("storage_sync"))
        return True

    async def _snapshot(self, tx: Tx, row: Row, disk: Mapping[str, Any], adapt: bool) -> str:
        """`adapt`: the machine on it is made able to run here."""
        made = await snapshots.create(
            tx,
            account=row.account,
            volume=Origin(self._zone),
            description=f"Created by AWS-VMImport service for {row.id}",
            now=self._clock.time(),
        )
        source = {name: disk[name] for name in ("bucket", "key", "etag", "size_bytes", "format")}
        source.update({name: disk[name] for name in ("start", "length_bytes") if name in disk})
        await snapshots.set_values(tx, made.id, source={**source, "adapt": adapt})
        return str(made.id)

    async def _follow(self, tx: Tx, row: Row) -> bool:
        """As far as the snapshots are."""
        held = await snapshots.by_ids(tx, [disk["snapshot_id"] for disk in row.disks])
        rows = [held.get(disk["snapshot_id"]) for disk in row.disks]
        for one in rows:
            if one is None or one.state not in (snapshot_life.PENDING, snapshot_life.COMPLETED):
                why = one.fault if one is not None and one.fault else "The snapshot was deleted"
                whole = why if why.startswith("ClientError: ") else GIVEN_UP.format(why=why)
                return await self._give_up(tx, row, whole)
        there = [one for one in rows if one is not None]
        if all(one.state == snapshot_life.COMPLETED for one in there):
            return await self._finish(tx, row, there)
        percent = min(one.progress for one in there)
        stage = next(name for limit, name in _STAGES if percent < limit or limit == 100)
        message = import_images.message(stage) if row.kind == import_tasks.IMAGE else snapshot_message(stage)
        progress = max(row.progress, min(99, 5 + percent * 9 // 10))
        if (message, progress) == (row.message, row.progress):
            return False
        await import_tasks.set_values(tx, row.id, message=message, progress=progress)
        return True

    async def _finish(self, tx: Tx, row: Row, made: Sequence[Row]) -> bool:
        columns: dict[str, Any] = {"message": "", "progress": 100}
        if row.kind == import_tasks.IMAGE:
            columns["image_id"] = await import_images.register(tx, row, made, self._clock.time())
        log.info("import completed", extra={"data": {"task": row.id}})
        return await import_tasks.move(tx, row, "done", self._clock.time(), **columns)

    async def _give_up(self, tx: Tx, row: Row, why: str) -> bool:
        if not await import_tasks.move(tx, row, "failed", self._clock.time(), message=why):
            return False
        log.info("import failed", extra={"data": {"task": row.id, "reason": why}})
        return True

    async def _clean(self, tx: Tx, row: Row) -> bool:
        """Remove what the task had made; when that is gone, so is the task."""
        own = [disk["snapshot_id"] for disk in row.disks if disk.get("snapshot_id") and not disk.get("given")]
        left = await snapshots.by_ids(tx, own)
        if not left:
            return await import_tasks.move(tx, row, "gone", self._clock.time())
        doomed = [one for one in left.values() if one.state in snapshot_life.SHOWN]
        for one in doomed:
            await snapshots.move(tx, one, "delete", self._clock.time())
        if doomed:
            tx.on_commit(lambda: self._wake("storage_sync"))
        return bool(doomed)


def snapshot_message(stage: str) -> str:
    """An ImportSnapshot task's status message while a snapshot is in the stage."""
    return "downloading/converting" if stage in ("downloading", "converting") else "preparing snapshot"
