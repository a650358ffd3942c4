"""Volumes for other hosts: over TLS, to the one node that they are for, at an address that outlives their server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from eucapy import pki
from eucapy.drivers.block.base import BadRequest, ExportSeen, InUse, NoSpace
from eucapy.drivers.block.exporter import Remote
from eucapy.drivers.block.files import FilesDriver
from eucapy.run import run
from tests.drivers.block.conftest import skip_without_programs

V1, V2 = "vol-00000000000000001", "vol-00000000000000002"


@dataclass
class Site:
    """A storage with certificates, and those of two nodes."""

    folder: Path
    run_folder: Path
    ports: range

    def open(self) -> None:
        authority = pki.Authority.ensure(self.folder / "pki")
        authority.issue("sc")
        pki.qemu_credentials(self.folder / "pki", "sc", self.folder / "tls")
        for node in ("n1", "n2"):
            authority.issue("nc", node, [], self.folder / node)
            (self.folder / node / "ca.pem").write_bytes((self.folder / "pki" / "ca.pem").read_bytes())
            pki.qemu_credentials(self.folder / node, "nc", self.folder / node / "tls")
        stranger = pki.Authority.ensure(self.folder / "stranger")
        stranger.issue("nc", "n1")
        (self.folder / "stranger" / "ca.pem").write_bytes((self.folder / "pki" / "ca.pem").read_bytes())
        pki.qemu_credentials(self.folder / "stranger", "nc", self.folder / "stranger" / "tls")
        self.driver = FilesDriver(
            self.folder / "pool", self.run_folder, remote=Remote("127.0.0.1", self.ports, self.folder / "tls")
        )

    async def io(self, node: str, address: str, command: str) -> str:
        """What `qemu-io` says to a command, with the node's certificate ("": without any)."""
        parts = urlsplit(address)
        target = f"driver=nbd,host={parts.hostname},port={parts.port},export={parts.path[1:]}"
        tls: tuple[str, ...] = ()
        if node:
            folder = self.folder / node / "tls"
            tls = ("--object", f"tls-creds-x509,id=tls,endpoint=client,dir={folder},verify-peer=yes")
            target += ",tls-creds=tls"
        done = await run("qemu-io", *tls, "--image-opts", target, "-c", command, check=False, timeout_s=30)
        return done.stdout + done.stderr

    async def reads(self, node: str, address: str, word: str) -> bool:
        """Whether the node reads the word at the volume's beginning."""
        said = await self.io(node, address, f"read -P {ord(word)} 0 64k")
        return "read 65536/65536" in said and "verification failed" not in said


@contextlib.asynccontextmanager
async def opened_site(folder: Path, run_folder: Path) -> AsyncIterator[Site]:
    skip_without_programs()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        first = probe.getsockname()[1]
    made = Site(folder, run_folder, range(first, min(first + 40, 65536)))
    made.open()
    await made.driver.open(lambda: None)
    yield made
    for volume in (await made.driver.observe()).volumes.values():
        for attachment_id in volume.exports:
            await made.driver.remove_export(volume.volume_id, attachment_id)
    await made.driver.close()


@pytest.fixture
async def site(tmp_path: Path, short_folder: Path) -> AsyncIterator[Site]:
    async with opened_site(tmp_path, short_folder / "run") as made:
        yield made


async def test_the_node_that_a_volume_is_for_uses_it_and_nobody_else_does(site: Site) -> None:
    await site.driver.ensure_volume(V1, 1)
    address = await site.driver.ensure_export(V1, "att-1", "n1")
    assert (await site.driver.observe()).volumes[V1].exports == {"att-1": ExportSeen(address, "n1")}
    assert "wrote 65536/65536" in await site.io("n1", address, "write -f -P 97 0 64k")
    assert await site.reads("n1", address, "a")
    for other in ("n2", "stranger", ""):
        said = await site.io(other, address, "read 0 64k")
        assert "read 65536/65536" not in said, other
    assert "TLS" in await site.io("", address, "read 0 64k")
    assert not (site.run_folder / V1 / "nbd.sock").exists()


