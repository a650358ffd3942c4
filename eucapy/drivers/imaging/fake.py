"""The twin: a disk is a small file that says what it would be."""

from __future__ import annotations

import json
from pathlib import Path

from eucapy import diskimage, ledger
from eucapy.drivers.imaging.base import ImagingDriver


class FakeImaging(ImagingDriver):
    """Keeps the promises of the family without any disk content."""

    async def overlay(self, base: Path, base_format: str, path: Path, size_bytes: int) -> None:
        self._write(path, {"base": str(base), "base_format": base_format, "size_bytes": size_bytes})

    async def flatten(self, disk: Path, base: Path | None, base_format: str, path: Path) -> None:
        if not path.exists():
            ledger.write_file(path, diskimage.empty_qcow2(json.loads(disk.read_bytes())["size_bytes"]))

    async def empty(self, path: Path, size_bytes: int) -> None:
        self._write(path, {"size_bytes": size_bytes})

    def _write(self, path: Path, facts: dict[str, object]) -> None:
        if not path.exists():
            ledger.write_file(path, json.dumps(facts).encode())
