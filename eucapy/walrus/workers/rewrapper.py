"""The rewrapper: after a rotation, wraps the data keys of the old master keys with the new one. No object is read.

It has work only while the keyring holds more than one key. When a pass found nothing left, the old keys can be retired
(`eucapy walrus retire-keys`).
"""

from __future__ import annotations

import logging

import msgspec

from eucapy.database import Tx
from eucapy.errors import InternalError
from eucapy.walrus import encryption
from eucapy.walrus.context import Walrus
from eucapy.walrus.encryption import CUSTOMER, Envelope
from eucapy.walrus.store import walking
from eucapy.walrus.store.walking import At, AtUpload
from eucapy.walrus.workers.periodic import Periodic

log = logging.getLogger(__name__)

PAGE_ROWS = 100


class Wrapped(msgspec.Struct):
    """What a pass did: envelopes wrapped anew, and those that it could not open."""

    anew: int = 0
    failed: int = 0


class Rewrapper(Periodic):
    """One task."""

    def __init__(self, walrus: Walrus, period_s: float) -> None:
        super().__init__("rewrapper", period_s)
        self._walrus = walrus
        self.done = Wrapped()

    def status(self) -> Wrapped:
        return self.done

    async def run_once(self) -> Wrapped:
        """One pass over versions and open uploads."""
        self.done = done = Wrapped()
        if self._walrus.keyring.is_single:
            return done
        at = At()
        while page := await self._walrus.db.write(lambda tx, at=at: self._versions(tx, at, done)):  # type: ignore[misc]
            at = page
        upload: AtUpload | None = (0, b"", "")
        while upload is not None:
            upload = await self._walrus.db.write(lambda tx, upload=upload: self._uploads(tx, upload, done))  # type: ignore[misc]
        log.info("data keys are wrapped by the newest master key", extra={"data": msgspec.structs.asdict(done)})
        return done

    async def _versions(self, tx: Tx, at: At, done: Wrapped) -> At | None:
        page = await walking.all_versions(tx, at, PAGE_ROWS)
        for bucket_id, version in page:
            document = await self._anew(tx, bucket_id, version.key, version.sse, done)
            if document is not None and await walking.set_version_sse(tx, bucket_id, version, document):
                done.anew += 1
        return walking.behind(*page[-1]) if page else None

    async def _uploads(self, tx: Tx, at: AtUpload, done: Wrapped) -> AtUpload | None:
        page = await walking.all_uploads(tx, at, PAGE_ROWS)
        for bucket_id, upload in page:
            document = await self._anew(tx, bucket_id, upload.key, upload.sse, done)
            if document is not None and await walking.set_upload_sse(tx, bucket_id, upload, document):
                done.anew += 1
        return (page[-1][0], page[-1][1].key, page[-1][1].id) if page else None

    async def _anew(self, tx: Tx, bucket_id: int, key: bytes, document: str | None, done: Wrapped) -> str | None:
        """The envelope wrapped by the newest key; None where it is so already."""
        if document is None:
            return None
        said: Envelope = encryption.load(document)
        if said.kind == CUSTOMER or said.master == self._walrus.keyring.current:
            return None
        bucket = await walking.bucket_by_id(tx, bucket_id)
        if bucket is None:
            return None
        try:
            return encryption.wrap_anew(self._walrus, bucket, key, said)
        except InternalError:  # logged where it was found
            done.failed += 1
            return None
