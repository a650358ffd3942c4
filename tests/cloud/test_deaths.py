"""Every process dies at once after the n-th step of a story, for every n: what was acknowledged becomes true all the same,
nothing is lost, and nothing is done twice.

The drivers keep the hardware: machines, pools and networks outlive the processes, as they do on a host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eucapy_services.devcloud import cloud as devcloud

from tests.clc import ebs, importing, launching
from tests.harness import agreement
from tests.harness.cloud import Cloud
from tests.harness.deaths import Deaths
from tests.harness.postgres import NewDatabase

pytestmark = pytest.mark.timeout(900)

MOST_STEPS = 80
DEVICE = "/dev/sdf"
ROOTS = ("image", "volume")


class Stage:
    """One zone with one node, and what the stories start from."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        cloud.settle()
        self.images = {"image": launching.image(cloud), "volume": ebs.image(cloud)}

    @property
    def ec2(self) -> Any:
        return self.cloud.client("ec2")

    def request(self, root: str, token: str = "") -> dict[str, Any]:
        given = {"ImageId": self.images[root], "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro"}
        return {**given, "ClientToken": token} if token else given

    def instance(self, root: str) -> str:
        instance_id = self.ec2.run_instances(**self.request(root))["Instances"][0]["InstanceId"]
        self.cloud.settle()
        return str(instance_id)

    def volume(self) -> str:
        volume_id = str(self.ec2.create_volume(AvailabilityZone=ebs.ZONE, Size=1)["VolumeId"])
        self.cloud.settle()
        self.cloud.dev.zones[ebs.ZONE].block.write(volume_id, 0, "kept")
        return volume_id

    def word(self, volume_id: str) -> str:
        return self.cloud.dev.zones[ebs.ZONE].block.read(volume_id, 0)

    def state(self, instance_id: str) -> str:
        return launching.state(self.cloud, instance_id)

    def machine(self, instance_id: str) -> Any:
        """What the fake host keeps of a machine, over all lives of the driver."""
        (node,) = self.cloud.dev.zones[ebs.ZONE].nodes.values()
        return node.hypervisor._domains[instance_id]

    def end(self, *instance_ids: str) -> None:
        self.ec2.terminate_instances(InstanceIds=list(instance_ids))
        self.cloud.settle()


