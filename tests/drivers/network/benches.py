"""What the contract suite runs a driver with: the driver, and a world in which taps come and go."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from eucapy.drivers.network.base import NetworkDriver
from eucapy.drivers.network.fake import FakeNetwork
from eucapy.drivers.network.linux import LinuxNetwork
from eucapy.drivers.network.removal import remove_everything
from tests.harness.topology import open_tap, topology

UNDERLAY = "10.8.0.1"
UPLINK = "eth1"


class Bench(Protocol):
    """`prefix` is that of the namespaces that the driver calls its own."""

    driver: NetworkDriver
    prefix: str

    def plug(self, tap: str) -> None: ...

    def unplug(self, tap: str) -> None: ...


class FakeBench:
    """In memory."""

    def __init__(self) -> None:
        self.fake = FakeNetwork(mtus={UNDERLAY: 1500})
        self.driver: NetworkDriver = self.fake
        self.prefix = "eut-"

    def plug(self, tap: str) -> None:
        self.fake.plug(tap)

    def unplug(self, tap: str) -> None:
        self.fake.unplug(tap)


class LinuxBench:
    """A host in a network namespace, and taps that this process holds."""

    def __init__(self, host: str, folder: Path) -> None:
        self._host = host
        self.folder = folder
        self.prefix = f"{host}-"
        self.driver: NetworkDriver = LinuxNetwork(prefix=self.prefix, folder=folder, home=host)
        self._held: dict[str, int] = {}

    def plug(self, tap: str) -> None:
        self._held[tap] = open_tap(self._host, tap)

    def unplug(self, tap: str) -> None:
        os.close(self._held.pop(tap))

    async def close(self) -> None:
        for tap in list(self._held):
            self.unplug(tap)
        await remove_everything(self.driver)
        await self.driver.close()


@asynccontextmanager
async def bench(name: str) -> AsyncIterator[Bench]:
    """`fake` or `linux`; the latter is skipped where namespaces cannot be made."""
    if name == "fake":
        yield FakeBench()
        return
    with topology(1) as net:
        folder = Path(tempfile.mkdtemp(prefix="eucapy-net-"))
        folder.chmod(0o755)  # the resolvers' user looks into it
        made = LinuxBench(net.hosts[0].name, folder / "run")
        try:
            yield made
        finally:
            await made.close()
            shutil.rmtree(folder)
