"""Whether a guest's kernels find a virtio disk: built in, or a module in the initramfs.

An initramfs is one archive after another, each plain or packed; what packs it is told by its first bytes. It is unpacked by
a confined program, of which only the names matter.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence

from eucapy.drivers.imaging.base import ImagingError
from eucapy.drivers.imaging.confinement import Limits, confined, hand_over
from eucapy.drivers.imaging.extfs import ExtFiles
from eucapy.drivers.imaging.headers import Unsuitable
from eucapy.run import RunError, run

LARGEST_BYTES = 512 << 20
_PACKERS = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x02\x21\x4c\x18": "lz4",
    b"\x04\x22\x4d\x18": "lz4",
}
_NEWC = b"070701"
_DRIVER = re.compile(rb"virtio_blk\.ko")
NO_DRIVER = (
    "ClientError: We have determined that your import doesn't have the required driver in its initramfs: virtio_blk. "
    "Install it there and try again."
)
UNREADABLE = (
    "ClientError: We were unable to read your import's initramfs/initrd to determine what drivers your import requires to run "
    "in EC2."
)


async def check_virtio(files: ExtFiles, folder: str, kernels: Sequence[str]) -> None:
    """At least the newest of the kernels must find a virtio disk. Raises Unsuitable."""
    newest = max(kernels, key=_by_number)
    if re.search(r"^CONFIG_VIRTIO_BLK=y", await files.text(f"{folder}/config-{newest}"), re.M):
        return
    for name in (f"initrd.img-{newest}", f"initramfs-{newest}.img", f"initrd-{newest}"):
        packed = await files.read(f"{folder}/{name}")
        if packed is not None:
            if _DRIVER.search(await _plain(packed)):
                return
            raise Unsuitable(NO_DRIVER)
    raise Unsuitable(UNREADABLE)


async def _plain(content: bytes) -> bytes:
    """The archives of an initramfs, unpacked."""
    at = 0
    while content.startswith(_NEWC, at):  # plain archives (microcode) come first
        end = content.find(b"TRAILER!!!", at)
        if end < 0 or _DRIVER.search(content, at, end):
            return content
        at = end + len(b"TRAILER!!!")
        while at < len(content) and content[at] == 0:
            at += 1
    packer = next((name for magic, name in _PACKERS.items() if content.startswith(magic, at)), "")
    if not packer:
        return content[at:]
    with tempfile.TemporaryFile() as packed, tempfile.TemporaryFile() as plain:
        packed.write(content[at:])
        packed.flush()
        hand_over(packed.fileno())
        hand_over(plain.fileno())
        # What follows the packed archive is not an error of ours.
        script = (
            f"command -v {packer} >&2 || exit 3; "
            f"{packer} -dc </proc/self/fd/{packed.fileno()} >/proc/self/fd/{plain.fileno()} 2>/dev/null; exit 0"
        )
        limits = Limits(300.0, file_bytes=LARGEST_BYTES)
        try:
            await run(
                *confined(["sh", "-c", script], limits), timeout_s=300.0, pass_fds=(packed.fileno(), plain.fileno())
            )
        except RunError as error:
            if error.status == 3:
                raise ImagingError(f"{packer} is not installed on the storage's host") from error
            raise Unsuitable(UNREADABLE) from error
        plain.seek(0)
        return plain.read()


def _by_number(release: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", release) if part]
