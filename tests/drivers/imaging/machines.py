"""Disks with a machine on them, as small as they can be: what an importer looks at, and nothing that would run."""

from __future__ import annotations

import gzip
from pathlib import Path

from eucapy.run import run_now

MIB = 1 << 20
MENU = """set timeout=5
menuentry 'Debian GNU/Linux' {
\tsearch --no-floppy --fs-uuid --set=root x
\tlinux\t/boot/vmlinuz-6.1.0-9-amd64 root=/dev/sda1 ro quiet
\tinitrd\t/boot/initrd.img-6.1.0-9-amd64
}
"""
FSTAB = """# / was on /dev/sda1 during installation
/dev/sda1 / ext4 errors=remount-ro 0 1
/dev/sda5 none swap sw 0 0
/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0
"""
INTERFACES = """auto lo
iface lo inet loopback
allow-hotplug ens3
iface ens3 inet static
 address 192.168.122.10/24
"""
FILES: dict[str, str | bytes] = {
    "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "etc/fstab": FSTAB,
    "etc/network/interfaces": INTERFACES,
    "etc/default/grub": 'GRUB_CMDLINE_LINUX=""\n',
    "etc/systemd/system/.keep": "",
    "usr/lib/systemd/systemd": "ELF",
    "boot/vmlinuz-6.1.0-9-amd64": "a kernel",
    "boot/config-6.1.0-9-amd64": "CONFIG_VIRTIO_BLK=m\n",
    "boot/initrd.img-6.1.0-9-amd64": b"070701" + b"0" * 104 + b"TRAILER!!!\0\0\0\0"
    + gzip.compress(b"070701 lib/modules/6.1.0-9-amd64/kernel/drivers/block/virtio_blk.ko"),
    "boot/grub/grub.cfg": MENU,
}  # fmt: skip


def disk(
    folder: Path,
    changed: dict[str, str | bytes | None] | None = None,
    *,
    label: str = "dos",
    filesystem: str = "ext4",
    loader: bool = True,
    own_boot: bool = False,
) -> Path:
    """A raw disk with the machine; `changed`: files that are others, or (None) are not there."""
    tree, image = folder / "tree", folder / "machine.raw"
    wanted = {**FILES, **(changed or {})}
    for name, content in wanted.items():
        if content is not None:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with image.open("wb") as stream:
        stream.truncate(96 * MIB)
    if label == "dos":
        parts = ["start=2048,size=131072,type=83,bootable", "start=133120,size=20480,type=83"]
    else:
        parts = [
            "start=2048,size=131072,type=0FC63DAF-8483-4772-8E79-3D69D8477DE4",
            "start=133120,size=20480,type=0FC63DAF-8483-4772-8E79-3D69D8477DE4",
            f"start=153600,size=2048,type={'21686148-6449-6E6F-744E-656564454649' if label == 'gpt' else 'U'}",
        ]
    table = "\n".join([f"label: {'dos' if label == 'dos' else 'gpt'}", *parts, ""])
    run_now("sfdisk", "-q", str(image), stdin=table)
    if own_boot:
        (tree / "boot").rename(folder / "boot")
        (tree / "boot").mkdir()
        run_now("mke2fs", "-q", "-t", "ext2", "-d", str(folder / "boot"), "-E", f"offset={65 * MIB}", str(image), "10M")
    if filesystem == "ext4":
        run_now("mke2fs", "-q", "-t", "ext4", "-d", str(tree), "-E", f"offset={MIB}", str(image), "64M")
    with image.open("r+b") as stream:
        if loader:
            stream.write(b"\xeb\x63\x90GRUB")
        if filesystem == "xfs":
            stream.seek(MIB)
            stream.write(b"XFSB" + bytes(4096))
    return image
