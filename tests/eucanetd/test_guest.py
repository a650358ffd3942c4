"""A real guest: QEMU under libvirt in the host's namespace, whose tap libvirt makes and eucanetd takes over."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from eucapy.drivers.hypervisor.base import Disk, DomainSpec, FileSource, Nic, ec2_uuid
from eucapy.drivers.hypervisor.libvirtd import Libvirtd
from eucapy.run import run
from eucapy.wire.contract import Cursor
from tests.eucanetd.cloud import Node, network_cloud
from tests.eucanetd.specs import port, vpc
from tests.harness.libvirtd import guest_folder, skip_without_host
from tests.harness.starter import starter_image
from tests.harness.topology import Netns

pytestmark = [pytest.mark.host, pytest.mark.guest]

PUBLIC = "198.51.100.101"
ONE = port(1, "10.0.0.11", public=(("10.0.0.11", PUBLIC),))
TWO = port(2, "10.0.0.12")
LIMIT_S = 180


async def until_plugged(node: Node, plugged: bool) -> None:
    seen = Cursor()
    async with asyncio.timeout(LIMIT_S):
        while True:
            status = await node.agent.get_status(seen, 30)
            if "eni-1" in status.ports and status.ports["eni-1"].plugged is plugged:
                return
            seen = status.cursor


def greeting(where: Netns, target: str) -> bytes:
    """What the ssh server says first; b"" while there is none."""
    try:
        with where.connect(target, 22, timeout_s=2.0) as connection:
            return connection.recv(64)
    except OSError:
        return b""


async def until_ssh(where: Netns, target: str) -> bytes:
    async with asyncio.timeout(LIMIT_S):
        while not (said := await asyncio.to_thread(greeting, where, target)):  # noqa: ASYNC110
            await asyncio.sleep(0.2)  # an answer, not luck, ends this
        return said


@pytest.fixture
def folder() -> Iterator[Path]:
    with guest_folder() as made:
        yield made


async def test_a_real_guest_boots_into_its_vpc_and_again_after_it_was_powered_off(folder: Path) -> None:
    skip_without_host()
    image = await asyncio.to_thread(starter_image)
    base = shutil.copy(image.qcow2, folder / "image.qcow2")
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give([vpc()], [ONE, TWO])
        node.agent.open()
        neighbour = await asyncio.to_thread(node.guest, TWO)
        root = folder / "root.qcow2"
        await run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(root))
        daemon = Libvirtd(node.folder / "lv", netns=node.host.name)
        await daemon.start()
        from eucapy.drivers.hypervisor.libvirt import LibvirtDriver

        driver = LibvirtDriver(daemon.uri, acceleration="emulation")
        try:
            await driver.ensure_defined(
                DomainSpec(
                    instance_id="i-1",
                    uuid=ec2_uuid("00000000-0000-4000-8000-000000000001"),
                    vcpus=1,
                    memory_mib=image.memory_mib,
                    disks=(Disk(serial="vol-1", source=FileSource(str(root), backing=FileSource(str(base)))),),
                    nics=(Nic(mac=ONE.mac, tap=ONE.tap),),
                    console_log=str(folder / "console.log"),
                )
            )
            for _ in range(2):
                await driver.start("i-1")
                await until_plugged(node, True)
                assert (await until_ssh(cloud.net.internet, PUBLIC)).startswith(b"SSH-2.0")
                assert await asyncio.to_thread(neighbour.ping, "10.0.0.11")
                await driver.destroy("i-1")
                await until_plugged(node, False)
            outcome = node.agent.loop.last
            assert outcome is not None and not outcome.error
        finally:
            await driver.undefine("i-1")
            await driver.close()
            await daemon.stop()
