"""Room on the disk: new bytes are refused while there is still some left, so that a full store can be emptied.

To delete is to write: metadata has to have a little room for itself, or nothing could be removed from a disk that is full.
So what brings bytes is refused (507 InsufficientStorage) as soon as less than a reserve is free, and everything else goes on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from eucapy.walrus.errors import InsufficientStorage

LARGEST_PART = 20
"""The reserve is at most this part (1/20) of the file system: small ones are for trying out."""
PLENTY_BYTES = 4 << 30
LOOK_S = 0.1
"""Where so much is free beside the reserve, it is not looked again for so long: no disk takes that much meanwhile."""


class Room:
    """The file system that holds `folder`, of which `reserve_bytes` are not given away; without a folder there is room."""

    def __init__(self, folder: Path | None = None, reserve_bytes: int = 0) -> None:
        self._folder, self._reserve_bytes = folder, reserve_bytes
        self._again_s = 0.0

    def check(self, size_bytes: int = 0) -> None:
        """Raises InsufficientStorage where so many new bytes have no place."""
        if self._folder is None:
            return
        now = time.monotonic()
        if now < self._again_s and size_bytes < PLENTY_BYTES // 4:
            return
        found = os.statvfs(self._folder)
        reserve = min(self._reserve_bytes, found.f_blocks * found.f_frsize // LARGEST_PART)
        free = found.f_bavail * found.f_frsize
        if free < reserve + size_bytes:
            raise InsufficientStorage()
        self._again_s = now + LOOK_S if free > reserve + PLENTY_BYTES else 0.0
