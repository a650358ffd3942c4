"""Making disks: what a tool of the family promises.

Every verb writes beside, syncs and renames: a path that is there is a whole disk. What exists already is left alone.
An image is hostile until inspected (`eucapy/diskimage.py`): formats are always said, never probed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path


class ImagingError(Exception):
    """The tool refused; the message is fit for an operator."""


class NoSpace(ImagingError):
    """The disk is full."""


class ImagingDriver(ABC):
    """The verbs; sizes in bytes."""

    @abstractmethod
    async def overlay(self, base: Path, base_format: str, path: Path, size_bytes: int) -> None:
        """A copy-on-write disk over `base`, which it never changes. `size_bytes` is what the guest sees."""

    @abstractmethod
    async def flatten(self, disk: Path, base: Path | None, base_format: str, path: Path) -> None:
        """A copy of a disk that nobody has open, which stands alone. What the disk stands on is said (None: nothing), and
        not read from it."""

    @abstractmethod
    async def empty(self, path: Path, size_bytes: int) -> None:
        """An empty disk that takes space as it is written."""
