"""Storage daemons that run as a user of their own: they serve volumes as root's do, and root's files are not theirs."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eucapy import pki
from eucapy.drivers.block.daemons import DaemonFailed, _open_to
from eucapy.drivers.block.exporter import Remote
from eucapy.drivers.block.files import FilesDriver
from eucapy.folders import Owner, ensure_folder
from tests.drivers.block.conftest import FilesPool, skip_without_programs
from tests.drivers.block.test_remote import Site

pytestmark = pytest.mark.host

OWNER = Owner(user_id=45123, group_id=45124)
"""Nobody that the host knows."""
V1, S1 = "vol-00000000000000001", "snap-0000000000000001"


class OwnedPool(FilesPool):
    async def restart(self) -> None:
        await self.driver.close()
        self.driver = FilesDriver(self.folder, self.run_folder, owner=OWNER)
        await self.driver.open(lambda: None)


@pytest.fixture
async def pool(short_folder: Path) -> AsyncIterator[OwnedPool]:
    if os.geteuid() != 0:
        pytest.skip("needs root: gives files away")
    skip_without_programs()
    ensure_folder(short_folder, OWNER.group_id)
    made = OwnedPool(short_folder / "pool", short_folder / "run")
    await made.restart()
    yield made
    await made.end()


def ids(pool: OwnedPool) -> tuple[set[str], set[str], str]:
    """Users and groups of the daemon (real, effective, saved, of files), and its effective capabilities."""
    status = Path(f"/proc/{pool.pid(V1)}/status").read_text().splitlines()
    found = {line.split(":")[0]: line.split(":")[1].split() for line in status}
    return set(found["Uid"]), set(found["Gid"]), found["CapEff"][0] + "".join(found["Groups"])


async def test_a_volume_lives_its_whole_life_under_another_user(pool: OwnedPool) -> None:
    driver = pool.driver
    await driver.ensure_volume(V1, 1)
    await driver.ensure_export(V1, "att-1")
    assert ids(pool) == ({str(OWNER.user_id)}, {str(OWNER.group_id)}, "0" * 16)
    await pool.write(V1, 0, "a")
    await driver.ensure_snapshot(S1, V1)
    await pool.write(V1, 0, "b")
    await driver.grow(V1, 2)
    pool.kill_export(V1)
    await pool.restart()
    await pool.driver.ensure_export(V1, "att-1")
    assert await pool.read(V1, 0) == "b"
    await pool.driver.ensure_volume("vol-2", 1, S1)
    await pool.driver.ensure_export("vol-2", "att-2")
    assert await pool.read("vol-2", 0) == "a"


async def test_the_group_reaches_the_volume_and_nothing_else(pool: OwnedPool) -> None:
    await pool.driver.ensure_volume(V1, 1)
    await pool.driver.ensure_export(V1, "att-1")
    writers = {path.name: stat.S_IMODE(path.lstat().st_mode) & 0o022 for path in (pool.run_folder / V1).iterdir()}
    assert writers["nbd.sock"] == 0o020
    assert writers["qmp.sock"] == 0, "who gives orders to the daemon has every file of its user"
    assert {path.lstat().st_gid for path in (pool.run_folder / V1).glob("nbd.sock")} == {OWNER.group_id}
    for path in (pool.folder / "layers").iterdir():
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (OWNER.user_id, 0o600)


async def test_a_pool_that_was_roots_is_taken_over(pool: OwnedPool) -> None:
    await pool.driver.ensure_volume(V1, 1)
    (layer,) = (pool.folder / "layers").iterdir()
    os.chown(layer, 0, 0)
    await pool.restart()
    await pool.driver.ensure_export(V1, "att-1")
    await pool.write(V1, 0, "a")


async def test_volumes_for_other_hosts_are_served_too(short_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: gives files away")
    skip_without_programs()
    ensure_folder(short_folder, OWNER.group_id)
    site = Site(short_folder, short_folder / "run", range(20000, 20100))
    site.open()
    credentials = pki.qemu_credentials(short_folder / "pki", "sc", short_folder / "tls", OWNER)
    key = credentials / "server-key.pem"
    assert (key.lstat().st_uid, stat.S_IMODE(key.lstat().st_mode)) == (OWNER.user_id, 0o600)
    remote = Remote("127.0.0.1", site.ports, credentials)
    driver = FilesDriver(short_folder / "pool", short_folder / "run", remote=remote, owner=OWNER)
    await driver.open(lambda: None)
    try:
        await driver.ensure_volume(V1, 1)
        address = await driver.ensure_export(V1, "att-1", "n1")
        assert "wrote 65536/65536" in await site.io("n1", address, "write -f -P 97 0 64k")
        assert "read 65536/65536" not in await site.io("n2", address, "read 0 64k")
        await driver.remove_export(V1, "att-1")
    finally:
        await driver.close()


def test_a_link_that_a_daemon_left_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    (tmp_path / "nbd.sock").symlink_to(secret)
    with pytest.raises(DaemonFailed):
        _open_to(os.getgid(), tmp_path / "nbd.sock", 0o660)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