async def test_a_volume_is_for_one_node_at_a_time(site: Site) -> None:
    await site.driver.ensure_volume(V1, 1)
    first = await site.driver.ensure_export(V1, "att-1", "n1")
    await site.io("n1", first, "write -f -P 97 0 64k")
    for node in ("n2", ""):
        with pytest.raises(InUse):
            await site.driver.ensure_export(V1, "att-1", node)
    await site.driver.remove_export(V1, "att-1")
    second = await site.driver.ensure_export(V1, "att-1", "n2")
    assert [await site.reads(node, second, "a") for node in ("n1", "n2")] == [False, True]


async def test_the_address_outlives_the_server_and_the_process_that_made_it(site: Site) -> None:
    await site.driver.ensure_volume(V1, 1)
    address = await site.driver.ensure_export(V1, "att-1", "n1")
    await site.driver.close()
    site.open()
    await site.driver.open(lambda: None)
    assert (await site.driver.observe()).volumes[V1].exports["att-1"].address == address
    pid = int((site.run_folder / V1 / "pid").read_text())
    await run("kill", "-9", str(pid))

    async with asyncio.timeout(20):
        while (await site.driver.observe()).volumes[V1].exports["att-1"].address:  # noqa: ASYNC110  seen from outside
            await asyncio.sleep(0.01)
    assert await site.driver.ensure_export(V1, "att-1", "n1") == address
    assert await site.reads("n1", address, "\0")


async def test_each_volume_has_a_port_of_its_own_and_goes_around_one_that_is_taken(site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.ports[0])):
        ports = set()
        for volume_id in (V1, V2):
            await site.driver.ensure_volume(volume_id, 1)
            ports.add(urlsplit(await site.driver.ensure_export(volume_id, "att-1", "n1")).port)
    assert len(ports) == 2
    assert ports <= set(site.ports[1:])


async def test_when_every_port_is_taken_the_export_waits(site: Site) -> None:
    site.ports = site.ports[:1]
    await site.driver.close()
    site.open()
    await site.driver.open(lambda: None)
    for volume_id in (V1, V2):
        await site.driver.ensure_volume(volume_id, 1)
    await site.driver.ensure_export(V1, "att-1", "n1")
    with pytest.raises(NoSpace):
        await site.driver.ensure_export(V2, "att-2", "n1")
    await site.driver.remove_export(V1, "att-1")
    await site.driver.ensure_export(V2, "att-2", "n1")


async def test_a_volume_grows_under_the_node_that_uses_it(site: Site) -> None:
    await site.driver.ensure_volume(V1, 1)
    address = await site.driver.ensure_export(V1, "att-1", "n1")
    await site.driver.grow(V1, 3)
    assert (await site.driver.observe()).volumes[V1].exports["att-1"].address == address
    assert "wrote 65536/65536" in await site.io("n1", address, "write -P 97 2G 64k")
    assert "wrote" not in await site.io("n2", address, "write -P 98 2G 64k")


async def test_what_is_no_nodes_name_is_refused(site: Site) -> None:
    await site.driver.ensure_volume(V1, 1)
    for name in ("n1,CN=sc", "n 1", "n1\n"):
        with pytest.raises(BadRequest):
            await site.driver.ensure_export(V1, "att-1", name)
    assert (await site.driver.observe()).volumes[V1].exports == {}


async def test_without_certificates_volumes_stay_on_their_host(tmp_path: Path, short_folder: Path) -> None:
    skip_without_programs()
    driver = FilesDriver(tmp_path / "pool", short_folder / "run")
    await driver.open(lambda: None)
    await driver.ensure_volume(V1, 1)
    with pytest.raises(BadRequest):
        await driver.ensure_export(V1, "att-1", "n1")
    await driver.close()
