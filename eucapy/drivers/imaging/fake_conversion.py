"""The twin: headers are read and refused as by the real one; what comes out is an empty qcow2 disk of the right size."""

from __future__ import annotations

from pathlib import Path

from eucapy import diskimage, ledger
from eucapy.drivers.imaging import headers
from eucapy.drivers.imaging.conversion import Converter, Disk, Told


class FakeConverter(Converter):
    """Keeps the family's promises about what is refused, without any content."""

    async def standalone(self, source: Path, source_format: str, target: Path, told: Told) -> Disk:
        with source.open("rb") as stream:
            facts = headers.read(stream, source_format)
        told(50)
        ledger.write_file(target, diskimage.empty_qcow2(facts.virtual_bytes))
        source.unlink()
        return Disk(target, "qcow2", facts.virtual_bytes)

    async def adapt(self, disk: Disk) -> None:
        """There is no machine on a disk without content."""

    async def written(self, disk: Disk, target_format: str, target: Path, told: Told) -> None:
        told(50)
        if target_format == "qcow2":
            ledger.write_file(target, diskimage.empty_qcow2(disk.virtual_bytes))
            return
        ledger.write_file(target, f"{target_format} of {disk.virtual_bytes} bytes\n".encode())
