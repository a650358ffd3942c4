"""The benches on which the contract is tried: the same questions put to the fake and to libvirt with QEMU.

A bench gives a driver, disks, and guests of two kinds: *blank* ones have no operating system, so they ignore what only
an operating system can answer; *living* ones run the starter image (on the fake: behave).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from eucapy.drivers.hypervisor.base import (
    Disk,
    DomainSpec,
    DomainStatus,
    FileSource,
    HypervisorDriver,
    NbdSource,
    Power,
    ec2_uuid,
)
from eucapy.drivers.hypervisor.fake import FakeHypervisor
from eucapy.drivers.hypervisor.libvirtd import QEMU_USER, Libvirtd
from eucapy.run import run, spawn

if TYPE_CHECKING:
    from eucapy.drivers.hypervisor.libvirt import LibvirtDriver

GUEST_LIMIT_S = 180.0


class Bench(ABC):
    """A driver and a world to try it in."""

    driver: HypervisorDriver

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def spec(self, instance_id: str, *disks: Disk, **changes: object) -> DomainSpec:
        """A small domain over `disks`, or over a blank one."""
        fields: dict[str, object] = {
            "instance_id": instance_id,
            "uuid": ec2_uuid(f"00000000-0000-4000-8000-{abs(hash(instance_id)) % (1 << 48):012x}"),
            "vcpus": 1,
            "memory_mib": 192,
            "disks": disks or (self.disk(f"{instance_id}-root"),),
            "console_log": str(self.folder / "consoles" / f"{instance_id}.log"),
        }
        return DomainSpec(**(fields | changes))  # type: ignore[arg-type]

    def disk(self, name: str) -> Disk:
        """A blank disk of 16 MiB; the same name is the same disk."""
        path = self.folder / f"{name}.raw"
        if not path.exists():
            with path.open("wb") as stream:
                stream.truncate(16 << 20)
        return Disk(serial=name[-20:], source=FileSource(str(path), "raw"))

    async def seen(self, instance_id: str) -> DomainStatus | None:
        """The domain as it is observed; None when it is not there."""
        return next((item for item in await self.driver.observe() if item.instance_id == instance_id), None)

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait until `holds`; fails, saying `what` was awaited, when it never does."""
        deadline = time.monotonic() + GUEST_LIMIT_S
        while not await holds():
            assert time.monotonic() < deadline, f"never: {what}"
            await asyncio.sleep(0.1)

    async def until_console(self, instance_id: str, text: str, times: int = 1) -> None:
        """Wait until the guest has written `text` that many times."""

        async def holds() -> bool:
            return (await self.driver.console_output(instance_id)).count(text.encode()) >= times

        await self.until(f"{text!r} on the console of {instance_id}", holds)

    async def until_power(self, instance_id: str, power: Power) -> DomainStatus:
        """Wait until the domain is so; what was observed then."""

        async def holds() -> bool:
            seen = await self.seen(instance_id)
            return seen is not None and seen.power is power

        await self.until(f"{instance_id} {power}", holds)
        seen = await self.seen(instance_id)
        assert seen is not None
        return seen

    @abstractmethod
    async def blank(self, instance_id: str) -> DomainSpec:
        """A running guest without operating system."""

    @abstractmethod
    async def living(self, instance_id: str) -> DomainSpec:
        """A running guest that has said READY."""

    @abstractmethod
    async def restart(self) -> None:
        """The hypervisor's daemon and the driver's process end and begin again."""

    @abstractmethod
    async def crash(self, instance_id: str) -> None:
        """The guest's machine ends by itself."""

    @abstractmethod
    async def nbd_disk(self, name: str) -> Disk:
        """A blank disk behind an NBD server."""

    @abstractmethod
    async def close(self) -> None:
        """End what was started, domains first."""


