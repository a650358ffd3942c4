"""Which blob driver a configuration names."""

from __future__ import annotations

from pathlib import Path

from eucapy.drivers.blob.base import BlobDriver


def load(name: str, folder: Path) -> BlobDriver:
    """The driver called `name` ("files" or "memory") over `folder`. Raises ValueError for any other name."""
    if name == "files":
        from eucapy.drivers.blob.files import FileBlobs

        return FileBlobs(folder)
    if name == "memory":
        from eucapy.drivers.blob.memory import MemoryBlobs

        return MemoryBlobs()
    raise ValueError(f"no blob driver is called {name!r}: files, memory")
