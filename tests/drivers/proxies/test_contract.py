"""What proxies promise, the fake and the real ones alike."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from eucapy.drivers.proxies.base import BadExport, ProxyDriver, ProxyError, ProxySeen, is_elsewhere, parse
from eucapy.drivers.proxies.fake import FakeProxies
from eucapy.drivers.proxies.storage_daemon import StorageDaemonProxies
from eucapy.run import run
from tests.drivers.block.conftest import short_folder
from tests.drivers.block.test_remote import Site, opened_site

__all__ = ["short_folder"]

V1 = "vol-00000000000000001"
ONE, TWO = "i-00000000000000001", "i-00000000000000002"


class Bench(Protocol):
    """A node's proxies, and a storage that has `address` for it."""

    driver: ProxyDriver
    address: str
    nowhere: str

    async def restart(self) -> None:
        """The process that holds the driver ends and another one starts."""

    def kill(self, attachment_id: str) -> None:
        """The proxy's process dies."""

    async def end(self) -> None: ...


class FakeBench:
    address, nowhere = f"nbds://storage.invalid:20000/{V1}", f"nbds://storage.invalid:20001/{V1}"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._make()

    def _make(self) -> None:
        self.fake = FakeProxies(self._folder)
        self.fake.unreachable = {self.nowhere}
        self.fake.open(lambda: None)
        self.driver: ProxyDriver = self.fake

    async def restart(self) -> None:
        self.driver.close()
        self._make()

    def kill(self, attachment_id: str) -> None:
        self.fake.kill(attachment_id)

    async def end(self) -> None:
        self.driver.close()


class RealBench:
    def __init__(self, site: Site, folder: Path, address: str) -> None:
        self._folder, self.site, self.address = folder, site, address
        self.nowhere = f"nbds://127.0.0.1:1/{V1}"
        self._make()

    def _make(self) -> None:
        self.driver: ProxyDriver = StorageDaemonProxies(self._folder, self.site.folder / "n1" / "tls")
        self.driver.open(lambda: None)

    async def restart(self) -> None:
        self.driver.close()
        self._make()

    def kill(self, attachment_id: str) -> None:
        os.kill(int((self._folder / attachment_id / "pid").read_text()), signal.SIGKILL)

    def at(self, attachment_id: str) -> str:
        """The proxy's own address, as a guest's QEMU takes it up."""
        return f"nbd+unix:///{V1}?socket={self.driver.socket(attachment_id)}"

    async def io(self, attachment_id: str, *commands: str) -> str:
        script = [part for command in commands for part in ("-c", command)]
        done = await run("qemu-io", "-f", "raw", *script, self.at(attachment_id), check=False)
        return done.stdout + done.stderr

    async def end(self) -> None:
        for attachment_id in list(self.driver.observe()):
            with contextlib.suppress(ProxyError):
                await self.driver.remove(attachment_id)
        self.driver.close()


@contextlib.asynccontextmanager
async def real_bench(folder: Path, short: Path) -> AsyncIterator[RealBench]:
    async with opened_site(folder, short / "run") as site:
        await site.driver.ensure_volume(V1, 1)
        bench = RealBench(site, short / "proxies", await site.driver.ensure_export(V1, "att-1", "n1"))
        yield bench
        await bench.end()


@pytest.fixture
async def real(tmp_path: Path, short_folder: Path) -> AsyncIterator[RealBench]:
    async with real_bench(tmp_path, short_folder) as bench:
        yield bench


