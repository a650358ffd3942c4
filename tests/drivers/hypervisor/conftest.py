"""The benches as fixtures. One libvirt daemon serves the whole run; each test has its own driver and folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from eucapy.drivers.hypervisor.libvirtd import Libvirtd
from tests.drivers.hypervisor.benches import Bench, FakeBench, LibvirtBench
from tests.harness.libvirtd import libvirtd
from tests.harness.starter import starter_image


@pytest.fixture(scope="session")
def daemon() -> Iterator[Libvirtd]:
    with libvirtd() as running:
        yield running


@pytest.fixture(scope="session")
def image() -> Path:
    return starter_image().qcow2


@pytest.fixture(params=["fake", pytest.param("libvirt", marks=[pytest.mark.host, pytest.mark.guest])])
def unopened(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    if request.param == "fake":
        return FakeBench(tmp_path)
    return LibvirtBench(tmp_path, request.getfixturevalue("daemon"), request.getfixturevalue("image"))


@pytest.fixture
async def bench(unopened: Bench) -> AsyncIterator[Bench]:
    yield unopened
    await unopened.close()


@pytest.fixture
async def libvirt_bench(daemon: Libvirtd, image: Path, tmp_path: Path) -> AsyncIterator[LibvirtBench]:
    made = LibvirtBench(tmp_path, daemon, image)
    yield made
    await made.close()
