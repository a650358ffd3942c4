"""What a builder hands over: an image, as raw and as qcow2, with what a person and the cloud must know about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GuestImage:
    """A finished image; the files are in the build cache and are to be copied or uploaded, never changed.

    `raw` is None where only the qcow2 is kept. `size_mib` is the size of the disk it fills (a root volume must have at
    least that much), `memory_mib` the least that the guest runs in, `ready_line` the words on the serial console that
    say the boot is over; `login` and `ready_line` are empty where nobody knows.
    """

    name: str
    description: str
    raw: Path | None
    qcow2: Path
    size_mib: int
    memory_mib: int
    login: str
    ready_line: str
