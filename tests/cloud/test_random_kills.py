"""Six processes, one or all of them killed at random moments while a client works: what it was told is what it finds.

The client is stock boto3 that repeats what got no answer. It keeps a model of what was acknowledged; when the killing is
over and the cloud has come to rest, the API's answers and the fake hardware must be that model, within a limit of time.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError

from eucapy.drivers.block.base import PoolSeen
from eucapy.drivers.block.fake import FakeDriver
from eucapy.drivers.hypervisor.base import Power
from eucapy.drivers.hypervisor.fake import FakeHypervisor
from tests.harness.postgres import NewDatabase
from tests.harness.processes import ProcessCloud
from tests.harness.waiting import pause, wait_until

pytestmark = pytest.mark.timeout(600)

KILLS = 10
SEEDS = [int(seed) for seed in os.environ.get("EUCAPY_KILL_SEEDS", "1,2").split(",")]
"""More of them make a longer run of the same test."""
REST_S = 90.0
SILENT = ("InternalError", "InternalServerException", "ServiceUnavailable", "Unavailable", "RequestLimitExceeded")


class Killer:
    """`with Killer(cloud, seed)`: kills and starts again until the block ends; then all runs."""

    def __init__(self, cloud: ProcessCloud, seed: int) -> None:
        self._cloud, self._random = cloud, random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer")
        self.killed: list[str] = []
        self._failure: BaseException | None = None

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._over.wait(self._random.uniform(0.2, 2.0)):
                names = list(self._cloud.programs)
                if self._random.random() < 0.2:
                    self._cloud.kill_all()
                    self.killed.append("all")
                else:
                    names = [self._random.choice(names)]
                    self._cloud.kill(names[0])
                    self.killed += names
                self._over.wait(self._random.uniform(0.0, 0.5))
                for name in names:
                    self._cloud.run(name)
        except BaseException as error:  # told to the test's own thread
            self._failure = error


def without_answer(error: BotoCoreError | ClientError) -> bool:
    """Whether the client cannot know what became of its call."""
    if isinstance(error, BotoCoreError):
        return True
    return error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500 and error.response["Error"]["Code"] in SILENT


class Worker:
    """Does random things, and remembers what was acknowledged."""

    def __init__(self, cloud: ProcessCloud, seed: int) -> None:
        self.cloud, self.random = cloud, random.Random(f"worker {seed}")
        self.zone = cloud.record.zone
        self.instances: dict[str, str] = {}
        """Instance → the state that it was last asked to come to."""
        self.launches: dict[str, str] = {}
        """Token → the instance that the launch under it was answered with."""
        self.volumes: dict[str, str] = {}
        """Volume → the instance that it shall be attached to, or ""."""
        self.snapshots: set[str] = set()
        self.unanswered_snapshots = 0
        self.written: dict[str, dict[int, bytes]] = {}
        """Snapshot → the blocks that it was written with."""
        variables = cloud.installation.environment()
        self.client: Callable[[str], Any] = lambda service: boto3.client(
            service,
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_DEFAULT_REGION"],
            config=BotoConfig(
                s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10
            ),
        )
        self.ec2, self.ebs = self.client("ec2"), self.client("ebs")

    def ask(self, call: Callable[..., Any], **given: Any) -> Any:
        """Repeat until there is an answer, be it a refusal (ClientError)."""
        limit = time.monotonic() + REST_S
        while True:
            try:
                return call(**given)
            except (BotoCoreError, ClientError) as error:
                if not without_answer(error) or time.monotonic() > limit:
                    raise
            pause()

    def prepare(self) -> None:
        """An image to launch from."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket="images")
        s3.put_object(Bucket="images", Key="disk.raw", Body=bytes(1 << 20))
        self.image = self.ec2.register_image(Name="starter", ImageLocation="images/disk.raw")["ImageId"]
        self.ec2.get_waiter("image_available").wait(ImageIds=[self.image], WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    def work(self) -> None:
        pause(self.random.uniform(0.0, 0.3))
        deeds = [self.launch, self.launch, self.create, self.create, self.attach, self.detach, self.stop, self.start]
        deeds += [self.reboot, self.snapshot, self.copy, self.write, self.delete, self.terminate]
        deed = self.random.choice(deeds)
        try:
            deed()
        except ClientError as error:
            # What is under way refuses: EC2's answer, and nothing was promised.
            code = error.response["Error"]["Code"]
            assert code in ("IncorrectInstanceState", "IncorrectState", "VolumeInUse", "InvalidParameterValue"), error

    def some(self, wanted: str) -> str | None:
        found = sorted(name for name, state in self.instances.items() if state == wanted)
        return self.random.choice(found) if found else None

    def free_volume(self) -> str | None:
        found = sorted(name for name, owner in self.volumes.items() if not owner)
        return self.random.choice(found) if found else None

    def request(self, token: str) -> Any:
        given = {"ImageId": self.image, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro", "ClientToken": token}
        return self.ask(self.ec2.run_instances, **given)["Instances"][0]["InstanceId"]

    def launch(self) -> None:
        token = str(uuid.UUID(int=self.random.getrandbits(128)))
        self.launches[token] = self.request(token)
        self.instances[self.launches[token]] = "running"

    def create(self) -> None:
        token = str(uuid.UUID(int=self.random.getrandbits(128)))
        given = {"AvailabilityZone": self.zone, "Size": 1, "ClientToken": token}
        self.volumes[self.ask(self.ec2.create_volume, **given)["VolumeId"]] = ""

    def attach(self) -> None:
        instance_id, volume_id = self.some("running"), self.free_volume()
        if instance_id and volume_id:
            device = f"/dev/sd{'fghijklmnop'[len([v for v in self.volumes.values() if v == instance_id])]}"
            try:
                self.ask(self.ec2.attach_volume, VolumeId=volume_id, InstanceId=instance_id, Device=device)
            except ClientError:
                if instance_id not in self.attached_to(volume_id):
                    raise
            self.volumes[volume_id] = instance_id

    def detach(self) -> None:
        attached = sorted(name for name, owner in self.volumes.items() if owner)
        if attached:
            volume_id = self.random.choice(attached)
            try:
                self.ask(self.ec2.detach_volume, VolumeId=volume_id)
            except ClientError:
                if self.attached_to(volume_id):
                    raise
            self.volumes[volume_id] = ""

    def attached_to(self, volume_id: str) -> list[str]:
        (volume,) = self.ask(self.ec2.describe_volumes, VolumeIds=[volume_id])["Volumes"]
        return [one["InstanceId"] for one in volume["Attachments"]]

    def stop(self) -> None:
        if instance_id := self.some("running"):
            self.ask(self.ec2.stop_instances, InstanceIds=[instance_id])
            self.instances[instance_id] = "stopped"

    def start(self) -> None:
        if instance_id := self.some("stopped"):
            self.ask(self.ec2.start_instances, InstanceIds=[instance_id])
            self.instances[instance_id] = "running"

    def reboot(self) -> None:
        if instance_id := self.some("running"):
            self.ask(self.ec2.reboot_instances, InstanceIds=[instance_id])

    def terminate(self) -> None:
        if instance_id := self.some("running") or self.some("stopped"):
            self.ask(self.ec2.terminate_instances, InstanceIds=[instance_id])
            self.instances[instance_id] = "terminated"
            self.volumes = {name: "" if owner == instance_id else owner for name, owner in self.volumes.items()}

    def snapshot(self) -> None:
        if volume_id := self.free_volume():
            self.take(self.ec2.create_snapshot, VolumeId=volume_id)

    def copy(self) -> None:
        completed = self.ask(
            self.ec2.describe_snapshots, OwnerIds=["self"], Filters=[{"Name": "status", "Values": ["completed"]}]
        )
        if known := sorted(one["SnapshotId"] for one in completed["Snapshots"]):
            source = self.random.choice(known)
            self.take(self.ec2.copy_snapshot, SourceRegion=self.ec2.meta.region_name, SourceSnapshotId=source)

    def write(self) -> None:
        """A snapshot by blocks; each of its requests may be repeated."""
        token = str(uuid.UUID(int=self.random.getrandbits(128)))
        snapshot_id = self.ask(self.ebs.start_snapshot, VolumeSize=1, ClientToken=token)["SnapshotId"]
        blocks = {self.random.randrange(2048): self.random.randbytes(512 << 10) for _ in range(2)}
        digests = [hashlib.sha256(content).digest() for _, content in sorted(blocks.items())]
        for index, content in blocks.items():
            checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
            self.ask(
                self.ebs.put_snapshot_block, SnapshotId=snapshot_id, BlockIndex=index, BlockData=content,
                DataLength=len(content), Checksum=checksum, ChecksumAlgorithm="SHA256",
            )  # fmt: skip
        self.ask(
            self.ebs.complete_snapshot, SnapshotId=snapshot_id, ChangedBlocksCount=len(blocks),
            Checksum=base64.b64encode(hashlib.sha256(b"".join(digests)).digest()).decode(),
            ChecksumAlgorithm="SHA256", ChecksumAggregationMethod="LINEAR",
        )  # fmt: skip
        self.snapshots.add(snapshot_id)
        self.written[snapshot_id] = blocks

    def read(self, snapshot_id: str) -> dict[int, bytes]:
        """All blocks of a snapshot."""
        listed = self.ebs.list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"]
        return {
            one["BlockIndex"]: self.ebs.get_snapshot_block(SnapshotId=snapshot_id, **one)["BlockData"].read()
            for one in listed
        }

    def take(self, call: Callable[..., Any], **given: Any) -> None:
        """CreateSnapshot and CopySnapshot know no token: a repetition may make a second one."""
        while True:
            try:
                self.snapshots.add(call(**given)["SnapshotId"])
                return
            except (BotoCoreError, ClientError) as error:
                if not without_answer(error):
                    raise
                self.unanswered_snapshots += 1
                pause()

    def delete(self) -> None:
        if volume_id := self.free_volume():
            try:
                self.ask(self.ec2.delete_volume, VolumeId=volume_id)
            except ClientError:
                # The first of several may have been done without an answer: then the next find it going, or gone.
                if not self.is_gone(volume_id):
                    raise
            del self.volumes[volume_id]

    def is_gone(self, volume_id: str) -> bool:
        by_id = [{"Name": "volume-id", "Values": [volume_id]}]
        found = self.ask(self.ec2.describe_volumes, Filters=by_id)["Volumes"]
        return all(volume["State"] == "deleting" for volume in found)

    def difference(self) -> str:
        """What of the cloud is not yet as it was promised; "" when it is."""
        pages = self.ec2.describe_instances()["Reservations"]
        instances = {one["InstanceId"]: one["State"]["Name"] for page in pages for one in page["Instances"]}
        if instances != self.instances:
            return f"instances: {instances} instead of {self.instances}"
        volumes = {
            one["VolumeId"]: (one["State"], [(a["InstanceId"], a["State"]) for a in one["Attachments"]])
            for one in self.ec2.describe_volumes()["Volumes"]
        }
        expected = {
            name: ("in-use", [(owner, "attached")]) if owner else ("available", [])
            for name, owner in self.volumes.items()
        }
        if volumes != expected:
            return f"volumes: {volumes} instead of {expected}"
        snapshots = {
            one["SnapshotId"]: one["State"] for one in self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        }
        if set(snapshots.values()) - {"completed"} or not self.snapshots <= set(snapshots):
            return f"snapshots: {snapshots} instead of {self.snapshots}"
        if len(snapshots) > len(self.snapshots) + self.unanswered_snapshots:
            return f"more snapshots than were asked for: {snapshots} instead of {self.snapshots}"
        return self.hardware(set(snapshots))

    def hardware(self, snapshots: set[str]) -> str:
        """The same question to the fake hypervisor's and the fake pool's own folders."""
        domains = {domain.instance_id: domain.power for domain in asyncio.run(self.hypervisor().observe())}
        on = {name for name, power in domains.items() if power is Power.RUNNING}
        if on != {name for name, state in self.instances.items() if state == "running"}:
            return f"machines that run: {on}"
        if set(domains) - {name for name, state in self.instances.items() if state != "terminated"}:
            return f"machines: {domains}"
        pool = asyncio.run(self.pool())
        if (set(pool.volumes), set(pool.snapshots), pool.drafts) != (set(self.volumes), snapshots, frozenset()):
            return f"the pool holds {pool}"
        return ""

    def hypervisor(self) -> FakeHypervisor:
        return FakeHypervisor(self.cloud.installation.folder("nc") / "hypervisor")

    async def pool(self) -> PoolSeen:
        driver = FakeDriver(self.cloud.installation.folder("sc") / "pool")
        await driver.open(lambda: None)
        return await driver.observe()


@pytest.fixture
def cloud(tmp_path: Path, empty_database: NewDatabase) -> Iterator[ProcessCloud]:
    with (
        empty_database() as clc,
        empty_database() as walrus,
        ProcessCloud(tmp_path, clc={"database": clc}, walrus={"database": walrus}) as running,
    ):
        yield running


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_the_cloud_keeps_its_word(cloud: ProcessCloud, seed: int) -> None:
    worker = Worker(cloud, seed)
    worker.prepare()
    with Killer(cloud, seed) as killer:
        while len(killer.killed) < KILLS:
            worker.work()
    cloud.bring_up()
    try:
        wait_until(lambda: worker.difference() == "", limit_s=REST_S, every_s=0.5)
    except TimeoutError:
        raise AssertionError(f"{worker.difference()} (killed: {', '.join(killer.killed)})") from None
    for token, instance_id in worker.launches.items():
        assert worker.request(token) == instance_id, "the same token, another instance"
    assert worker.difference() == ""
    for snapshot_id, blocks in worker.written.items():
        assert worker.read(snapshot_id) == blocks
