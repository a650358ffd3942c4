"""The real converter: qemu-img in a process without rights (`confinement.py`), on files that were looked at (`headers.py`).

The program is given its files as open descriptors. A backing file is ruled out twice: by the header, and by telling QEMU
that there is none.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from eucapy import ledger
from eucapy.drivers.imaging import adaptation, headers
from eucapy.drivers.imaging.base import ImagingError, NoSpace
from eucapy.drivers.imaging.confinement import Limits, confined, hand_over
from eucapy.drivers.imaging.conversion import Converter, Disk, Told
from eucapy.drivers.imaging.headers import SECTOR_BYTES, Unusable
from eucapy.run import RunError, run

log = logging.getLogger(__name__)

LIMIT_S = 6 * 3600.0
_DRIVERS = {"raw": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx"}
_OPTIONS = {
    "vmdk": ("-o", "subformat=streamOptimized"),
    "vhd": ("-o", "subformat=dynamic,force_size=on"),
    "vhdx": ("-o", "subformat=dynamic"),
    "qcow2": ("-c",),
}
_PROGRESS = re.compile(r"\((\d+)(?:\.\d+)?/100%\)")


class QemuConverter(Converter):
    """Disks come out raw and sparse. `largest_bytes`: larger ones are refused."""

    def __init__(self, largest_bytes: int) -> None:
        self._largest_bytes = largest_bytes

    async def standalone(self, source: Path, source_format: str, target: Path, told: Told) -> Disk:
        with source.open("rb") as stream:
            facts = headers.read(stream, source_format)
        size_bytes = -(-facts.virtual_bytes // SECTOR_BYTES) * SECTOR_BYTES
        if size_bytes > self._largest_bytes:
            raise Unusable(f"The disk has {size_bytes} bytes; {self._largest_bytes} is the most")
        target.unlink(missing_ok=True)
        if source_format == "raw":
            os.truncate(source, size_bytes)
            source.rename(target)
        else:
            with _none_left(target):
                await self._convert(source, source_format, target, size_bytes, told)
            source.unlink()
        ledger.sync_file(target)
        ledger.sync_folder(target.parent)
        return Disk(target, "raw", size_bytes)

    async def adapt(self, disk: Disk) -> None:
        guest = await adaptation.adapt(disk.path)
        ledger.sync_file(disk.path)
        log.info("guest adapted", extra={"data": {"system": guest.system, "by": guest.by, "kernels": guest.kernels}})

    async def written(self, disk: Disk, target_format: str, target: Path, told: Told) -> None:
        target.unlink(missing_ok=True)
        limits = Limits(LIMIT_S, file_bytes=disk.virtual_bytes * 2 + (1 << 30))
        with _none_left(target), disk.path.open("rb") as stream, target.open("xb") as made:
            hand_over(stream.fileno())
            hand_over(made.fileno())
            source = _opened(_DRIVERS[disk.format], stream.fileno())
            options = _OPTIONS.get(target_format, ())
            argv = ["qemu-img", "convert", "-p", "-O", _DRIVERS[target_format], *options, source]
            await _run([*argv, _fd_path(made.fileno())], limits, (stream.fileno(), made.fileno()), told)
        ledger.sync_file(target)

    async def _convert(self, source: Path, source_format: str, target: Path, size_bytes: int, told: Told) -> None:
        with source.open("rb") as stream, target.open("xb") as made:
            made.truncate(size_bytes)
            hand_over(stream.fileno())
            hand_over(made.fileno())
            described = _opened(_DRIVERS[source_format], stream.fileno())
            argv = ["qemu-img", "convert", "-p", "-n", "--target-is-zero", "-O", "raw", described]
            limits = Limits(LIMIT_S, file_bytes=size_bytes)
            await _run([*argv, _fd_path(made.fileno())], limits, (stream.fileno(), made.fileno()), told)


def _fd_path(fd: int) -> str:
    return f"/proc/self/fd/{fd}"


def _opened(driver: str, fd: int) -> str:
    file = {"driver": "file", "filename": _fd_path(fd)}
    return "json:" + json.dumps({"driver": driver, "file": file, **({} if driver == "raw" else {"backing": None})})


async def _run(argv: list[str], limits: Limits, fds: tuple[int, ...], told: Told) -> None:
    try:
        await run(*confined(argv, limits), timeout_s=limits.time_s, on_line=_percents(told), pass_fds=fds)
    except RunError as error:
        said = _PROGRESS.sub("", error.stderr).strip()[-300:]
        if "No space left" in said:
            raise NoSpace("the disk is full") from error
        if error.status is None:
            raise Unusable("The disk could not be converted in time") from error
        if error.status == 127:
            raise ImagingError(said or str(error)) from error
        raise Unusable(f"The disk cannot be read: {said.splitlines()[-1] if said else 'no reason given'}") from error


def _percents(told: Told) -> Callable[[str], None]:
    def heard(line: str) -> None:
        found = _PROGRESS.search(line)
        if found is not None:
            told(int(found[1]))

    return heard


@contextlib.contextmanager
def _none_left(target: Path) -> Iterator[None]:
    """A disk that was not finished goes."""
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise
