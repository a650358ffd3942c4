"""A disk that is full, really: what was acknowledged stays, what has no room is refused cleanly, and room heals it all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eucapy.clock import ManualClock
from eucapy.drivers.hypervisor.fake import FakeHypervisor
from eucapy.drivers.imaging.fake import FakeImaging
from eucapy.drivers.proxies.fake import FakeProxies
from eucapy.nc.agent import NodeController
from eucapy.nc.config import Config
from eucapy.run import run_now
from eucapy.wire.node import NodeSpec
from tests.harness.cloud import Cloud
from tests.nc.specs import Shelf, instance
from tests.walrus.server import Store, code

pytestmark = pytest.mark.host

ZONE = "us-east-1a"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    run_now("mount", "-t", "tmpfs", "-o", "size=16m", "eucapy-test", str(folder))
    try:
        yield folder
    finally:
        run_now("umount", "--lazy", str(folder))


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is left, for as long as it lasts."""
    ballast = disk / "ballast"
    fd = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, bytes(4096))
        yield
    finally:
        os.close(fd)
        ballast.unlink()


def refusal(call: Callable[[], Any]) -> tuple[str, int] | None:
    """(code, status) with which the call is refused; None when it is not."""
    try:
        call()
    except ClientError as error:
        return code(error)
    return None


def test_a_full_object_store_keeps_what_it_took_and_can_be_emptied(disk: Path) -> None:
    kept: dict[str, bytes] = {}
    with Store(disk / "walrus") as store:
        s3 = store.s3
        s3.create_bucket(Bucket="full")

        def put(key: str, size: int) -> tuple[str, int] | None:
            body = os.urandom(size)
            refused = refusal(lambda: s3.put_object(Bucket="full", Key=key, Body=body))
            if refused is None:
                kept[key] = body
            return refused

        large = next(said for number in range(100) if (said := put(f"large{number}", 1 << 20)) is not None)
        small = next(said for number in range(9999) if (said := put(f"small{number}", 9000)) is not None)
        assert large == small == ("InsufficientStorage", 507)
        listed = {
            found["Key"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket="full")
            for found in page["Contents"]
        }
        assert listed == kept.keys()
        for key, body in kept.items():
            assert s3.get_object(Bucket="full", Key=key)["Body"].read() == body
        for key in [key for key in kept if key.startswith("large")]:
            s3.delete_object(Bucket="full", Key=key)
            del kept[key]
        store.settle()
        assert put("large again", 1 << 20) is None
    with Store(disk / "walrus") as store:
        for key, body in kept.items():
            assert store.s3.get_object(Bucket="full", Key=key)["Body"].read() == body


def test_not_a_byte_left_is_refused_and_what_is_there_is_read(disk: Path) -> None:
    with Store(disk / "walrus", reserve_mib=0) as store:
        s3 = store.s3
        s3.create_bucket(Bucket="full")
        s3.put_object(Bucket="full", Key="k", Body=b"kept")
        with full(disk):
            writes = (
                lambda: [s3.put_object(Bucket="full", Key=f"{number}", Body=bytes(9000)) for number in range(200)],
                lambda: s3.put_object(Bucket="full", Key="large", Body=bytes(1 << 20)),
            )
            assert [refusal(write) for write in writes] == [("InsufficientStorage", 507)] * 2
            assert s3.get_object(Bucket="full", Key="k")["Body"].read() == b"kept"
        s3.put_object(Bucket="full", Key="k", Body=b"newer")
        assert s3.get_object(Bucket="full", Key="k")["Body"].read() == b"newer"


def test_a_cloud_controller_on_a_full_disk_reads_refuses_and_goes_on(disk: Path) -> None:
    with Cloud(disk / "cloud") as cloud:
        ec2 = cloud.client("ec2")
        before = ec2.create_volume(Size=1, AvailabilityZone=ZONE)["VolumeId"]
        cloud.settle()
        made = [before]
        with full(disk):

            def create() -> None:
                while True:
                    made.append(ec2.create_volume(Size=1, AvailabilityZone=ZONE)["VolumeId"])

            assert refusal(create) == ("InternalError", 500)
            assert {found["VolumeId"] for found in ec2.describe_volumes()["Volumes"]} == set(made)
        made.append(ec2.create_volume(Size=1, AvailabilityZone=ZONE)["VolumeId"])
        cloud.advance(60)
        cloud.settle()
        found = {volume["VolumeId"]: volume["State"] for volume in ec2.describe_volumes()["Volumes"]}
        assert found == dict.fromkeys(made, "available")


async def test_a_node_on_a_full_disk_keeps_its_spec_and_takes_the_next_when_there_is_room(disk: Path) -> None:
    def controller() -> NodeController:
        config = Config(data=str(disk / "nc"), pki="", hypervisor="fake")
        host = FakeHypervisor(disk / "host")
        return NodeController(config, host, FakeImaging(), Shelf(), ManualClock(), FakeProxies(disk / "proxies"))

    nc = controller()
    first = NodeSpec(generation=1, node="node1")
    second = NodeSpec(generation=2, node="node1", instances={instance().instance_id: instance()})
    await nc.put_spec(first)
    with full(disk):
        with pytest.raises(OSError, match="No space left"):
            await nc.put_spec(second)
        assert nc.spec == first
    await nc.stop()
    nc = controller()
    assert nc.spec == first
    assert (await nc.put_spec(second)).refused is None
    assert nc.spec == second
    await nc.stop()
