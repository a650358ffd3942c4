"""Disk images of other hypervisors, turned into disks of ours: what a converter promises.

    disk = await converter.standalone(file, "vmdk", target, told)      # a raw disk, sparse, that stands alone
    await converter.adapt(disk)                                        # the machine on it can run here
    await converter.written(disk, "vmdk", target, told)                # and back, for export

The source is hostile: its header is read by ourselves first (`headers.py`), the program that reads the rest has neither
rights nor network, and limits on time, memory and the size of what it writes. Runs of zeros become holes: what a disk of
many GiB with little in it costs is what is in it. Implementations: `qemu_conversion.py`, `fake_conversion.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Told = Callable[[int], None]
"""Hears percents."""

EXPORTS = ("raw", "vmdk", "vhd", "vhdx", "qcow2")
"""What disks can be written as; a VMDK is stream-optimized."""


@dataclass(frozen=True)
class Disk:
    """A disk that stands alone, as its maker says: `format` is `raw` or `qcow2`."""

    path: Path
    format: str
    virtual_bytes: int


class Converter(ABC):
    """The verbs."""

    @abstractmethod
    async def standalone(self, source: Path, source_format: str, target: Path, told: Told) -> Disk:
        """The disk in `source`, which is used up, as `target`. Raises Unusable, NoSpace, ImagingError."""

    @abstractmethod
    async def adapt(self, disk: Disk) -> None:
        """Make the machine on the disk able to run here, in place (`adaptation.py`). Raises Unsuitable, Unusable,
        ImagingError."""

    @abstractmethod
    async def written(self, disk: Disk, target_format: str, target: Path, told: Told) -> None:
        """`disk`, which is left as it is, in one of EXPORTS as the file `target`. Raises NoSpace, ImagingError."""
