"""The inventory worker: once a day or a week, a list of what is in a bucket, as objects of another one.

    <prefix>/<source>/<id>/data/<unique>.csv.gz               a line a version, the newest first within a key
    <prefix>/<source>/<id>/<2026-01-01T00-00Z>/manifest.json  which files, which columns; manifest.checksum: its MD5

The list is of one moment per page, not of one moment: as AWS says of its own, it is eventually consistent. It is gathered in
a file without a name and sent through the same path as any PutObject, by the owner of the source; what the target's policy
forbids is not delivered, and tried again at the next pass. Memory: one page. Configurations: `s3/inventory.py`.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import msgspec

from eucapy.aws.message import Incoming
from eucapy.aws.timestamps import milliseconds
from eucapy.database import Tx
from eucapy.errors import ApiError
from eucapy.walrus import encryption, locks
from eucapy.walrus.context import Call, Walrus
from eucapy.walrus.identity import Principal
from eucapy.walrus.receiving import InMemory, Source
from eucapy.walrus.s3 import objects as puts
from eucapy.walrus.s3.inventory import ALL, ARN, SETTING
from eucapy.walrus.s3.named import load
from eucapy.walrus.store import buckets, content, listings
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version
from eucapy.walrus.workers.periodic import Periodic

log = logging.getLogger(__name__)

PAGE_ROWS = 500
PAGE_BUCKETS = 100
RUNS = "inventory-runs"
"""The setting that remembers when each configuration's report was made last."""
PERIOD_S = {"Daily": 86_400, "Weekly": 7 * 86_400}
_ENCRYPTION = {encryption.S3: "SSE-S3", encryption.KMS: "SSE-KMS", encryption.CUSTOMER: "SSE-C"}


class InventoryWorker(Periodic):
    """One task. `folder`: where the lists are gathered."""

    def __init__(self, walrus: Walrus, folder: Path, period_s: float) -> None:
        super().__init__("inventory", period_s)
        self._walrus = walrus
        self._folder = folder
        self.reports = 0

    def status(self) -> dict[str, int]:
        return {"reports": self.reports}

    async def run_once(self) -> int:
        """Make every report that is due; how many were delivered."""
        delivered, after = 0, 0
        while page := await self._walrus.db.read(
            lambda tx, after=after: buckets.with_setting(tx, SETTING, after, PAGE_BUCKETS)  # type: ignore[misc]
        ):
            for bucket, document in page:
                for configuration in load(document).values():
                    delivered += await self._report_if_due(bucket, configuration)
            after = page[-1][0].id
        self.reports += delivered
        return delivered

    async def _report_if_due(self, bucket: Bucket, configuration: Mapping[str, Any]) -> bool:
        now = self._walrus.clock.time()
        runs = await self._walrus.db.read(lambda tx: _runs(tx, bucket))
        last = runs.get(configuration["Id"], 0.0)
        if not configuration["IsEnabled"] or now < last + PERIOD_S[configuration["Schedule"]["Frequency"]]:
            return False
        try:
            await self._report(bucket, configuration, now)
        except ApiError as error:
            said = {"bucket": bucket.name, "id": configuration["Id"], "error": error.code}
            log.warning("an inventory is not delivered", extra={"data": said})
            return False

        async def remember(tx: Tx) -> None:
            again = await _runs(tx, bucket)
            document = msgspec.json.encode(again | {configuration["Id"]: now}).decode()
            await buckets.set_setting(tx, bucket, RUNS, document)

        await self._walrus.db.write(remember)
        return True

    async def _report(self, bucket: Bucket, configuration: Mapping[str, Any], now: float) -> None:
        place = configuration["Destination"]["S3BucketDestination"]
        columns = columns_of(configuration)
        stem = "/".join(filter(None, (place.get("Prefix"), bucket.name, configuration["Id"])))
        data_key = f"{stem}/data/{os.urandom(16).hex()}.csv.gz"
        with tempfile.TemporaryFile(dir=self._folder) as file:
            await self._gather(bucket, configuration, columns, file)
            md5 = hashlib.md5(usedforsecurity=False)
            file.seek(0)
            while piece := file.read(1 << 20):
                md5.update(piece)
            size = file.tell()
            file.seek(0)
            await self._put(bucket, place, data_key, _FileSource(file, size))
        manifest = {
            "sourceBucket": bucket.name,
            "destinationBucket": place["Bucket"],
            "version": "2016-11-30",
            "creationTimestamp": str(int(now * 1000)),
            "fileFormat": "CSV",
            "fileSchema": ", ".join(columns),
            "files": [{"key": data_key, "size": size, "MD5checksum": md5.hexdigest()}],
        }
        text = msgspec.json.format(msgspec.json.encode(manifest))
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H-%MZ")
        await self._put(bucket, place, f"{stem}/{moment}/manifest.json", InMemory(text))
        checksum = hashlib.md5(text, usedforsecurity=False).hexdigest().encode()
        await self._put(bucket, place, f"{stem}/{moment}/manifest.checksum", InMemory(checksum))

    async def _gather(
        self, bucket: Bucket, configuration: Mapping[str, Any], columns: list[str], file: IO[bytes]
    ) -> None:
        prefix = ((configuration.get("Filter") or {}).get("Prefix") or "").encode("utf-8", "surrogateescape")
        with_all = configuration["IncludedObjectVersions"] == ALL
        after: Version | None = None
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed, io.TextIOWrapper(packed, "utf-8") as text:
            writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
            while True:
                first, place = (b"", None) if after is None else (after.key, listings.place_of(after))
                page = await self._walrus.db.read(
                    lambda tx, first=first, place=place: listings.history(  # type: ignore[misc]
                        tx, bucket.id, prefix, b"", first, place, PAGE_ROWS
                    )
                )
                for row in page.rows:
                    is_newest = after is None or after.key != row.key
                    after = row
                    if with_all or row.current:
                        known = describe(bucket, row, is_newest)
                        writer.writerow([known[name] for name in columns])
                if page.last is None:
                    return

    async def _put(self, bucket: Bucket, place: Mapping[str, Any], key: str, source: Source) -> None:
        """As any PutObject, by the source's owner. Raises what that raises."""
        target = place["Bucket"].removeprefix(ARN)
        p: dict[str, Any] = {"Bucket": target, "Key": key}
        if (place.get("Encryption") or {}).get("SSES3") is not None:
            p["ServerSideEncryption"] = encryption.S3
        principal = Principal(bucket.account, bucket.owner, f"arn:aws:iam::{bucket.account}:root")
        now = self._walrus.clock.time()
        incoming = Incoming("PUT", f"/{target}/{key}", "", {}, remote="127.0.0.1", now=now)
        await puts.put(Call(self._walrus, principal, incoming, "PutObject", p), p, source)


async def _runs(tx: Tx, bucket: Bucket) -> dict[str, float]:
    document = await buckets.setting(tx, bucket, RUNS)
    return msgspec.json.decode(document, type=dict[str, float]) if document else {}


def columns_of(configuration: Mapping[str, Any]) -> list[str]:
    """The columns of a report, in AWS's order."""
    versions = ["VersionId", "IsLatest", "IsDeleteMarker"] if configuration["IncludedObjectVersions"] == ALL else []
    return ["Bucket", "Key", *versions, *(configuration.get("OptionalFields") or ())]


def describe(bucket: Bucket, row: Version, is_newest: bool) -> dict[str, str]:
    """Everything that a line may say of a version; keys are percent-encoded."""
    lock = locks.load(row.lock)
    said = encryption.load(row.sse) if row.sse is not None else None
    live = not row.marker
    return {
        "Bucket": bucket.name,
        "Key": quote(row.key, safe="/"),
        "VersionId": "" if row.version_id == "null" else row.version_id,
        "IsLatest": _flag(is_newest),
        "IsDeleteMarker": _flag(bool(row.marker)),
        "Size": str(row.size) if live else "",
        "LastModifiedDate": milliseconds(row.modified_ms / 1000),
        "ETag": row.etag,
        "StorageClass": (row.storage_class or "STANDARD") if live else "",
        "IsMultipartUploaded": _flag(row.place == content.PARTS) if live else "",
        "ReplicationStatus": row.replication or "",
        "EncryptionStatus": (_ENCRYPTION[said.kind] if said is not None else "NOT-SSE") if live else "",
        "BucketKeyStatus": ("ENABLED" if said is not None and said.bucket_key else "DISABLED") if live else "",
        "ObjectLockMode": lock.mode or "",
        "ObjectLockRetainUntilDate": milliseconds(lock.until_ms / 1000) if lock.mode is not None else "",
        "ObjectLockLegalHoldStatus": lock.hold or "",
        "IntelligentTieringAccessTier": "",
        "ChecksumAlgorithm": row.checksum.split(" ")[0] if row.checksum else "",
        "ObjectOwner": (row.owner or bucket.owner) if live else "",
    }


def _flag(value: bool) -> str:
    return "true" if value else "false"


class _FileSource:
    """A file as the source of a write (`receiving.Source`)."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.length: int | None = size
        self._file = file

    async def read(self, size: int = -1) -> bytes:
        return self._file.read(size if size > 0 else 1 << 20)

    @property
    def trailers(self) -> Mapping[str, str]:
        return {}
