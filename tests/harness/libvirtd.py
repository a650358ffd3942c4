"""A real libvirt daemon for tests: private, with its state in a short temporary folder, ended with its domains."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eucapy.drivers.hypervisor.base import HypervisorError
from eucapy.drivers.hypervisor.libvirtd import Libvirtd
from eucapy.guests.image import GuestImage
from tests.harness.starter import cache_folder

NEEDED = ("libvirtd", "qemu-system-x86_64", "qemu-img", "qemu-storage-daemon")


def skip_without_host() -> None:
    """Skip the test, with the reason, where no guest can be run."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    missing = [name for name in NEEDED if shutil.which(name, path=os.defpath + ":/usr/sbin:/sbin") is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@contextmanager
def guest_folder(prefix: str = "eucapy-g-") -> Iterator[Path]:
    """A temporary folder that guests' QEMU processes may pass through, as they may not through pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))  # a socket's path must be short, too
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def image_for_guests(image: GuestImage) -> Iterator[Path]:
    """The qcow2 file of an image, at a place where guests may read it."""
    with guest_folder() as folder:
        yield Path(shutil.copy(image.qcow2, folder))


@contextmanager
def libvirtd(netns: str | None = None) -> Iterator[Libvirtd]:
    """A running daemon, in the network namespace `netns` if given; on leaving, its domains end first, then it."""
    skip_without_host()
    with guest_folder("eucapy-lv-") as root:
        daemon = Libvirtd(root, netns=netns, cache=cache_folder() / "libvirt")
        try:
            asyncio.run(daemon.start())
            yield daemon
        finally:
            asyncio.run(_end(daemon))


async def _end(daemon: Libvirtd) -> None:
    from eucapy.drivers.hypervisor.libvirt import LibvirtDriver

    if daemon.pid is None:
        with contextlib.suppress(HypervisorError):
            await daemon.start()
    driver = LibvirtDriver(daemon.uri, acceleration="emulation")
    try:
        for domain in await driver.observe():
            await driver.undefine(domain.instance_id)
    finally:
        await driver.close()
        await daemon.stop()
