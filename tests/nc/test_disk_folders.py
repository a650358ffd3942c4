"""A guest's QEMU process, which is a user of its own, gets to its disks and to nothing else in the node's folder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from eucapy.drivers.hypervisor.base import FileSource
from tests.nc import test_agent
from tests.nc.specs import instance

ONE = "i-00000000000000001"


class OpenHost(test_agent.Host):
    """A host whose guests run under a group."""

    options: ClassVar[dict[str, Any]] = {"qemu_group": "root"}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[test_agent.Host]:
    if os.geteuid() != 0:
        pytest.skip("needs root: a group is given to folders")
    made = OpenHost(tmp_path)
    await made.wants(instance())
    await made.settle()
    yield made
    await made.nc.stop()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_the_group_passes_through_and_may_read_images(host: test_agent.Host) -> None:
    nc = host.folder / "nc"
    assert {mode(folder) for folder in (nc, nc / "instances", nc / "images", nc / "instances" / ONE)} == {0o710}
    assert {mode(image) for image in (nc / "images").iterdir()} == {0o444}
    assert {mode(nc / "spec.json"), mode(nc / "instances" / ONE / "record.json")} == {0o600}


async def test_the_domain_says_what_its_root_disk_stands_on(host: test_agent.Host) -> None:
    (domain,) = await host.hypervisor.observe()
    (image,) = (host.folder / "nc" / "images").iterdir()
    source = domain.disks[0].source
    assert isinstance(source, FileSource)
    assert source == FileSource(
        str(host.folder / "nc" / "instances" / ONE / "root.qcow2"), backing=FileSource(str(image), "raw")
    )
