"""A folder of finished builds, each under a key made of everything that went into it.

The same inputs give the same key, and a build that is there is used as it is; a changed file, package or option gives
another key. Builds appear whole or not at all (made aside, then renamed), and two builders of the same key wait for
each other, also across processes.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path


def content_key(*parts: str | bytes, files: Iterable[Path] = ()) -> str:
    """A short key of the given strings and of the contents (not the names or times) of `files`."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    for path in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:20]


class BuildCache:
    """Builds in `root`, as `<name>-<key>/`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str, key: str) -> Path:
        """Where the build is, or will be."""
        return self.root / f"{name}-{key}"

    async def get(self, name: str, key: str, build: Callable[[Path], Awaitable[None]]) -> Path:
        """The folder of the build `name` for `key`; when it is not there, `build(empty folder)` makes it.

        What `build` raises is raised here, and leaves nothing behind.
        """
        final = self.path(name, key)
        if final.is_dir():
            return final
        self.root.mkdir(parents=True, exist_ok=True)
        lock = (self.root / f".{name}-{key}.lock").open("w")
        try:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            if not final.is_dir():
                await self._make(name, final, build)
        finally:
            lock.close()  # which unlocks
        return final

    def prune(self, name: str, keep: int = 1) -> list[Path]:
        """Remove all but the `keep` newest builds of `name`; the removed paths."""
        if not self.root.is_dir():
            return []
        builds = [path for path in self.root.iterdir() if path.is_dir() and path.name.rpartition("-")[0] == name]
        builds.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in builds[keep:]:
            shutil.rmtree(path)
        return builds[keep:]

    async def _make(self, name: str, final: Path, build: Callable[[Path], Awaitable[None]]) -> None:
        aside = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=self.root))
        try:
            await build(aside)
            aside.chmod(0o755)
            aside.rename(final)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise


def copy_sparse(source: Path, target: Path, *, offset: int = 0, block: int = 1 << 20) -> None:
    """Copy `source` into the existing file `target` at `offset` bytes, leaving holes where the source is all zeros."""
    zeros = bytes(block)
    with source.open("rb") as reader, target.open("r+b") as writer:
        position = offset
        while data := reader.read(block):
            if data != zeros[: len(data)]:
                os.pwrite(writer.fileno(), data, position)
            position += len(data)
