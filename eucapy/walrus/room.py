"""Room on the disk: new bytes are refused while there is still some left, so that a full store can be emptied.

To delete is to write: metadata has to have a little room for itself, or nothing could be removed from a disk that is full.
So what brings bytes is refused (507 InsufficientStorage) as soon as less than a reserve is free, and everything else goes on.
"""

from __future__ import annotations

import os
from pathlib import Path

from eucapy.walrus.errors import InsufficientStorage

LARGEST_PART = 20
"""The reserve is at most this part (1/20) of the file system: small ones are for trying out."""


class Room:
    """The file system that holds `folder`, of which `reserve_bytes` are not given away; without a folder there is room."""

    def __init__(self, folder: Path | None = None, reserve_bytes: int = 0) -> None:
        self._folder, self._reserve_bytes = folder, reserve_bytes

    def check(self, size_bytes: int = 0) -> None:
        """Raises InsufficientStorage where so many new bytes have no place. Costs a microsecond."""
        if self._folder is None:
            return
        found = os.statvfs(self._folder)
        reserve = min(self._reserve_bytes, found.f_blocks * found.f_frsize // LARGEST_PART)
        if found.f_bavail * found.f_frsize < reserve + size_bytes:
            raise InsufficientStorage()
