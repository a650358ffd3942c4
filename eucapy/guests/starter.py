"""The starter image: a guest of about 60 MiB that boots in seconds, for first steps and for the tests of the cloud.

busybox, dropbear and the e2fsprogs of the machine that builds it, with Debian's cloud kernel. It takes its address by
DHCP and its name, key and user data from the metadata service (version 2, or 1), keeps its root file system over
reboots, stops and starts, grows it with its disk, obeys the power button, and names hot-plugged disks on the console
and under `/dev/disk/by-id/`. Log in as `root` (`ec2-user` is another name of it) with the instance's key pair; there is
no password. The guest's own side is in `starter_files/`, `etc/starter/boot` first.
"""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

from eucapy.guests import initramfs, kernel, requirements
from eucapy.guests.build_cache import BuildCache, content_key
from eucapy.guests.disk_image import BootFiles, assemble, disk_mib, kernel_arguments, to_qcow2
from eucapy.guests.image import GuestImage
from eucapy.guests.programs import program_files
from eucapy.guests.progress import Progress, silent
from eucapy.run import run

NAME = "starter"
_ROOT_MIB = 40
_PROGRAMS = {
    "bin/busybox": "busybox",
    "usr/sbin/dropbear": "dropbear",
    "usr/bin/dropbearkey": "dropbearkey",
    "usr/lib/sftp-server": "/usr/lib/openssh/sftp-server",  # where dropbear looks for it
    "sbin/mke2fs": "mke2fs",
    "sbin/resize2fs": "resize2fs",
}
_LINKS = {
    "sbin/mkfs.ext2": "mke2fs",
    "sbin/mkfs.ext4": "mke2fs",
    "etc/resolv.conf": "/run/starter/resolv.conf",
    "etc/mtab": "/proc/mounts",
}
_FOLDERS = ["dev", "etc/dropbear", "mnt", "proc", "root", "run", "sys", "tmp", "var/lib/starter", "var/log"]
_PRIVATE = ["etc/shadow", "root", "etc/dropbear", "var/lib/starter"]


async def build(cache: BuildCache, *, emulated: bool, progress: Progress = silent) -> GuestImage:
    """The starter image, from the cache or built (seconds). `emulated`: made for hosts without KVM, where it boots
    much faster with address space randomisation off.

    Raises CannotBuild (programs or a kernel missing), RunError.
    """
    programs = requirements.require([*_PROGRAMS.values(), "qemu-img", "mkfs.fat", "mcopy", "syslinux", "mke2fs"])
    linux = await kernel.fetch(cache, progress)
    wanted = await program_files({target: programs[name] for target, name in _PROGRAMS.items()})
    with as_file(files("eucapy.guests")) as here:
        code = [here / name for name in ("starter.py", "disk_image.py", "initramfs.py", "boot_files/init")]
        own = sorted(path for path in (here / "starter_files").rglob("*") if path.is_file())
        key = content_key(
            linux.package,
            linux.version,
            kernel_arguments(emulated=emulated),
            *(str(path.relative_to(here)) for path in own),
            *sorted(wanted),
            files=[*code, *own, *(wanted[target] for target in sorted(wanted))],
        )

        async def make(folder: Path) -> None:
            progress("building the starter image")
            tree = folder / "tree"
            await _tree(tree, here / "starter_files", wanted)
            ram = await initramfs.build(linux)
            boot = BootFiles(linux, ram, kernel_arguments(emulated=emulated, extra="grow quiet loglevel=3"))
            raw = folder / "starter.raw"
            await assemble(folder, boot, tree, root_mib=_ROOT_MIB, label="starter", image=raw)
            await to_qcow2(raw, folder / "starter.qcow2")
            shutil.rmtree(tree)
            shutil.rmtree(folder / "boot")

        folder = await cache.get(NAME, key, make)
    return GuestImage(
        name=NAME,
        description=f"eucapy starter (busybox, dropbear, Linux {linux.release})",
        raw=folder / "starter.raw",
        qcow2=folder / "starter.qcow2",
        size_mib=disk_mib(_ROOT_MIB),
        memory_mib=192,
        login="root",
        ready_line="READY",
    )


async def _tree(tree: Path, sources: Path, wanted: dict[str, Path]) -> None:
    """The root file system's content."""
    for name in _FOLDERS:
        (tree / name).mkdir(parents=True, exist_ok=True)
    for target, source in wanted.items():
        path = tree / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        path.chmod(0o755)
    applets = await run(str(wanted["bin/busybox"]), "--list-full")
    for applet in applets.stdout.split():
        path = tree / applet
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.symlink_to("/bin/busybox")
    for link, target in _LINKS.items():
        (tree / link).unlink(missing_ok=True)
        (tree / link).symlink_to(target)
    for source in sorted(sources.rglob("*")):
        path = tree / source.relative_to(sources)
        if source.is_dir():
            path.mkdir(exist_ok=True)
        else:
            data = source.read_bytes()
            path.write_bytes(data)
            # An installed package forgets modes; a script is what starts like one.
            path.chmod(0o755 if data.startswith(b"#!") else 0o644)
    for name in _PRIVATE:
        path = tree / name
        path.chmod(0o700 if path.is_dir() else 0o600)
