"""The cloud ends wherever it is killed: after any number of steps all processes stop and start again, and it converges,
with nothing lost and nothing done twice."""

from __future__ import annotations

from typing import Any

import pytest

from eucapy.drivers.hypervisor.fake import FakeHypervisor
from tests.clc import ebs
from tests.clc.launching import image, launch, node_of, state, step
from tests.harness.cloud import Cloud

STEPS = range(6)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The instances whose machines were started, one entry a start."""
    seen: list[str] = []
    start = FakeHypervisor.start

    async def counted(self: FakeHypervisor, instance_id: str) -> Any:
        seen.append(instance_id)
        return await start(self, instance_id)

    monkeypatch.setattr(FakeHypervisor, "start", counted)
    return seen


def killed_after(cloud: Cloud, steps: int) -> None:
    """So many rounds of every loop, then everything ends at once, comes back and settles."""
    for _ in range(steps):
        step(cloud)
    cloud.reboot()
    cloud.settle()


def test_a_launch_killed_at_every_step(cloud: Cloud, started: list[str]) -> None:
    cloud.settle()
    image_id = image(cloud)
    for steps in STEPS:
        ec2 = cloud.client("ec2")
        made = ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="t2.micro")
        instance_id = made["Instances"][0]["InstanceId"]
        killed_after(cloud, steps)
        assert (state(cloud, instance_id), started.count(instance_id)) == ("running", 1), steps


def test_an_end_killed_at_every_step(cloud: Cloud) -> None:
    cloud.settle()
    instances = launch(cloud, image(cloud), count=len(STEPS))
    for steps, instance_id in zip(STEPS, instances, strict=True):
        cloud.client("ec2").terminate_instances(InstanceIds=[instance_id])
        killed_after(cloud, steps)
        assert state(cloud, instance_id) == "terminated", steps
        with pytest.raises(LookupError):
            node_of(cloud, instance_id)


def test_a_stop_and_a_start_killed_at_every_step(cloud: Cloud, started: list[str]) -> None:
    cloud.settle()
    on_node, on_volume = launch(cloud, image(cloud))[0], ebs.instance(cloud, ebs.image(cloud))
    both = [on_node, on_volume]
    for steps in STEPS:
        before = [started.count(one) for one in both]
        cloud.client("ec2").stop_instances(InstanceIds=both)
        killed_after(cloud, steps)
        assert [state(cloud, one) for one in both] == ["stopped", "stopped"], steps
        cloud.client("ec2").start_instances(InstanceIds=both)
        killed_after(cloud, steps)
        assert [state(cloud, one) for one in both] == ["running", "running"], steps
        assert [started.count(one) for one in both] == [count + 1 for count in before], steps


def test_a_node_that_fails_at_every_step_of_a_launch(cloud: Cloud) -> None:
    cloud.settle()
    image_id = image(cloud)
    for number in range(1, 6):
        for zone in cloud.dev.zones.values():
            for node in zone.nodes.values():
                node.hypervisor.fail_at(number, after=number % 2 == 0)
        (instance_id,) = launch(cloud, image_id)
        for _ in range(8):
            cloud.advance(70)
        assert state(cloud, instance_id) == "running", number
