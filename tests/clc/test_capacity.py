"""Room is asked for before it is promised, and what cannot be placed ends as EC2 ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eucapy.clc import capacity
from eucapy.clc.store import hosts
from eucapy.database import Tx
from eucapy.nc.config import Config as NodeConfig
from eucapy.wire.contract import Cursor
from tests.clc import ebs
from tests.clc.launching import described, error, image, launch, lose, node_of, state
from tests.harness.cloud import Cloud


def ask(image_id: str, **given: Any) -> dict[str, Any]:
    return {"ImageId": image_id, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro", **given}


def test_a_launch_before_any_node_has_reported_waits_for_it(tmp_path: Path) -> None:
    with Cloud(tmp_path / "cloud") as cloud:
        s3, ec2 = cloud.client("s3"), cloud.client("ec2")
        s3.create_bucket(Bucket="early")
        s3.put_object(Bucket="early", Key="disk", Body=b"\0" * 1024)
        image_id = ec2.register_image(Name="early", ImageLocation="early/disk")["ImageId"]
        images = next(loop for loop in cloud.dev.clc.loops.all() if loop.name == "images")
        cloud.run(images.activate())
        made = ec2.run_instances(**ask(image_id))["Instances"][0]["InstanceId"]
        cloud.settle()
        assert state(cloud, made) == "running"


def test_a_disk_on_a_lost_node_cannot_be_started_elsewhere(cloud: Cloud) -> None:
    cloud.settle()
    ec2 = cloud.client("ec2")
    (on_node,) = launch(cloud, image(cloud))
    node = node_of(cloud, on_node)
    ec2.stop_instances(InstanceIds=[on_node])
    cloud.settle()
    lose(cloud, node)
    assert error(ec2.start_instances, InstanceIds=[on_node])[0] == "InsufficientInstanceCapacity"
    assert state(cloud, on_node) == "stopped"


def test_a_root_volume_starts_wherever_there_is_room(cloud: Cloud) -> None:
    cloud.settle()
    ec2 = cloud.client("ec2")
    instance_id = ebs.instance(cloud, ebs.image(cloud))
    before = node_of(cloud, instance_id)
    ec2.stop_instances(InstanceIds=[instance_id])
    cloud.settle()
    lose(cloud, before)
    ec2.start_instances(InstanceIds=[instance_id])
    cloud.settle()
    assert state(cloud, instance_id) == "running"
    assert node_of(cloud, instance_id).name != before.name


def test_what_was_promised_and_finds_no_room_in_time_is_terminated_with_the_reason(cloud: Cloud) -> None:
    cloud.settle()
    made = cloud.client("ec2").run_instances(**ask(image(cloud)))
    instance_id = made["Instances"][0]["InstanceId"]

    async def hosts_go_away(tx: Tx) -> None:
        for host in await hosts.usable(tx):
            await hosts.put(tx, host.name, {"reachable": False}, known=True)

    cloud.run(cloud.dev.database.write(hosts_go_away))
    placement = next(loop for loop in cloud.dev.clc.loops.all() if loop.name == "placement")
    cloud.run(placement.activate())
    assert state(cloud, instance_id) == "pending"
    cloud.clock.shift_s += 121
    cloud.run(placement.activate())
    ended = described(cloud, instance_id)
    assert ended["State"]["Name"] == "terminated"
    assert ended["StateReason"] == {
        "Code": "Server.InsufficientInstanceCapacity",
        "Message": "Server.InsufficientInstanceCapacity: Insufficient capacity to satisfy instance request",
    }
    assert ended["NetworkInterfaces"] == []


def test_all_that_a_node_offers_is_given_out(cloud: Cloud) -> None:
    """The node has kept its own share back already (`reserve_memory_mib`); it is not taken twice."""
    cloud.settle()
    node = cloud.dev.node("node-a1")
    config = cloud.dev.clc.config

    async def look(tx: Tx) -> dict[str, int]:
        return {room.host: room.memory_mib for room in capacity.rooms(await hosts.usable(tx), {}, config)}

    offered = cloud.run(node.nc.get_status(Cursor(), 0)).host.memory_mib
    whole = cloud.run(node.hypervisor.capabilities()).memory_mib
    assert offered == whole - NodeConfig().reserve_memory_mib
    assert cloud.run(cloud.dev.database.read(look))["node-a1"] == offered
