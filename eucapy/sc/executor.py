"""Does one step of a plan. No choices are left here: a step is one verb of the driver; a disk image that is imported is
downloaded and converted before, one that is exported is converted and uploaded after.

A disk image of a user's goes through the converter (`drivers/imaging/conversion.py`), which takes it for hostile; what comes
out, made able to run here where that is wanted, and what our own nodes captured, is given to the block driver.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol, assert_never

from eucapy.drivers.block.base import BlockDriver, BlockError, NoSpace, UnusableImage
from eucapy.drivers.imaging import base as imaging
from eucapy.drivers.imaging.conversion import Converter, Disk
from eucapy.drivers.imaging.headers import Unusable
from eucapy.run import RunError, run
from eucapy.sc.archives import Archives
from eucapy.sc.planner import (
    CopySnapshot,
    CreateVolume,
    Export,
    ForgetSnapshot,
    ForgetUpload,
    GrowVolume,
    ImportSnapshot,
    KeepSnapshot,
    LookIntoArchive,
    RemoveSnapshot,
    RemoveVolume,
    RestoreSnapshot,
    SealSnapshot,
    SetPace,
    Step,
    TakeSnapshot,
    Unexport,
    Upload,
)
from eucapy.sc.transfer import Transfer, TransferError
from eucapy.sc.uploads import Uploads
from eucapy.wire.node import NodeSource, ObjectSource
from eucapy.wire.storage import UploadSpec

DOWNLOADING, CONVERTING, UPDATING, STORING, UPLOADING = "downloading", "converting", "updating", "storing", "uploading"
_DOWNLOADED, _CONVERTED, _UPDATED = 50, 85, 90
"""Percents of an import at which its stages end."""
PACKING_LIMIT_S = 6 * 3600.0
_WRITTEN_OUT, _WRITTEN = 20, 50
"""The same of an upload."""


class Told(Protocol):
    """Hears how a step goes: percents, and the stage where it has several."""

    def __call__(self, percent: int, stage: str = "") -> None: ...


class Executor:
    """Steps, done with a driver. `folder` holds what is being downloaded and converted, and nothing else; without `archives`
    snapshots are in the pool alone."""

    def __init__(
        self,
        driver: BlockDriver,
        transfer: Transfer,
        converter: Converter,
        uploads: Uploads,
        folder: Path,
        archives: Archives | None = None,
    ) -> None:
        self.uploads = uploads
        self.archives = archives
        self._driver = driver
        self._transfer = transfer
        self._converter = converter
        self._folder = folder

    def open(self) -> None:
        """Remove what an earlier life was downloading; know what it had uploaded."""
        self.uploads.open()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in self._folder.iterdir():
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()

    async def apply(self, step: Step, progress: Told) -> None:
        """Returns when the step's effect is durable. Raises BlockError, TransferError, RunError, OSError."""
        driver = self._driver
        match step:
            case CreateVolume(volume_id, size_gib, snapshot_id):
                await driver.ensure_volume(volume_id, size_gib, snapshot_id)
            case GrowVolume(volume_id, size_gib):
                await driver.grow(volume_id, size_gib)
            case SetPace(volume_id, pace):
                await driver.set_pace(volume_id, pace)
            case RemoveVolume(volume_id):
                await driver.remove_volume(volume_id)
            case Export(volume_id, attachment_id, node):
                await driver.ensure_export(volume_id, attachment_id, node)
            case Unexport(volume_id, attachment_id):
                await driver.remove_export(volume_id, attachment_id)
            case TakeSnapshot(snapshot_id, volume_id):
                await driver.ensure_snapshot(snapshot_id, volume_id)
            case CopySnapshot(snapshot_id, source_id):
                await driver.copy_snapshot(snapshot_id, source_id)
            case SealSnapshot(snapshot_id, size_gib, written):
                await driver.seal_snapshot(snapshot_id, size_gib, written.parent, written.blocks, written.checksum)
            case RemoveSnapshot(snapshot_id):
                await driver.remove_snapshot(snapshot_id)
            case ImportSnapshot():
                await self._import(step, progress)
            case LookIntoArchive() | KeepSnapshot() | ForgetSnapshot() | RestoreSnapshot():
                if self.archives is None:
                    raise TransferError("NoArchive", "this storage controller has no archive to read", final=True)
                await _archived(step, self.archives, progress)
            case Upload(spec):
                await self._upload(spec, progress)
            case ForgetUpload(task_id):
                self.uploads.forget(task_id)
            case _:
                assert_never(step)

    async def _import(self, step: ImportSnapshot, told: Told) -> None:
        work = self._folder / step.snapshot_id
        work.mkdir(mode=0o700, exist_ok=True)
        try:
            disk = await self._disk(step.source, work, told)
            told(_UPDATED, STORING)
            await self._driver.import_snapshot(step.snapshot_id, disk.path, disk.format, step.size_gib)
        finally:
            shutil.rmtree(work)

    async def _upload(self, spec: UploadSpec, told: Told) -> None:
        work = self._folder / spec.task_id
        work.mkdir(mode=0o700, exist_ok=True)
        try:
            told(0, CONVERTING)
            await self._driver.write_out(spec.snapshot_id, work / "disk")
            told(_WRITTEN_OUT, CONVERTING)
            disk = Disk(work / "disk", "raw", (work / "disk").stat().st_size)
            file = await self._written(disk, spec.format, work / "file", told)
            if spec.description:
                file = await _packed(spec, file, work)

            def sent(percent: int) -> None:
                told(_WRITTEN + percent * (100 - _WRITTEN) // 100, UPLOADING)

            await self.uploads.send(spec, file, sent)
        finally:
            shutil.rmtree(work)

    async def _written(self, disk: Disk, target_format: str, target: Path, told: Told) -> Path:
        """The disk in the format, which for a raw one is itself."""
        if target_format == "raw":
            return disk.path

        def written(percent: int) -> None:
            told(_WRITTEN_OUT + percent * (_WRITTEN - _WRITTEN_OUT) // 100, CONVERTING)

        try:
            await self._converter.written(disk, target_format, target, written)
        except imaging.NoSpace as error:
            raise NoSpace(str(error)) from error
        except imaging.ImagingError as error:
            raise BlockError(str(error)) from error
        disk.path.unlink()
        return target

    async def _disk(self, source: ObjectSource | NodeSource, work: Path, told: Told) -> Disk:
        """What is to become the snapshot, as a disk that the block driver may trust."""
        if isinstance(source, NodeSource):
            await self._transfer.fetch(source, work / "disk", lambda percent: told(percent))
            return Disk(work / "disk", "qcow2", 0)
        await self._transfer.fetch(
            source, work / "file", lambda percent: told(percent * _DOWNLOADED // 100, DOWNLOADING)
        )
        told(_DOWNLOADED, CONVERTING)

        def converted(percent: int) -> None:
            told(_DOWNLOADED + percent * (_CONVERTED - _DOWNLOADED) // 100, CONVERTING)

        try:
            disk = await self._converter.standalone(work / "file", source.format, work / "disk", converted)
            if source.adapt:
                told(_CONVERTED, UPDATING)
                await self._converter.adapt(disk)
            return disk
        except Unusable as error:
            raise UnusableImage(str(error)) from error
        except imaging.NoSpace as error:
            raise NoSpace(str(error)) from error
        except imaging.ImagingError as error:
            raise BlockError(str(error)) from error


async def _archived(
    step: LookIntoArchive | KeepSnapshot | ForgetSnapshot | RestoreSnapshot, archives: Archives, told: Told
) -> None:
    match step:
        case LookIntoArchive():
            await archives.look()
        case KeepSnapshot(snapshot_id, older):
            await archives.keep(snapshot_id, older, lambda percent: told(percent))
        case ForgetSnapshot(snapshot_id):
            await archives.forget(snapshot_id)
        case RestoreSnapshot(snapshot_id, zone):
            await archives.restore(snapshot_id, lambda percent: told(percent), zone)
        case _:
            assert_never(step)


async def _packed(spec: UploadSpec, disk: Path, work: Path) -> Path:
    """An OVA: the description first, then the disk, which is gone afterwards. Raises NoSpace."""
    archive, description = work / "archive", work / (Path(spec.disk_name).stem + ".ovf")
    description.write_text(spec.description, encoding="utf-8")
    disk = disk.rename(work / spec.disk_name)
    plain = ("--format=gnu", "--owner=0", "--group=0", "--numeric-owner", "--mode=0644")
    try:
        await run(
            "tar", *plain, "-cf", str(archive), "-C", str(work), description.name, disk.name, timeout_s=PACKING_LIMIT_S
        )
    except RunError as error:
        if "No space left" in error.stderr:
            raise NoSpace("the disk is full") from error
        raise
    disk.unlink()
    return archive
