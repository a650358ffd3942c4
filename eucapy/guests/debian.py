"""The full image: Debian of this machine's release with cloud-init, an ssh server and the QEMU guest agent.

mmdebstrap installs the packages from the machine's own sources; the disk, the kernel and its initramfs are made as for
the starter image (the kernel is the image's: a newer one comes with a newer image). cloud-init finds the Ec2 data
source by the SMBIOS that AWS documents and takes keys, name, network and user data from the metadata service; it grows
the root file system to its disk. Log in as `debian`, as on AWS. Building needs root, 2 GiB of disk and some minutes.
"""

from __future__ import annotations

import os
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from eucapy.guests import apt_sources, initramfs, kernel, requirements
from eucapy.guests.apt_sources import Sources
from eucapy.guests.build_cache import BuildCache, content_key
from eucapy.guests.disk_image import BootFiles, assemble, disk_mib, kernel_arguments, to_qcow2
from eucapy.guests.errors import CannotBuild
from eucapy.guests.image import GuestImage
from eucapy.guests.kernel import Kernel
from eucapy.guests.progress import Progress, silent
from eucapy.run import run

NAME = "debian"
PACKAGES = (
    "ca-certificates",
    "cloud-guest-utils",
    "cloud-init",
    "curl",
    "dbus",
    "fdisk",
    "ifupdown",
    "iproute2",
    "iputils-ping",
    "isc-dhcp-client",
    "kmod",
    "less",
    "nano",
    "netbase",
    "openssh-server",
    "procps",
    "qemu-guest-agent",
    "sudo",
    "systemd-sysv",
    "udev",
)
_ROOT_MIB = 1200
_LIMIT_S = 3600.0
# Nothing that a fresh guest waits for or that wakes an idle one needs them.
_MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-pstore.service",
)
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


class NeedsRoot(CannotBuild):
    """Installing packages into a folder needs root."""


async def build(cache: BuildCache, *, emulated: bool, progress: Progress = silent) -> GuestImage:
    """The full image, from the cache or built. `emulated`: see `starter.build`.

    Raises CannotBuild (not root, no Debian sources, programs or a kernel missing), RunError.
    """
    requirements.require(["mmdebstrap", "qemu-img", "mkfs.fat", "mcopy", "syslinux", "mke2fs", "busybox"])
    if os.geteuid() != 0:
        raise NeedsRoot("the full image installs packages into a folder, which needs root")
    sources = await apt_sources.machine_sources()
    linux = await kernel.fetch(cache, progress)
    with as_file(files("eucapy.guests")) as here:
        own = here / "debian_files"
        code = [here / name for name in ("debian.py", "disk_image.py", "initramfs.py", "boot_files/init")]
        configs = sorted(path for path in own.rglob("*") if path.is_file())
        key = content_key(
            *(sources.codename, *sources.lines, *PACKAGES, linux.version, kernel_arguments(emulated=emulated)),
            *(str(path.relative_to(own)) for path in configs),
            files=[*code, *configs],
        )

        async def make(folder: Path) -> None:
            tree = folder / "tree"
            await _install(tree, sources, progress)
            _settle(tree, own, emulated=emulated)
            _add_modules(tree, linux)
            progress("building the disk")
            boot = BootFiles(linux, await initramfs.build(linux), kernel_arguments(emulated=emulated, extra="quiet"))
            raw = folder / "debian.raw"
            await assemble(folder, boot, tree, root_mib=_ROOT_MIB, label="root", image=raw)
            shutil.rmtree(tree)
            shutil.rmtree(folder / "boot")
            progress("compressing the image")
            await to_qcow2(raw, folder / "debian.qcow2")
            raw.unlink()

        folder = await cache.get(NAME, key, make)
    return GuestImage(
        name=NAME,
        description=f"Debian {sources.codename} (cloud-init, Linux {linux.release})",
        raw=None,
        qcow2=folder / "debian.qcow2",
        size_mib=disk_mib(_ROOT_MIB),
        memory_mib=512,
        login="debian",
        ready_line="finished at",
    )


async def _install(tree: Path, sources: Sources, progress: Progress) -> None:
    """The packages, by mmdebstrap; each of its steps is a line of progress."""
    progress(f"installing Debian {sources.codename} (some minutes)")

    def step(line: str) -> None:
        if line.startswith("I: "):
            progress(line[3:].rstrip(".") + " ...")

    options = ['APT::Install-Recommends "false"', *sources.options]
    await run(
        *("mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory"),
        *(f"--aptopt={option}" for option in options),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        f"--include={','.join(PACKAGES)}",
        *(sources.codename, str(tree), *sources.lines),
        timeout_s=_LIMIT_S,
        on_line=step,
    )


def _settle(tree: Path, own: Path, *, emulated: bool) -> None:
    """From a folder of packages to a system that has never booted: nothing of the builder, nothing that must be
    unique, our own files."""
    for path in sorted(own.rglob("*")):
        target = tree / path.relative_to(own)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.write_bytes(path.read_bytes())
            target.chmod(0o644)
    if emulated:
        # An RSA key takes an emulated processor half a minute.
        (tree / "etc/cloud/cloud.cfg.d/95_emulation.cfg").write_text("ssh_genkeytypes: [ed25519]\n")
    # mmdebstrap copies the host's; a name server that never answers would cost each boot minutes.
    resolv = tree / "etc/resolv.conf"
    resolv.unlink(missing_ok=True)
    resolv.touch()
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hostname").write_text("debian\n")
    (tree / "etc/fstab").write_text("/dev/vda2 / ext4 defaults,noatime 0 1\n")
    for pattern in ("etc/ssh/ssh_host_*", "var/log/*.log", "var/cache/apt/archives/*.deb", "etc/apt/apt.conf.d/99mm*"):
        for path in tree.glob(pattern):
            path.unlink()
    for unit in _MASKED:
        link = tree / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")


def _add_modules(tree: Path, linux: Kernel) -> None:
    """All of the kernel's modules, under the release's folder."""
    target = tree / "lib/modules" / linux.release
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    shutil.copytree(linux.modules, target, symlinks=True)
