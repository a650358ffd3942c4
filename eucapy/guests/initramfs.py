"""The initramfs of our images: busybox, the modules a virtio guest needs to find its disk, and `boot_files/init`.

The archive is written here, byte for byte the same for the same inputs and owned by root whoever builds it; neither
root rights nor cpio are needed.
"""

from __future__ import annotations

import gzip
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from eucapy.guests import requirements
from eucapy.guests.kernel import Kernel, module_bytes
from eucapy.guests.programs import program_files

# Loaded in this order; what a kernel has built in is skipped. The last ones serve the running guest: a source of
# randomness, the guest agent's channel, the power button, the balloon.
MODULES = [
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "ext4",
    "virtio_console",
    "virtio_rng",
    "button",
    "evdev",
    "virtio_balloon",
]
_FOLDERS = ["bin", "dev", "modules", "new", "proc", "sys"]


@dataclass(frozen=True)
class Entry:
    """A file, folder or link of a cpio archive; `mode` includes the kind (stat.S_IFREG ...)."""

    path: str
    mode: int
    data: bytes = b""


def cpio(entries: Iterable[Entry]) -> bytes:
    """A `newc` archive, as the kernel unpacks it; all owned by root, all times zero, parents before children."""
    out = bytearray()
    for number, entry in enumerate([*sorted(entries, key=lambda e: e.path), Entry("TRAILER!!!", 0)], start=1):
        name = entry.path.encode() + b"\0"
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        fields = [number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, 0, 0, len(name), 0]
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4) + entry.data
        out += bytes(-len(out) % 4)
    return bytes(out) + bytes(-len(out) % 512)


async def build(kernel: Kernel) -> bytes:
    """The compressed initramfs. Raises MissingPrograms, KernelError."""
    busybox = requirements.locate("busybox")
    entries = {folder: Entry(folder, stat.S_IFDIR | 0o755) for folder in _FOLDERS}
    for target, source in (await program_files({"bin/busybox": busybox})).items():
        for parent in list(Path(target).parents)[:-1]:
            entries.setdefault(str(parent), Entry(str(parent), stat.S_IFDIR | 0o755))
        entries[target] = Entry(target, stat.S_IFREG | 0o755, source.read_bytes())
    entries["bin/sh"] = Entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    order: list[str] = []
    for path in kernel.module_closure(MODULES):
        name = path.name.split(".ko")[0] + ".ko"
        order.append(name)
        entries[f"modules/{name}"] = Entry(f"modules/{name}", stat.S_IFREG | 0o644, module_bytes(path))
    entries["modules/order"] = Entry("modules/order", stat.S_IFREG | 0o644, ("\n".join(order) + "\n").encode())
    init = files("eucapy.guests").joinpath("boot_files/init").read_bytes()
    entries["init"] = Entry("init", stat.S_IFREG | 0o755, init)
    return gzip.compress(cpio(entries.values()), compresslevel=6, mtime=0)
