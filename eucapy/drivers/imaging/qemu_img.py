"""The real one: qemu-img, qcow2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eucapy import diskimage, ledger
from eucapy.drivers.imaging.base import ImagingDriver, ImagingError, NoSpace
from eucapy.run import RunError, run

FLATTEN_LIMIT_S = 4 * 3600.0


class QemuImg(ImagingDriver):
    """Disks are qcow2 files; an overlay names its base by absolute path and format."""

    async def overlay(self, base: Path, base_format: str, path: Path, size_bytes: int) -> None:
        await self._create(path, size_bytes, "-F", base_format, "-b", str(base.absolute()))

    async def flatten(self, disk: Path, base: Path | None, base_format: str, path: Path) -> None:
        with disk.open("rb") as stream:
            diskimage.refuse_data_file(stream.read(diskimage.HEADER_BYTES))
        chain: dict[str, Any] = {"driver": "qcow2", "file": {"driver": "file", "filename": str(disk.absolute())}}
        chain["backing"] = None
        if base is not None:
            chain["backing"] = {
                "driver": base_format,
                "file": {"driver": "file", "filename": str(base.absolute())},
                **({"backing": None} if base_format == "qcow2" else {}),
            }
        source = f"json:{json.dumps(chain)}"
        await self._make(path, "convert", "-O", "qcow2", "-m", "4", "-W", source, limit_s=FLATTEN_LIMIT_S)

    async def empty(self, path: Path, size_bytes: int) -> None:
        await self._create(path, size_bytes)

    async def _create(self, path: Path, size_bytes: int, *options: str) -> None:
        await self._make(path, "create", "-q", "-f", "qcow2", *options, size=(str(size_bytes),))

    async def _make(self, path: Path, *command: str, size: tuple[str, ...] = (), limit_s: float = 60.0) -> None:
        if path.exists():
            return
        beside = path.with_name(f".{path.name}.new")
        beside.unlink(missing_ok=True)
        try:
            await run("qemu-img", *command, str(beside), *size, timeout_s=limit_s)
            ledger.sync_file(beside)
        except RunError as error:
            beside.unlink(missing_ok=True)
            kind = NoSpace if "No space left" in error.stderr else ImagingError
            raise kind(error.stderr.strip() or str(error)) from error
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        beside.rename(path)
        ledger.sync_folder(path.parent)
