"""Images in a bucket and instances of them, for tests of instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eucapy.wire.contract import Unreachable
from tests.harness.cloud import Cloud

DISK = b"\x00" * (1 << 20)


def image(cloud: Cloud, name: str = "starter", account: str = "eucalyptus", **given: Any) -> str:
    """An available image of a raw disk in the account's bucket."""
    s3, bucket = cloud.client("s3", account), f"images-{account}"
    if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=f"{name}.raw", Body=DISK)
    ec2 = cloud.client("ec2", account)
    image_id = ec2.register_image(**{"Name": name, "ImageLocation": f"{bucket}/{name}.raw", **given})["ImageId"]
    cloud.settle()
    return str(image_id)


def launch(cloud: Cloud, image_id: str, count: int = 1, account: str = "eucalyptus", **given: Any) -> list[str]:
    """Instances, and every loop to rest: they run."""
    made = cloud.client("ec2", account).run_instances(
        **{"ImageId": image_id, "MinCount": count, "MaxCount": count, "InstanceType": "t2.micro", **given}
    )
    cloud.settle()
    return [one["InstanceId"] for one in made["Instances"]]


def described(cloud: Cloud, instance_id: str, account: str = "eucalyptus") -> dict[str, Any]:
    answer = cloud.client("ec2", account).describe_instances(InstanceIds=[instance_id])
    found: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    return found


def state(cloud: Cloud, instance_id: str) -> str:
    return str(described(cloud, instance_id)["State"]["Name"])


def error(call: Callable[..., Any], **given: Any) -> tuple[str, str]:
    """The code and message that the call is refused with."""
    with pytest.raises(ClientError) as caught:
        call(**given)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def node_of(cloud: Cloud, instance_id: str) -> Any:
    """The fake node that has the instance's machine."""
    for zone in cloud.dev.zones.values():
        for node in zone.nodes.values():
            domains = cloud.run(node.hypervisor.observe())
            if any(domain.instance_id == instance_id for domain in domains):
                return node
    raise LookupError(f"no node has {instance_id}")


def step(cloud: Cloud) -> None:
    """One round of every loop."""

    async def work() -> None:
        for loop in cloud.dev.loops():
            await loop.activate()

    cloud.run(work())


def lose(cloud: Cloud, node: Any) -> None:
    """The node answers nobody any more, for long enough to be lost; what runs on it goes on."""

    async def silent(*_: Any) -> Any:
        raise Unreachable(f"{node.name} is away")

    for agent in (node.nc, node.eucanetd):
        agent.put_spec = agent.get_status = silent
    for seconds in (0, 10, 70):
        cloud.advance(seconds)


def regain(cloud: Cloud, node: Any) -> None:
    """It is back."""
    for agent in (node.nc, node.eucanetd):
        del agent.put_spec, agent.get_status
    cloud.settle()
