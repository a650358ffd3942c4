"""The programs that the image builders run, and the Debian package of each.

`require()` is called first thing by every builder, so that a missing program is one clear sentence with the line to
type, never a traceback in the middle of a build.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from eucapy.guests.errors import CannotBuild

PACKAGE_OF = {
    "apt-cache": "apt",
    "apt-get": "apt",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "dropbear": "dropbear-bin",
    "dropbearkey": "dropbear-bin",
    "ldd": "libc-bin",
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.fat": "dosfstools",
    "mmdebstrap": "mmdebstrap",
    "qemu-img": "qemu-utils",
    "resize2fs": "e2fsprogs",
    "syslinux": "syslinux",
    "unshare": "util-linux",
    "zstd": "zstd",
    "/usr/lib/openssh/sftp-server": "openssh-sftp-server",
    "/usr/lib/syslinux/mbr/mbr.bin": "syslinux-common",
}
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class MissingPrograms(CannotBuild):
    """Something that a builder runs is not installed; the message says which package brings it."""

    def __init__(self, programs: Iterable[str]) -> None:
        self.programs = sorted(programs)
        self.packages = sorted({PACKAGE_OF[program] for program in self.programs})
        super().__init__(
            f"not installed: {', '.join(self.programs)}. Install with: apt-get install {' '.join(self.packages)}"
        )


def locate(program: str) -> Path:
    """The path of `program`, looked for in the system's own folders (sbin included). Raises MissingPrograms."""
    found = program if program.startswith("/") and Path(program).exists() else shutil.which(program, path=_SEARCH)
    if found is None:
        raise MissingPrograms([program])
    return Path(found)


def require(programs: Iterable[str]) -> dict[str, Path]:
    """The path of each program. Raises MissingPrograms, naming all that are missing at once."""
    found: dict[str, Path] = {}
    missing: list[str] = []
    for program in programs:
        try:
            found[program] = locate(program)
        except MissingPrograms:
            missing.append(program)
    if missing:
        raise MissingPrograms(missing)
    return found
