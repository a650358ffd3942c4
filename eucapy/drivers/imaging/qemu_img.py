"""The real one: qemu-img, qcow2."""

from __future__ import annotations

import os
from pathlib import Path

from eucapy import ledger
from eucapy.drivers.imaging.base import ImagingDriver, ImagingError, NoSpace
from eucapy.run import RunError, run


class QemuImg(ImagingDriver):
    """Disks are qcow2 files; an overlay names its base by absolute path and format."""

    async def overlay(self, base: Path, base_format: str, path: Path, size_bytes: int) -> None:
        await self._create(path, size_bytes, "-F", base_format, "-b", str(base.absolute()))

    async def empty(self, path: Path, size_bytes: int) -> None:
        await self._create(path, size_bytes)

    async def _create(self, path: Path, size_bytes: int, *options: str) -> None:
        if path.exists():
            return
        beside = path.with_name(f".{path.name}.new")
        beside.unlink(missing_ok=True)
        try:
            await run("qemu-img", "create", "-q", "-f", "qcow2", *options, str(beside), str(size_bytes))
        except RunError as error:
            beside.unlink(missing_ok=True)
            kind = NoSpace if "No space left" in error.stderr else ImagingError
            raise kind(error.stderr.strip() or str(error)) from error
        fd = os.open(beside, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        beside.rename(path)
        ledger.sync_folder(path.parent)
