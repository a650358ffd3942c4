"""The loop `images`: looks at what lies behind new images.

An image of an object is `available` when the object is there, belongs to the image's owner, and is a disk image that
stands alone (`eucapy/diskimage.py`); else it is `failed`, with the reason. What was found (ETag, size, format) is written
into the image, so that a node notices when the object is replaced later. An image of a snapshot that is still being taken
follows the snapshot.
"""

from __future__ import annotations

import logging
from functools import partial

from eucapy import diskimage
from eucapy.clc.objects import Objects
from eucapy.clc.store import accounts, images, snapshots
from eucapy.clc.store.advance import advance
from eucapy.database import Database, Row, Tx
from eucapy.lifecycle import image as life
from eucapy.lifecycle import snapshot as snapshot_life
from eucapy.lifecycle.image import IMAGE
from eucapy.wire.contract import Unreachable

log = logging.getLogger(__name__)

GIB = 1 << 30
REFUSED = "Client.InvalidImage"
_NEVER = (snapshot_life.ERROR, snapshot_life.DELETING)
MISSING = "Client.InvalidImageLocation"


class Images:
    """Callable as the loop's activation."""

    def __init__(self, database: Database, objects: Objects) -> None:
        self._database, self._objects = database, objects

    async def __call__(self) -> bool:
        waiting = await self._database.read(lambda tx: images.in_state(tx, life.PENDING))
        changed = False
        for row in waiting:
            try:
                changed = await self._one(row) or changed
            except Exception:
                # One image that cannot be looked at never keeps the others.
                log.exception("image not looked at", extra={"data": {"image": row.id}})
        return changed

    async def _one(self, row: Row) -> bool:
        if row.source["kind"] == "object":
            return await self._object(row)
        return await self._database.write(partial(self._snapshot, row=row))

    async def _object(self, row: Row) -> bool:
        """One image of an object. The store is asked outside of any transaction."""
        bucket, key = row.source["bucket"], row.source["key"]
        try:
            look = await self._objects.look(bucket, key)
        except Unreachable as error:
            log.info("object store silent", extra={"data": {"image": row.id, "error": str(error)}})
            return False
        owner = await self._database.read(lambda tx: accounts.by_id(tx, row.account))
        if look is None or owner is None or look.owner != owner.canonical_id:
            return await self._fail(row, MISSING, f"The object {bucket}/{key} does not exist or cannot be read by you")
        try:
            facts = diskimage.inspect(look.head, look.size_bytes, row.source.get("format", ""))
        except diskimage.BadImage as error:
            return await self._fail(row, REFUSED, str(error))
        source = {**row.source, "etag": look.etag, "size_bytes": look.size_bytes, "format": facts.format}
        size_gib = -(-facts.virtual_bytes // GIB)
        return await self._database.write(lambda tx: self._ready(tx, row, source=source, root_size_gib=size_gib))

    async def _snapshot(self, tx: Tx, row: Row) -> bool:
        snapshot = await snapshots.shown(tx, row.source["snapshot_id"])
        others = await snapshots.of_capture(tx, row.id)
        failed = next((one for one in others if one.state in _NEVER), None)
        if snapshot is None or snapshot.state == snapshot_life.ERROR or failed is not None:
            lost = failed if failed is not None else snapshot
            why = f"The snapshot {row.source['snapshot_id'] if lost is None else lost.id} could not be made"
            if lost is not None and lost.fault:
                why += f": {lost.fault}"
            return (
                await advance(tx, IMAGE, row, "failed", reason_code=REFUSED, reason=f"{REFUSED}: {why}"[:255])
                is not None
            )
        completed = all(one.state == snapshot_life.COMPLETED for one in (snapshot, *others))
        return completed and await self._ready(tx, row)

    async def _ready(self, tx: Tx, row: Row, **columns: object) -> bool:
        return await advance(tx, IMAGE, row, "ready", **columns) is not None

    async def _fail(self, row: Row, code: str, why: str) -> bool:
        reason = f"{code}: {why}"[:255]

        async def work(tx: Tx) -> bool:
            return await advance(tx, IMAGE, row, "failed", reason_code=code, reason=reason) is not None

        return await self._database.write(work)
