"""The node's image cache: each image once, whole, inspected, read-only; the longest unused leave first.

A file's name carries the object's ETag, so an image that was registered anew is another file. A fetch runs in the
background, one per image, and wakes the loop at its end; what is half fetched at a crash is removed at the next start.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from eucapy import ledger
from eucapy.diskimage import HEADER_BYTES, BadImage, ImageFacts, inspect
from eucapy.folders import ensure_folder
from eucapy.wire.node import ObjectSource
from eucapy.wire.objects import ObjectFetcher

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cached:
    """An image that is there."""

    path: Path
    facts: ImageFacts


class ImageCache:
    """The folder and the fetches under way."""

    def __init__(
        self,
        folder: Path,
        fetcher: ObjectFetcher,
        most_gib: int,
        wake: Callable[[], None],
        group_id: int | None = None,
    ) -> None:
        """Members of the group may read the images: guests' QEMU processes."""
        self._folder = folder
        self._fetcher = fetcher
        self._most_bytes = most_gib << 30
        self._wake = wake
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, Exception] = {}
        self._progress: dict[str, int] = {}
        self._held: dict[str, Cached] = {}
        ensure_folder(folder, group_id)
        for leftover in folder.glob(".*.part"):
            leftover.unlink()

    def path(self, name: str) -> Path:
        """The file of a cached image, by the name that a root disk's record has it under."""
        return self._folder / name

    def find(self, source: ObjectSource) -> Cached | None:
        """The image of that object, if it is here and whole."""
        name = _name(source)
        held = self._held.get(name)
        path = held.path if held is not None else self._folder / name
        if not os.path.exists(path):  # noqa: PTH110
            return None
        if held is None:
            try:
                held = self._held[name] = Cached(path, self._inspect(path, source))
            except (BadImage, OSError) as error:
                # It was whole when it came: a disk or a hand spoiled it since. It is fetched anew, and guests that stand on
                # it keep the file that they have open.
                log.error("cached image is damaged", extra={"data": {"image": name, "error": str(error)}})
                path.unlink(missing_ok=True)
                return None
        return held

    def touch(self, source: ObjectSource) -> None:
        """Note that the image is in use now."""
        os.utime(self._folder / _name(source))

    def fetch(self, source: ObjectSource) -> None:
        """Begin to fetch, unless it is there by now, or under way."""
        name = _name(source)
        if name not in self._tasks and self.find(source) is None:
            self._failures.pop(name, None)
            self._tasks[name] = asyncio.create_task(
                self._fetch(name, source), name=f"fetch {source.bucket}/{source.key}"
            )

    async def settle(self, source: ObjectSource, patience_s: float) -> None:
        """Wait a little for the fetch; small images are there before anyone asks again."""
        task = self._tasks.get(_name(source))
        if task is not None:
            await asyncio.wait([task], timeout=patience_s)

    def failure(self, source: ObjectSource) -> Exception | None:
        """Why the last fetch failed; forgotten when the next begins."""
        return self._failures.get(_name(source))

    def percent(self, source: ObjectSource) -> int | None:
        """How far a fetch under way has come."""
        name = _name(source)
        return 100 * self._progress.get(name, 0) // max(1, source.size_bytes) if name in self._tasks else None

    def names(self) -> list[str]:
        return sorted(path.name for path in self._folder.iterdir() if not path.name.startswith("."))

    def evict(self, bases: set[str]) -> list[str]:
        """Make room: remove the longest unused past the limit, never one of `bases` (overlays stand on them)."""
        files = sorted(
            (path for path in self._folder.iterdir() if not path.name.startswith(".")), key=lambda p: p.stat().st_mtime
        )
        used = sum(path.stat().st_blocks * 512 for path in files)
        removed: list[str] = []
        for path in files:
            if used <= self._most_bytes:
                break
            if path.name in bases:
                continue
            used -= path.stat().st_blocks * 512
            path.unlink()
            self._held.pop(path.name, None)
            removed.append(path.name)
        return removed

    async def stop(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _fetch(self, name: str, source: ObjectSource) -> None:
        part = self._folder / f".{name}.part"

        def progress(got: int) -> None:
            self._progress[name] = got

        try:
            await self._fetcher.fetch(source, part, progress)
            self._inspect(part, source)
            part.chmod(0o444)
            part.rename(self._folder / name)
            ledger.sync_folder(self._folder)
        except Exception as error:
            part.unlink(missing_ok=True)
            self._failures[name] = error
            log.warning("image not fetched", extra={"data": {"image": name, "error": str(error)}})
        finally:
            self._tasks.pop(name, None)
            self._progress.pop(name, None)
            self._wake()

    def _inspect(self, path: Path, source: ObjectSource) -> ImageFacts:
        """Raises BadImage: also when the object is not what its registration said."""
        with path.open("rb") as stream:
            head = stream.read(HEADER_BYTES)
        facts = inspect(head, path.stat().st_size, source.format)
        if facts.format != source.format:
            raise BadImage(f"registered as {source.format}, but it is {facts.format}")
        return facts


@lru_cache(4096)
def _name(source: ObjectSource) -> str:
    """A file name for the object as it was when it was registered; no user's text comes into it."""
    key = f"{source.bucket}/{source.key}/{source.etag}/{source.size_bytes}/{source.format}"
    return f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.{source.format}"