class FakeBench(Bench):
    """Over the fake."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.driver: FakeHypervisor = FakeHypervisor(folder / "host", check_files=True)

    async def blank(self, instance_id: str) -> DomainSpec:
        spec = self.spec(instance_id)
        await self.driver.ensure_defined(spec)
        self.driver.make_deaf(instance_id)
        await self.driver.start(instance_id)
        return spec

    async def living(self, instance_id: str) -> DomainSpec:
        spec = self.spec(instance_id)
        await self.driver.ensure_defined(spec)
        await self.driver.start(instance_id)
        return spec

    async def restart(self) -> None:
        await self.driver.close()
        self.driver = FakeHypervisor(self.folder / "host", check_files=True)

    async def crash(self, instance_id: str) -> None:
        self.driver.guest_crashes(instance_id)

    async def nbd_disk(self, name: str) -> Disk:
        socket = self.folder / f"{name}.sock"
        socket.touch()
        return Disk(serial=name, source=NbdSource(str(socket), name))

    async def close(self) -> None:
        await self.driver.close()


def libvirt_driver(daemon: Libvirtd, **options: float) -> LibvirtDriver:
    """The driver over a daemon; libvirt's binding is asked for no sooner."""
    from eucapy.drivers.hypervisor.libvirt import LibvirtDriver

    return LibvirtDriver(daemon.uri, acceleration="emulation", **options)


class LibvirtBench(Bench):
    """Over libvirt and QEMU; `image` is the starter image's qcow2 file."""

    def __init__(self, folder: Path, daemon: Libvirtd, image: Path) -> None:
        super().__init__(folder)
        self._daemon = daemon
        self._image = image
        self._exporters: list[subprocess.Popen[bytes]] = []
        self.driver = libvirt_driver(daemon)

    async def blank(self, instance_id: str) -> DomainSpec:
        spec = self.spec(instance_id)
        await self.driver.ensure_defined(spec)
        await self.driver.start(instance_id)
        return spec

    async def overlay(self, name: str) -> Path:
        """A new root disk over the starter image."""
        path = self.folder / f"{name}.qcow2"
        await run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(self._image), "-F", "qcow2", str(path), "256M")
        return path

    def over_image(self, path: Path) -> FileSource:
        """An `overlay` as a disk's source."""
        return FileSource(str(path), backing=FileSource(str(self._image)))

    async def living(self, instance_id: str) -> DomainSpec:
        root = await self.overlay(instance_id)
        spec = self.spec(instance_id, Disk(serial=f"{instance_id}-root", source=self.over_image(root)))
        await self.driver.ensure_defined(spec)
        await self.driver.start(instance_id)
        await self.until_console(instance_id, "READY")
        return spec

    async def restart(self) -> None:
        await self.driver.close()
        await self._daemon.kill()
        await self._daemon.start()
        self.driver = libvirt_driver(self._daemon)

    async def crash(self, instance_id: str) -> None:
        os.kill(self.qemu_pid(instance_id), signal.SIGKILL)

    def qemu_pid(self, instance_id: str) -> int:
        """The process that is the guest."""
        return int((self._daemon.root / "run" / "qemu" / f"{instance_id}.pid").read_text())

    async def nbd_disk(self, name: str) -> Disk:
        backing = self.disk(name).source
        assert isinstance(backing, FileSource)
        socket = await self.export(Path(backing.path), "raw", name)
        return Disk(serial=name, source=NbdSource(str(socket), name))

    async def export(self, file: Path, format_: str, name: str) -> Path:
        """Serve `file` over NBD; the socket's path."""
        socket = self._daemon.root / f"{name}.sock"
        socket.unlink(missing_ok=True)
        exporter = spawn(
            [
                "qemu-storage-daemon",
                *("--blockdev", f"driver=file,filename={file},node-name=f"),
                *("--blockdev", f"driver={format_},file=f,node-name=d"),
                *("--nbd-server", f"addr.type=unix,addr.path={socket},max-connections=0"),
                *("--export", f"type=nbd,id=e,node-name=d,name={name},writable=on"),
            ]
        )
        self._exporters.append(exporter)

        async def listens() -> bool:
            assert exporter.poll() is None, "the exporter ended"
            return socket.exists()

        await self.until("the exporter listens", listens)
        shutil.chown(socket, group=QEMU_USER)
        socket.chmod(0o660)
        return socket

    def kill_exporters(self) -> None:
        """The NBD servers are gone at once."""
        while self._exporters:
            exporter = self._exporters.pop()
            exporter.kill()
            exporter.wait()

    async def close(self) -> None:
        for domain in await self.driver.observe():
            await self.driver.undefine(domain.instance_id)
        await self.driver.close()
        self.kill_exporters()