@pytest.fixture
def stage(tmp_path: Path, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """The node is on another host than the storage: its volumes come through proxies."""
    monkeypatch.setattr(devcloud, "FIRST_NODES", frozenset())
    with new_database() as url, Cloud(tmp_path / "cloud", database=url, zones=("a",), nodes_per_zone=1) as cloud:
        yield Stage(cloud)


def at_every_step(
    stage: Stage, story: Callable[[], object], check: Callable[[list[str]], None], prepare: Callable[[], object]
) -> None:
    """`prepare`, then die after the n-th step of `story` and its consequences, come back, settle and `check` what is; until
    the story was over before the n-th step. `check` is told the steps that were taken before the death."""
    for number in range(1, MOST_STEPS):
        prepare()
        deaths = Deaths(stage.cloud)
        with deaths.after(number):
            story()
            stage.cloud.settle()
        if deaths.happened:
            stage.cloud.reboot()
        stage.cloud.settle()
        try:
            check(deaths.steps)
            agreement.check(stage.cloud)
        except AssertionError as error:
            raise AssertionError(f"died after step {number}: {', '.join(deaths.steps)}") from error
        if not deaths.happened:
            assert number > 3, "a story of so few steps proves nothing"
            return
    raise AssertionError(f"the story has more than {MOST_STEPS} steps")


class Subject:
    """What the story of this round is about."""

    instance_id = volume_id = ""
    number = 0


@pytest.mark.parametrize("root", ROOTS)
def test_launch(stage: Stage, root: str) -> None:
    """The client repeats its request, under the same token, when it got no answer: one reservation comes of it."""
    subject = Subject()

    def prepare() -> None:
        subject.number += 1
        if subject.instance_id:
            stage.end(subject.instance_id)

    def ask() -> str:
        answer = stage.ec2.run_instances(**stage.request(root, f"token-{subject.number}"))
        return str(answer["Instances"][0]["InstanceId"])

    def check(steps: list[str]) -> None:
        subject.instance_id = ask()
        stage.cloud.settle()
        alive = [
            one["InstanceId"]
            for page in stage.ec2.describe_instances()["Reservations"]
            for one in page["Instances"]
            if one["State"]["Name"] != "terminated"
        ]
        assert alive == [subject.instance_id]
        assert stage.state(subject.instance_id) == "running"
        assert stage.machine(subject.instance_id).starts == 1

    at_every_step(stage, ask, check, prepare)


@pytest.mark.parametrize("root", ROOTS)
def test_stop(stage: Stage, root: str) -> None:
    instance_id = stage.instance(root)

    def prepare() -> None:
        if stage.state(instance_id) != "running":
            stage.ec2.start_instances(InstanceIds=[instance_id])
            stage.cloud.settle()

    at_every_step(
        stage,
        lambda: stage.ec2.stop_instances(InstanceIds=[instance_id]),
        lambda steps: _is(stage, instance_id, "stopped"),
        prepare,
    )


@pytest.mark.parametrize("root", ROOTS)
def test_start(stage: Stage, root: str) -> None:
    instance_id = stage.instance(root)
    before = 0

    def prepare() -> None:
        nonlocal before
        stage.ec2.stop_instances(InstanceIds=[instance_id])
        stage.cloud.settle()
        before = stage.machine(instance_id).starts if root == "image" else 0

    def check(steps: list[str]) -> None:
        _is(stage, instance_id, "running")
        assert stage.machine(instance_id).starts == before + 1

    at_every_step(stage, lambda: stage.ec2.start_instances(InstanceIds=[instance_id]), check, prepare)


def test_reboot(stage: Stage) -> None:
    """Asked for once, unless death came between the button and the note: then it is pressed again, never lost."""
    instance_id = stage.instance("image")
    before = 0

    def prepare() -> None:
        nonlocal before
        before = stage.machine(instance_id).resets

    def check(steps: list[str]) -> None:
        _is(stage, instance_id, "running")
        again = steps[-1] == "reboot"
        assert stage.machine(instance_id).resets - before == (2 if again else 1)
        assert stage.machine(instance_id).starts == 1

    at_every_step(stage, lambda: stage.ec2.reboot_instances(InstanceIds=[instance_id]), check, prepare)


@pytest.mark.parametrize("root", ROOTS)
def test_terminate(stage: Stage, root: str) -> None:
    """With a volume that goes with it, or the root on one, and another one that stays."""
    subject = Subject()
    subject.volume_id = stage.volume()

    def prepare() -> None:
        subject.instance_id = stage.instance(root)
        stage.ec2.attach_volume(VolumeId=subject.volume_id, InstanceId=subject.instance_id, Device=DEVICE)
        stage.cloud.settle()

    def check(steps: list[str]) -> None:
        _is(stage, subject.instance_id, "terminated")
        assert [one["VolumeId"] for one in stage.ec2.describe_volumes()["Volumes"]] == [subject.volume_id]
        assert stage.word(subject.volume_id) == "kept"

    at_every_step(stage, lambda: stage.ec2.terminate_instances(InstanceIds=[subject.instance_id]), check, prepare)


def test_attach(stage: Stage) -> None:
    instance_id, volume_id = stage.instance("image"), stage.volume()

    def prepare() -> None:
        if stage.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["Attachments"]:
            stage.ec2.detach_volume(VolumeId=volume_id)
            stage.cloud.settle()

    def check(steps: list[str]) -> None:
        (volume,) = stage.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
        assert [one["State"] for one in volume["Attachments"]] == ["attached"]
        assert stage.word(volume_id) == "kept"

    at_every_step(
        stage,
        lambda: stage.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE),
        check,
        prepare,
    )


def test_detach(stage: Stage) -> None:
    instance_id, volume_id = stage.instance("image"), stage.volume()

    def prepare() -> None:
        stage.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
        stage.cloud.settle()

    def check(steps: list[str]) -> None:
        (volume,) = stage.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
        assert (volume["State"], volume["Attachments"]) == ("available", [])
        assert stage.word(volume_id) == "kept"

    at_every_step(stage, lambda: stage.ec2.detach_volume(VolumeId=volume_id), check, prepare)


def test_attach_and_detach_an_interface(stage: Stage) -> None:
    """While the guest runs: it has the card, or nobody knows of it any more."""
    instance_id = stage.instance("image")
    (reservation,) = stage.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    made = stage.ec2.create_network_interface(SubnetId=reservation["Instances"][0]["SubnetId"])["NetworkInterface"]
    interface_id = made["NetworkInterfaceId"]

    def shown() -> tuple[str, str]:
        (one,) = stage.ec2.describe_network_interfaces(NetworkInterfaceIds=[interface_id])["NetworkInterfaces"]
        return one["Status"], one.get("Attachment", {}).get("AttachmentId", "")

    def has_card() -> bool:
        return made["MacAddress"] in {nic.mac for nic in stage.machine(instance_id).now.nics}

    def attach() -> None:
        stage.ec2.attach_network_interface(NetworkInterfaceId=interface_id, InstanceId=instance_id, DeviceIndex=1)
        stage.cloud.settle()

    def detach() -> None:
        if attachment_id := shown()[1]:
            stage.ec2.detach_network_interface(AttachmentId=attachment_id)
        stage.cloud.settle()

    def joined(steps: list[str]) -> None:
        assert (shown()[0], has_card()) == ("in-use", True)

    def left(steps: list[str]) -> None:
        assert (shown()[0], has_card()) == ("available", False)

    at_every_step(stage, attach, joined, detach)
    detach()
    at_every_step(stage, detach, left, attach)


