"""The scrubber: reads everything that is kept, slowly and for ever, and says what is no longer what was written.

    versions ─► inline bytes against their checksum or seal; blobs against the checksums that they carry
    parts ────► their blobs
    rot or a missing blob ─► an error in the log that names object and blob; counted in `found`, which /internal/status shows

It repairs nothing: a copy from before is the owner's to choose (ids never change: the file of a blob can be put back). Its
place is kept in a file, so that a restart does not send it back to the beginning. Rate: `scrub_mib_s`, on the average.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from eucapy.database import Database, Tx
from eucapy.drivers.blob.base import BlobDamaged, BlobDriver, BlobMissing
from eucapy.errors import InternalError
from eucapy.walrus import checksums, encryption
from eucapy.walrus.context import Walrus
from eucapy.walrus.sealing import Tampered, unseal
from eucapy.walrus.store import content, objects, uploads, walking
from eucapy.walrus.store.objects import Version
from eucapy.walrus.store.uploads import Part
from eucapy.walrus.store.walking import At, AtPart
from eucapy.walrus.workers.periodic import Periodic

log = logging.getLogger(__name__)

PAGE_ROWS = 100
DELAY_S = 600.0
"""After the start: a store that comes up has other things to do."""
MOST_NAMED = 100
"""So many faults are named in the status; all of them in the log."""


class Fault(msgspec.Struct, frozen=True):
    """Something that is not what was written. `what`: missing, damaged or unreadable."""

    what: str
    bucket: str
    key: str
    version_id: str
    content: str


class Found(msgspec.Struct):
    """What a pass has looked at so far, and what it found."""

    objects: int = 0
    parts: int = 0
    bytes: int = 0
    faults: int = 0
    named: list[Fault] = []
    is_complete: bool = False


class Place(msgspec.Struct):
    """How far the pass is."""

    versions: At = At()
    parts: AtPart = AtPart()


class Scrubber(Periodic):
    """One task. `period_s` from the end of a pass to the next; `bytes_per_s`: how much is read, on the average."""

    def __init__(self, walrus: Walrus, place_file: Path, period_s: float, bytes_per_s: float) -> None:
        super().__init__("scrubber", period_s, DELAY_S)
        self._walrus = walrus
        self._file = place_file
        self._bytes_per_s = bytes_per_s
        self.found = Found()
        """Of the pass under way, or of the last one."""

    def status(self) -> Found:
        return self.found

    @property
    def _db(self) -> Database:
        return self._walrus.db

    @property
    def _blobs(self) -> BlobDriver:
        return self._walrus.blobs

    async def run_once(self) -> Found:
        """One pass, from where the last one was left off."""
        place = self._read_place()
        self.found = found = Found()
        while page := await self._db.read(lambda tx: walking.all_versions(tx, place.versions, PAGE_ROWS)):
            for bucket_id, version in page:
                await self._look_at_version(bucket_id, version)
            place.versions = walking.behind(*page[-1])
            self._keep(place)
            await asyncio.sleep(0)
        while rows := await self._db.read(lambda tx: walking.all_parts(tx, place.parts, PAGE_ROWS)):
            for upload_id, part in rows:
                await self._look_at_part(upload_id, part)
            place.parts = AtPart(rows[-1][0], rows[-1][1].number)
            self._keep(place)
        found.is_complete = True
        self._keep(Place())
        said = {"objects": found.objects, "parts": found.parts, "bytes": found.bytes, "faults": found.faults}
        log.log(logging.ERROR if found.faults else logging.INFO, "everything was read", extra={"data": said})
        return found

    async def _look_at_version(self, bucket_id: int, version: Version) -> None:
        if version.marker:
            return
        self.found.objects += 1
        if version.place == content.INLINE:
            await self._look_inline(bucket_id, version)
        elif version.place == content.BLOB and version.content is not None:

            async def still(tx: Tx) -> bool:
                now = await objects.by_version(tx, bucket_id, version.key, version.version_id)
                return now is not None and now.content == version.content

            what = await self._read_blob(version.content, still)
            if what is not None:
                await self._report(what, bucket_id, version, version.content)

    async def _look_inline(self, bucket_id: int, version: Version) -> None:
        async def look(tx: Tx) -> tuple[Version | None, bytes | None]:
            now = await objects.by_version(tx, bucket_id, version.key, version.version_id)
            if now is None or now.content != version.content or now.content is None:
                return None, None
            return now, await content.inline(tx, now.content)

        now, data = await self._db.read(look)
        if now is None:
            return
        if data is None:
            await self._report("missing", bucket_id, now, "beside the metadata")
            return
        await self._pay(len(data))
        if not await self._is_whole(bucket_id, now, data):
            await self._report("damaged", bucket_id, now, "beside the metadata")

    async def _is_whole(self, bucket_id: int, version: Version, data: bytes) -> bool:
        if version.sse is not None:
            said = encryption.load(version.sse)
            bucket = await self._db.read(lambda tx: walking.bucket_by_id(tx, bucket_id))
            if said.kind == encryption.CUSTOMER or bucket is None:
                return True  # only its owner can tell
            try:
                data = unseal(encryption.open_stored(self._walrus, bucket, version.key, said), data)
            except (Tampered, InternalError):
                return False
        if len(data) != version.size:
            return False
        algorithm, kind, value = (version.checksum or "  ").split(" ")
        if kind != checksums.FULL_OBJECT:
            return True
        running = checksums.running(algorithm)
        running.update(data)
        return checksums.encode(running.digest()) == value

    async def _look_at_part(self, upload_id: str, part: Part) -> None:
        self.found.parts += 1
        if part.place != content.BLOB or part.content is None:
            return

        async def still(tx: Tx) -> bool:
            return any(now.content == part.content for now in await uploads.page(tx, upload_id, part.number - 1, 1))

        what = await self._read_blob(part.content, still)
        if what is not None:
            self._say(Fault(what, "", f"part {part.number} of upload {upload_id}", "", part.content))

    async def _read_blob(self, blob_id: str, still: Callable[[Tx], Awaitable[bool]]) -> str | None:
        """What is wrong with a blob, None for nothing. `still`: whether the metadata refers to it at all by now."""
        try:
            await self._pay(await self._blobs.verify(blob_id))
        except BlobMissing:
            return "missing" if await self._db.read(still) else None
        except BlobDamaged:
            return "damaged"
        except OSError as error:
            log.error("a blob cannot be read", extra={"data": {"blob": blob_id, "reason": str(error)}})
            return "unreadable"
        return None

    async def _pay(self, count: int) -> None:
        """Rest for what was read."""
        self.found.bytes += count
        await asyncio.sleep(count / self._bytes_per_s)

    async def _report(self, what: str, bucket_id: int, version: Version, where: str) -> None:
        bucket = await self._db.read(lambda tx: walking.bucket_by_id(tx, bucket_id))
        name = str(bucket_id) if bucket is None else bucket.name
        self._say(Fault(what, name, version.key.decode("utf-8", "replace"), version.version_id, where))

    def _say(self, fault: Fault) -> None:
        self.found.faults += 1
        if len(self.found.named) < MOST_NAMED:
            self.found.named.append(fault)
        log.error("an object is %s", fault.what, extra={"data": msgspec.structs.asdict(fault)})

    def _read_place(self) -> Place:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Place)
        except (FileNotFoundError, msgspec.DecodeError):
            return Place()

    def _keep(self, place: Place) -> None:
        # Not synced: what is lost with the power is a little way that is gone a second time.
        self._file.write_bytes(msgspec.json.encode(place))
