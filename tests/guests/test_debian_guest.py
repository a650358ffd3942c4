"""What the full image promises: a Debian that cloud-init makes into the instance, recognised as EC2 by the strict rules.

Building takes minutes and booting one, so this runs only where `EUCAPY_FULL_GUEST=1` asks for it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
from pathlib import Path

import pytest

from eucapy.guests import debian
from eucapy.guests.build_cache import BuildCache
from eucapy.guests.errors import CannotBuild
from eucapy.guests.image import GuestImage
from tests.guests.imds_stub import MetadataStub, instance, serving
from tests.guests.machine import MAC, key_pair, overlay, running
from tests.harness.libvirtd import skip_without_host
from tests.harness.starter import cache_folder

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.timeout(2400)]

USER_DATA = b"""#cloud-config
write_files:
  - {path: /root/written, content: "by cloud-init"}
runcmd:
  - echo ran by $(hostname) >> /root/ran
"""


@functools.cache
def built() -> GuestImage:
    try:
        return asyncio.run(debian.build(BuildCache(cache_folder()), emulated=True))
    except CannotBuild as error:
        pytest.skip(str(error))


@pytest.fixture
def image() -> Path:
    skip_without_host()
    if os.environ.get("EUCAPY_FULL_GUEST") != "1":
        pytest.skip("set EUCAPY_FULL_GUEST=1 to build and boot the full image (minutes)")
    return built().qcow2


async def test_cloud_init_makes_it_the_instance(image: Path, tmp_path: Path) -> None:
    key, public = await key_pair(tmp_path)
    disk = await overlay(image, tmp_path / "root.qcow2", "3G")
    stub = MetadataStub(instance("i-0123456789abcdef0", public, USER_DATA, mac=MAC))
    async with serving(stub), running(tmp_path / "m", disk, key, stub.port, memory_mib=512, cpus=2) as machine:
        await machine.until("finished at", limit_s=600)
        status = await machine.ssh("cloud-init status --format json", user="debian")
        assert json.loads(status.stdout)["status"] == "done"
        assert json.loads(status.stdout)["errors"] == []
        query = "cloud-id; hostname; sudo cat /root/written /root/ran; df -m --output=size / | tail -1"
        answer = (await machine.ssh(query, user="debian")).stdout.split("\n")
        assert answer[0] == "aws"
        assert answer[1] == "ip-10-0-0-15"
        assert answer[2] == "by cloud-initran by ip-10-0-0-15"
        assert int(answer[3]) > 2500, "the root file system did not grow with its disk"
        assert (await machine.ssh("systemctl --failed --plain --no-legend", user="debian")).stdout == ""

        await machine.ssh("echo kept > /home/debian/file; sync; sudo systemctl reboot", user="debian", check=False)
        await machine.until("finished at", times=2, limit_s=600)
        again = await machine.ssh("cat file; sudo cat /root/ran", user="debian")
        assert again.stdout == "kept\nran by ip-10-0-0-15\n"
        await machine.power_button()
        await machine.until("reboot: Power down", limit_s=300)