def test_grow(stage: Stage) -> None:
    """A volume that a running guest has: asked for once more under the same wish, when there was no answer."""
    instance_id, volume_id = stage.instance("image"), stage.volume()
    stage.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
    stage.cloud.settle()
    size_gib = 1

    def prepare() -> None:
        nonlocal size_gib
        size_gib += 1
        stage.cloud.advance(6 * 3600)

    def check(steps: list[str]) -> None:
        (volume,) = stage.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
        (change,) = stage.ec2.describe_volumes_modifications(VolumeIds=[volume_id])["VolumesModifications"]
        assert (volume["Size"], change["TargetSize"], change["ModificationState"]) == (size_gib, size_gib, "completed")
        (told,) = stage.machine(instance_id).grown.values()
        assert (told, stage.word(volume_id)) == (size_gib, "kept")

    at_every_step(stage, lambda: stage.ec2.modify_volume(VolumeId=volume_id, Size=size_gib), check, prepare)


def test_create_image(stage: Stage) -> None:
    """Of an instance whose root disk lies on its node, which is down for it and comes back once."""
    instance_id, round_ = stage.instance("image"), Subject()
    before = 0

    def prepare() -> None:
        nonlocal before
        round_.number += 1
        before = stage.machine(instance_id).starts

    def check(steps: list[str]) -> None:
        (image,) = stage.ec2.describe_images(Filters=[{"Name": "name", "Values": [f"copy {round_.number}"]}])["Images"]
        assert (image["State"], stage.state(instance_id)) == ("available", "running")
        assert stage.machine(instance_id).starts == before + 1

    def story() -> None:
        stage.ec2.create_image(InstanceId=instance_id, Name=f"copy {round_.number}")

    at_every_step(stage, story, check, prepare)


def test_import_image(stage: Stage) -> None:
    """Every import that was acknowledged makes one image of one snapshot, whoever died meanwhile."""
    where = {"Format": "VMDK", "UserBucket": importing.upload(stage.cloud, "disk.vmdk", importing.VMDK)}
    importing.role(stage.cloud)
    known: set[str] = set()

    def check(steps: list[str]) -> None:
        tasks = {one["ImportTaskId"]: one for one in stage.ec2.describe_import_image_tasks()["ImportImageTasks"]}
        (task_id,) = set(tasks) - known
        known.add(task_id)
        assert tasks[task_id]["Status"] == "completed", tasks[task_id]
        images = stage.ec2.describe_images(Filters=[{"Name": "name", "Values": ["import-ami-*"]}])["Images"]
        assert sorted(one["Name"] for one in images) == sorted(known)
        held = {one["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] for one in images}
        snapshots = stage.ec2.describe_snapshots(Filters=[{"Name": "description", "Values": ["*VMImport*"]}])[
            "Snapshots"
        ]
        assert {one["SnapshotId"] for one in snapshots} == held
        assert importing.strangers(stage.cloud) == []

    at_every_step(stage, lambda: stage.ec2.import_image(DiskContainers=[where]), check, lambda: None)


def test_snapshot(stage: Stage) -> None:
    """Every one that was acknowledged is there, whole; one that was not may be."""
    volume_id = stage.volume()
    known = {one["SnapshotId"] for one in stage.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    made: list[str] = []

    def check(steps: list[str]) -> None:
        found = {
            one["SnapshotId"]: one["State"] for one in stage.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        }
        new = set(found) - known
        assert len(new) == 1
        assert set(made) <= set(found)
        (snapshot_id,) = new
        assert found[snapshot_id] == "completed"
        copy = str(stage.ec2.create_volume(AvailabilityZone=ebs.ZONE, SnapshotId=snapshot_id)["VolumeId"])
        stage.cloud.settle()
        assert stage.word(copy) == "kept"
        stage.ec2.delete_volume(VolumeId=copy)
        stage.cloud.settle()
        known.add(snapshot_id)

    at_every_step(
        stage, lambda: made.append(stage.ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]), check, lambda: None
    )


def test_delete_a_volume(stage: Stage) -> None:
    volume_id = stage.volume()

    def prepare() -> None:
        nonlocal volume_id
        if not stage.ec2.describe_volumes()["Volumes"]:
            volume_id = stage.volume()

    def check(steps: list[str]) -> None:
        assert stage.ec2.describe_volumes()["Volumes"] == []

    at_every_step(stage, lambda: stage.ec2.delete_volume(VolumeId=volume_id), check, prepare)


def _is(stage: Stage, instance_id: str, expected: str) -> None:
    assert stage.state(instance_id) == expected
