"""Pools of every block driver, each with a way to write and read blocks as a guest would."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from eucapy.drivers.block.base import BlockDriver
from eucapy.drivers.block.fake import FakeDriver
from eucapy.drivers.block.files import FilesDriver
from eucapy.run import run
from tests.drivers.block.crashes import crash

__all__ = ["crash"]

BLOCK_BYTES = 64 * 1024


class Pool(Protocol):
    """A driver over a pool that outlives it."""

    driver: BlockDriver

    async def restart(self) -> None:
        """The process that holds the driver ends and another one starts."""

    async def write(self, volume_id: str, block: int, word: str) -> None:
        """A guest writes through the volume's export."""

    async def read(self, volume_id: str, block: int) -> str:
        """A guest reads through the volume's export; "" for a block of zeros."""

    def kill_export(self, volume_id: str) -> None:
        """The export's server dies without a word."""


class FakePool:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.driver = FakeDriver(folder)

    async def restart(self) -> None:
        await self.driver.close()
        self.driver = FakeDriver(self._folder)
        await self.driver.open(lambda: None)

    async def write(self, volume_id: str, block: int, word: str) -> None:
        self.driver.write(volume_id, block, word)

    async def read(self, volume_id: str, block: int) -> str:
        return self.driver.read(volume_id, block)

    def kill_export(self, volume_id: str) -> None:
        self.driver.kill_export(volume_id)


class FilesPool:
    def __init__(self, folder: Path, run_folder: Path) -> None:
        self.folder, self.run_folder = folder, run_folder
        self.on_change: Callable[[], None] = lambda: None
        self.options: dict[str, int] = {}
        self.driver = FilesDriver(folder, run_folder)

    async def restart(self) -> None:
        await self.driver.close()
        self.driver = FilesDriver(self.folder, self.run_folder, **self.options)
        await self.driver.open(self.on_change)

    async def address(self, volume_id: str) -> str:
        (export,) = (await self.driver.observe()).volumes[volume_id].exports.values()
        return export.address

    async def write(self, volume_id: str, block: int, word: str) -> None:
        command = f"write -f -P {ord(word)} {block * BLOCK_BYTES} {BLOCK_BYTES}"
        await run("qemu-io", "-f", "raw", "-c", command, await self.address(volume_id))

    async def read(self, volume_id: str, block: int) -> str:
        return (await self.reads(volume_id, [block]))[0]

    async def reads(self, volume_id: str, blocks: Sequence[int]) -> list[str]:
        """The words of several blocks; each must be the same from its first byte to its last."""
        script = [part for block in blocks for part in ("-c", f"read -v {block * BLOCK_BYTES} {BLOCK_BYTES}")]
        dump = (await run("qemu-io", "-f", "raw", *script, await self.address(volume_id))).stdout
        words: list[str] = []
        for block in dump.split(f"read {BLOCK_BYTES}/{BLOCK_BYTES} bytes")[: len(blocks)]:
            found = {byte for line in block.splitlines() if line[8:9] == ":" for byte in line[11:58].split()}
            assert len(found) == 1, f"a block of {volume_id} holds {found}"
            words.append(bytes.fromhex(found.pop()).decode().strip("\0"))
        return words

    def pid(self, volume_id: str) -> int:
        return int((self.run_folder / volume_id / "pid").read_text())

    def kill_export(self, volume_id: str) -> None:
        process = os.pidfd_open(self.pid(volume_id))
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            assert select.select([process], [], [], 10)[0], "a daemon survives SIGKILL"
        finally:
            os.close(process)

    async def end(self) -> None:
        for volume in (await self.driver.observe()).volumes.values():
            for attachment_id in volume.exports:
                await self.driver.remove_export(volume.volume_id, attachment_id)
        await self.driver.close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for the names of sockets."""
    folder = Path(tempfile.mkdtemp(prefix="sc-", dir="/tmp"))
    yield folder
    for pid_file in folder.glob("run/*/pid"):  # what a failed test left behind
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
    shutil.rmtree(folder)


def skip_without_programs() -> None:
    if shutil.which("qemu-storage-daemon") is None or shutil.which("qemu-io") is None:
        pytest.skip("needs qemu-storage-daemon and qemu-io (Debian: qemu-system-common, qemu-utils)")


async def _opened_files_pool(folder: Path, run_folder: Path) -> FilesPool:
    skip_without_programs()
    pool = FilesPool(folder, run_folder)
    await pool.driver.open(lambda: None)
    return pool


@pytest.fixture
async def files_pool(tmp_path: Path, short_folder: Path) -> AsyncIterator[FilesPool]:
    pool = await _opened_files_pool(tmp_path / "pool", short_folder / "run")
    yield pool
    await pool.end()


@pytest.fixture(params=["fake", "files"])
async def pool(request: pytest.FixtureRequest, tmp_path: Path, short_folder: Path) -> AsyncIterator[Pool]:
    if request.param == "files":
        real = await _opened_files_pool(tmp_path / "pool", short_folder / "run")
        yield real
        await real.end()
        return
    fake = FakePool(tmp_path / "pool")
    await fake.driver.open(lambda: None)
    yield fake
    await fake.driver.close()
