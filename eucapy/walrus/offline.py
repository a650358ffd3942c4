"""A store opened beside its server, or without one: reading everything, counting what is stored and what old
master keys still hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from eucapy.clock import Clock, SystemClock
from eucapy.drivers.blob import loader
from eucapy.walrus import encryption
from eucapy.walrus.config import Config
from eucapy.walrus.context import Walrus
from eucapy.walrus.encryption import CUSTOMER
from eucapy.walrus.keyring import Keyring
from eucapy.walrus.store import engine, walking
from eucapy.walrus.store.usage import Usage, by_bucket
from eucapy.walrus.store.walking import At, AtUpload
from eucapy.walrus.upkeep import DATABASE, UpkeepError
from eucapy.walrus.workers.collector import Collector
from eucapy.walrus.workers.scrubber import Found, Scrubber

PAGE_ROWS = 500
UNLIMITED = 1e15


@asynccontextmanager
async def _opened(config: Config, key_file: Path, clock: Clock) -> AsyncIterator[Walrus]:
    data = Path(config.data)
    if not config.database and not (data / DATABASE).exists():
        raise UpkeepError(f"there is no store in {data}")
    blobs = loader.load(config.blob_driver, data / "blobs")
    # Not started: that would clear away what a server beside us is writing.
    db = engine.open_store(config.database or f"sqlite:///{data.absolute()}/{DATABASE}")
    try:
        collector = Collector(db, blobs, clock, config.sweep_s, config.sweep_grace_s)
        yield Walrus(db, blobs, collector, clock, config.region, config.inline_kib << 10, Keyring.ensure(key_file))
    finally:
        await db.close()


async def verify(config: Config, key_file: Path, place_file: Path, clock: Clock) -> Found:
    """Read everything once, as fast as it goes; nothing is changed. Raises UpkeepError."""
    async with _opened(config, key_file, clock) as walrus:
        return await Scrubber(walrus, place_file, 1.0, UNLIMITED).run_once()


async def usage(config: Config, key_file: Path) -> Sequence[Usage]:
    """What every bucket holds, at one moment. Raises UpkeepError."""
    async with _opened(config, key_file, SystemClock()) as walrus:
        return await walrus.db.read(by_bucket)


async def count_old_envelopes(config: Config, key_file: Path) -> int:
    """How many versions and uploads have a data key that another than the newest master key wraps. Raises UpkeepError."""
    old = 0
    async with _opened(config, key_file, SystemClock()) as walrus:
        current = walrus.keyring.current
        at = At()
        while page := await walrus.db.read(lambda tx, at=at: walking.all_versions(tx, at, PAGE_ROWS)):  # type: ignore[misc]
            old += sum(_is_old(version.sse, current) for _, version in page)
            at = walking.behind(*page[-1])
        place: AtUpload = (0, b"", "")
        while rows := await walrus.db.read(lambda tx, place=place: walking.all_uploads(tx, place, PAGE_ROWS)):  # type: ignore[misc]
            old += sum(_is_old(upload.sse, current) for _, upload in rows)
            place = (rows[-1][0], rows[-1][1].key, rows[-1][1].id)
    return old


def _is_old(document: str | None, current: str) -> bool:
    if document is None:
        return False
    said = encryption.load(document)
    return said.kind != CUSTOMER and said.master != current