@pytest.fixture(params=["fake", "real"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path, short_folder: Path) -> AsyncIterator[Bench]:
    if request.param == "real":
        async with real_bench(tmp_path, short_folder) as bench:
            yield bench
        return
    made = FakeBench(tmp_path / "proxies")
    yield made
    await made.end()


async def test_a_proxy_is_there_after_ensure_and_gone_after_remove(bench: Bench) -> None:
    for _ in range(2):
        await bench.driver.ensure("att-1", ONE, bench.address)
    assert bench.driver.observe() == {"att-1": ProxySeen(ONE, bench.address, running=True)}
    assert bench.driver.observe({"att-1", "att-2"}) == bench.driver.observe()
    assert bench.driver.observe(()) == {}
    for _ in range(2):
        await bench.driver.remove("att-1")
    assert bench.driver.observe() == {}


async def test_it_outlives_the_process_that_made_it(bench: Bench) -> None:
    await bench.driver.ensure("att-1", ONE, bench.address)
    await bench.restart()
    assert bench.driver.observe() == {"att-1": ProxySeen(ONE, bench.address, running=True)}


async def test_one_that_died_is_seen_and_brought_back_or_removed(bench: Bench) -> None:
    await bench.driver.ensure("att-1", ONE, bench.address)
    for end in (lambda: bench.driver.ensure("att-1", ONE, bench.address), lambda: bench.driver.remove("att-1")):
        bench.kill("att-1")
        async with asyncio.timeout(10):
            while bench.driver.observe()["att-1"].running:  # noqa: ASYNC110  the death of a process is seen from outside
                await asyncio.sleep(0.01)
        await bench.restart()
        assert not bench.driver.observe()["att-1"].running
        await end()
    assert bench.driver.observe() == {}


async def test_storage_that_is_away_is_an_error_and_the_next_attempt_may_succeed(bench: Bench) -> None:
    with pytest.raises(ProxyError):
        await bench.driver.ensure("att-1", ONE, bench.nowhere)
    await bench.driver.ensure("att-1", ONE, bench.address)
    assert bench.driver.observe() == {"att-1": ProxySeen(ONE, bench.address, running=True)}


async def test_only_an_address_of_another_host_is_taken(bench: Bench) -> None:
    for address in ("nbd+unix:///v?socket=/s", "nbds://host/v", "nbds://host:99999/v", "nbds://host:1/", "", "nbds://"):
        with pytest.raises(BadExport):
            await bench.driver.ensure("att-1", ONE, address)
    assert bench.driver.observe() == {}


async def test_to_refresh_what_is_not_there_is_an_error(bench: Bench) -> None:
    with pytest.raises(ProxyError):
        await bench.driver.refresh("att-1")


def test_addresses_are_told_apart() -> None:
    assert parse("nbds://[fd00::1]:20000/vol-1").host == "fd00::1"
    assert [is_elsewhere(a) for a in ("nbds://h:1/v", "nbd+unix:///v?socket=/s", "")] == [True, False, False]


async def test_a_guest_reads_and_writes_through_it(real: RealBench) -> None:
    await real.driver.ensure("att-1", ONE, real.address)
    assert "wrote 65536/65536" in await real.io("att-1", "write -f -P 97 0 64k")
    await real.driver.remove("att-1")
    assert await real.site.reads("n1", real.address, "a")


async def test_while_the_storage_restarts_a_guests_writes_wait_and_none_is_lost(real: RealBench) -> None:
    await real.driver.ensure("att-1", ONE, real.address)
    script = [f"write -f -P 98 {n * 65536} 65536" for n in range(150)]
    writer = asyncio.create_task(real.io("att-1", *script))
    for _ in range(2):
        pid = int((real.site.run_folder / V1 / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            while (await real.site.driver.observe()).volumes[V1].exports["att-1"].address:  # noqa: ASYNC110  seen from outside
                await asyncio.sleep(0.01)
        await real.site.driver.ensure_export(V1, "att-1", "n1")
    said = await writer
    assert said.count("wrote 65536/65536") == 150, said[-500:]
    assert "verification failed" not in await real.io("att-1", f"read -P 98 0 {150 * 65536}")


async def test_after_a_refresh_a_guest_sees_the_volumes_new_size(real: RealBench) -> None:
    await real.driver.ensure("att-1", ONE, real.address)
    await real.io("att-1", "write -f -P 97 0 64k")
    await real.site.driver.grow(V1, 3)
    await real.driver.refresh("att-1")
    assert "wrote 65536/65536" in await real.io("att-1", "write -f -P 98 2G 64k")
    assert "verification failed" not in await real.io("att-1", "read -P 97 0 64k")


async def test_a_node_whose_certificate_is_not_the_right_one_gets_no_proxy(real: RealBench, short_folder: Path) -> None:
    for node in ("n2", "stranger"):
        other = StorageDaemonProxies(short_folder / node, real.site.folder / node / "tls")
        other.open(lambda: None)
        with pytest.raises(ProxyError):
            await other.ensure("att-1", ONE, real.address)
        other.close()


async def test_without_a_certificate_there_are_no_proxies(real: RealBench, short_folder: Path) -> None:
    bare = StorageDaemonProxies(short_folder / "bare", None)
    bare.open(lambda: None)
    with pytest.raises(ProxyError):
        await bare.ensure("att-1", ONE, real.address)
    bare.close()
