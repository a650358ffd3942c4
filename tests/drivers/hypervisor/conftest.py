"""The benches as fixtures. One libvirt daemon serves the whole run; each test has its own driver and folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from eucapy.drivers.hypervisor.libvirtd import Libvirtd
from tests.drivers.hypervisor.benches import Bench, FakeBench, LibvirtBench
from tests.harness.libvirtd import guest_folder, image_for_guests, libvirtd
from tests.harness.starter import starter_image


@pytest.fixture(scope="session")
def daemon() -> Iterator[Libvirtd]:
    with libvirtd() as running:
        yield running


@pytest.fixture(scope="session")
def image() -> Iterator[Path]:
    with image_for_guests(starter_image()) as path:
        yield path


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where guests' disks are."""
    with guest_folder() as made:
        yield made


@pytest.fixture(params=["fake", pytest.param("libvirt", marks=[pytest.mark.host, pytest.mark.guest])])
def unopened(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    if request.param == "fake":
        return FakeBench(tmp_path)
    return LibvirtBench(
        request.getfixturevalue("folder"), request.getfixturevalue("daemon"), request.getfixturevalue("image")
    )


@pytest.fixture
async def bench(unopened: Bench) -> AsyncIterator[Bench]:
    yield unopened
    await unopened.close()


@pytest.fixture
async def libvirt_bench(daemon: Libvirtd, image: Path, folder: Path) -> AsyncIterator[LibvirtBench]:
    made = LibvirtBench(folder, daemon, image)
    yield made
    await made.close()
