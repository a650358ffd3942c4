"""Does one step of a plan. No choices are left here: a step is one verb of the driver, after a download where an image is
imported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from eucapy.drivers.block.base import BlockDriver
from eucapy.sc.planner import (
    CreateVolume,
    Export,
    GrowVolume,
    ImportSnapshot,
    RemoveSnapshot,
    RemoveVolume,
    Step,
    TakeSnapshot,
    Unexport,
)
from eucapy.sc.transfer import Transfer
from eucapy.wire.node import NodeSource, ObjectSource


class Executor:
    """Steps, done with a driver. `folder` holds what is being downloaded, and nothing else."""

    def __init__(self, driver: BlockDriver, transfer: Transfer, folder: Path) -> None:
        self._driver = driver
        self._transfer = transfer
        self._folder = folder

    def open(self) -> None:
        """Remove what an earlier life was downloading."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in self._folder.iterdir():
            leftover.unlink()

    async def apply(self, step: Step, progress: Callable[[int], None]) -> None:
        """Returns when the step's effect is durable. Raises BlockError, TransferError, RunError, OSError."""
        driver = self._driver
        match step:
            case CreateVolume(volume_id, size_gib, snapshot_id):
                await driver.ensure_volume(volume_id, size_gib, snapshot_id)
            case GrowVolume(volume_id, size_gib):
                await driver.grow(volume_id, size_gib)
            case RemoveVolume(volume_id):
                await driver.remove_volume(volume_id)
            case Export(volume_id, attachment_id, node):
                await driver.ensure_export(volume_id, attachment_id, node)
            case Unexport(volume_id, attachment_id):
                await driver.remove_export(volume_id, attachment_id)
            case TakeSnapshot(snapshot_id, volume_id):
                await driver.ensure_snapshot(snapshot_id, volume_id)
            case RemoveSnapshot(snapshot_id):
                await driver.remove_snapshot(snapshot_id)
            case ImportSnapshot():
                await self._import(step, progress)
            case _:
                assert_never(step)

    async def _import(self, step: ImportSnapshot, progress: Callable[[int], None]) -> None:
        image = self._folder / step.snapshot_id
        try:
            await self._transfer.fetch(step.source, image, progress)
            await self._driver.import_snapshot(step.snapshot_id, image, _format(step.source), step.size_gib)
        finally:
            image.unlink(missing_ok=True)


def _format(source: ObjectSource | NodeSource) -> str:
    """A node makes its captures itself, and always in the same format."""
    return source.format if isinstance(source, ObjectSource) else "qcow2"
