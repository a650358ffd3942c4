"""What the starter image promises, asked of it while it runs: it becomes the instance that the cloud says it is."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.guests.imds_stub import MetadataStub, instance, serving
from tests.guests.machine import MAC, Machine, key_pair, overlay, running
from tests.harness.libvirtd import skip_without_host
from tests.harness.starter import starter_image

pytestmark = [pytest.mark.host, pytest.mark.guest]

SCRIPT = b"""#!/bin/sh
echo user data by $(hostname) in $(pwd)
df -m / | tail -1 | while read a b c; do echo root $b MiB; done
"""


@dataclass
class Ground:
    """A root disk, a key pair, a metadata service and the folder of the test."""

    folder: Path
    disk: Path
    key: Path
    stub: MetadataStub


@pytest.fixture
def image() -> Path:
    skip_without_host()
    return starter_image().qcow2


@pytest.fixture
async def ground(image: Path, tmp_path: Path) -> AsyncIterator[Ground]:
    key, public = await key_pair(tmp_path)
    disk = await overlay(image, tmp_path / "root.qcow2", "2G")
    stub = MetadataStub(instance("i-0123456789abcdef0", public, SCRIPT, mac=MAC))
    async with serving(stub):
        yield Ground(tmp_path, disk, key, stub)


def console_key(machine: Machine) -> str:
    """The ssh host key that the guest showed last."""
    shown = machine.said().rpartition("-----BEGIN SSH HOST KEY KEYS-----")[2]
    return " ".join(shown.split()[:2])


async def test_it_becomes_the_instance_and_stays_it_over_a_reboot(ground: Ground) -> None:
    async with running(ground.folder / "m", ground.disk, ground.key, ground.stub.port) as machine:
        await machine.until("READY")
        said = machine.said()
        assert "user data by ip-10-0-0-15 in /" in said
        assert "user data ended with status 0" in said
        (line,) = [line for line in said.splitlines() if line.startswith("root ")]
        assert int(line.split()[1]) > 1800, "the root file system did not grow with its disk"
        assert (await machine.ssh("hostname; id -un; umask")).stdout == "ip-10-0-0-15\nroot\n0022\n"
        assert (await machine.ssh("id -u", user="ec2-user")).stdout == "0\n"
        assert machine.host_key() == console_key(machine)
        gets = [asked for asked in ground.stub.asked if asked.startswith("GET")]
        assert ground.stub.asked[0] == "PUT /latest/api/token"
        assert "GET /latest/meta-data/public-keys/0/openssh-key" in gets

        await machine.ssh("echo kept > /root/file; sync; reboot", check=False)  # it may take the connection with it
        await machine.until("READY", times=2)
        assert (await machine.ssh("cat /root/file")).stdout == "kept\n"
        assert machine.said().count("user data by") == 1
        assert machine.host_key() == console_key(machine)

        await machine.power_button()
        await machine.until("reboot: Power down")


async def test_power_cut_loses_nothing_that_was_synced(ground: Ground) -> None:
    async with running(ground.folder / "m1", ground.disk, ground.key, ground.stub.port) as machine:
        await machine.until("READY")
        await machine.ssh("echo kept > /root/file; sync")
    async with running(ground.folder / "m2", ground.disk, ground.key, ground.stub.port) as machine:
        await machine.until("READY")
        assert (await machine.ssh("cat /root/file")).stdout == "kept\n"
        assert "user data by" not in machine.said()


async def test_an_image_made_of_it_starts_as_a_new_instance(ground: Ground) -> None:
    async with running(ground.folder / "m1", ground.disk, ground.key, ground.stub.port) as machine:
        await machine.until("READY")
        await machine.ssh("echo baked > /root/file; sync")
        first = machine.host_key()
    key, public = await key_pair(ground.folder, "second")
    ground.stub.tree = instance("i-0fedcba9876543210", public, gzip.compress(SCRIPT), mac=MAC)
    async with running(ground.folder / "m2", ground.disk, key, ground.stub.port) as machine:
        await machine.until("READY")
        assert "user data by ip-10-0-0-15 in /" in machine.said()
        assert (await machine.ssh("cat /root/file; wc -l < /root/.ssh/authorized_keys")).stdout == "baked\n1\n"
        assert machine.host_key() != first


async def test_it_waits_for_a_metadata_service_that_is_away(ground: Ground, image: Path) -> None:
    late = MetadataStub(ground.stub.tree, tokens=False)
    async with serving(late):
        pass  # only to have a port on which nobody answers yet
    async with running(ground.folder / "m", ground.disk, ground.key, late.port) as machine:
        await machine.until("no metadata service")
        await machine.until("READY")
        assert "user data by" not in machine.said()
        async with serving(late):
            await machine.until("user data ended with status 0")
            assert (await machine.ssh("hostname")).stdout == "ip-10-0-0-15\n"
            assert machine.host_key() == console_key(machine)


async def test_it_takes_an_address_that_comes_after_the_boot(ground: Ground) -> None:
    async with running(ground.folder / "m", ground.disk, ground.key, ground.stub.port) as machine:
        await machine.plug_cable(False)
        await machine.until("READY")
        assert "address" not in machine.said()
        await machine.plug_cable(True)
        await machine.until("user data ended with status 0")
        assert (await machine.ssh("hostname")).stdout == "ip-10-0-0-15\n"


async def test_user_data_that_is_no_script_is_kept_and_not_run(ground: Ground) -> None:
    data = bytes(range(256))
    ground.stub.tree["user-data"] = data
    async with running(ground.folder / "m", ground.disk, ground.key, ground.stub.port) as machine:
        await machine.until("READY")
        assert "user data is no script" in machine.said()
        dumped = await machine.ssh("hexdump -v -e '1/1 \"%02x\"' /var/lib/starter/user-data")
        assert bytes.fromhex(dumped.stdout) == data
