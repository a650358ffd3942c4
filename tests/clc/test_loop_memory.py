"""What the loops remember spares work and decides nothing: a loop that has just begun does the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from eucapy.clc.reconcilers.cluster_sync import ClusterSync
from eucapy.clc.reconcilers.observe import REMEMBERED_S, Observe
from eucapy.clc.store import instances, ipv6_blocks, placed_ports, public_ranges, vms
from eucapy.clc.store.advance import advance, advance_all
from eucapy.database import Row, Tx
from eucapy.lifecycle.instance import INSTANCE
from eucapy.lifecycle.machine import NoSuchEdge
from eucapy.wire.cluster import ClusterSpec
from tests.clc.launching import described, image, launch, node_of, state
from tests.harness.cloud import Cloud


def activation(cloud: Cloud, name: str) -> Any:
    return next(loop for loop in cloud.dev.clc.loops.all() if loop.name == name)._activation


def compiled(cloud: Cloud, sync: ClusterSync) -> list[tuple[ClusterSpec, str]]:
    """Every zone's spec and its fingerprint."""
    zones = cloud.dev.config.zones
    return [cloud.run(cloud.dev.database.read(lambda tx, zone=zone: sync._compile(tx, zone))) for zone in zones]


def forgetful(cloud: Cloud) -> ClusterSync:
    config = cloud.dev.config
    blocks = [*public_ranges.blocks(config.public_ranges), ipv6_blocks.pool(config.ipv6_pool)]
    return ClusterSync(
        cloud.dev.database, cloud.dev, config.zones, config.region, lambda zone: None, guest_blocks=blocks
    )


def test_a_compilation_that_remembers_nothing_makes_the_same_of_every_change(cloud: Cloud) -> None:
    ec2, image_id = cloud.client("ec2"), image(cloud)
    first, second = cloud.dev.config.zones[:2]
    telling: dict[str, Any] = {"MetadataOptions": {"InstanceMetadataTags": "enabled"}}
    here = launch(cloud, image_id, 3, Placement={"AvailabilityZone": first}, **telling)
    there = launch(cloud, image_id, 2, Placement={"AvailabilityZone": second})
    vpc_id = described(cloud, here[0])["VpcId"]
    nic = described(cloud, here[0])["NetworkInterfaces"][0]["NetworkInterfaceId"]
    address = ec2.allocate_address()["AllocationId"]
    group = ec2.create_security_group(GroupName="other", Description="other", VpcId=vpc_id)["GroupId"]
    table = ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
    volume = ec2.create_volume(Size=1, AvailabilityZone=first)["VolumeId"]
    peer = [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "UserIdGroupPairs": [{"GroupId": group}]}]
    changes: list[Callable[[], Any]] = [
        lambda: ec2.create_tags(Resources=[here[0]], Tags=[{"Key": "a", "Value": "1"}]),
        lambda: ec2.reboot_instances(InstanceIds=[here[1]]),
        lambda: ec2.associate_address(AllocationId=address, InstanceId=there[0]),
        lambda: ec2.assign_private_ip_addresses(NetworkInterfaceId=nic, SecondaryPrivateIpAddressCount=1),
        lambda: ec2.modify_instance_attribute(InstanceId=there[1], Groups=[group]),
        lambda: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=peer),
        lambda: ec2.attach_volume(VolumeId=volume, InstanceId=here[2], Device="/dev/sdf"),
        lambda: ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": False}),
        lambda: ec2.stop_instances(InstanceIds=[here[0]]),
        lambda: ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0"),
        lambda: ec2.terminate_instances(InstanceIds=[here[1], there[0]]),
    ]
    warm = activation(cloud, "cluster_sync")
    seen = set()
    for number, change in enumerate(changes):
        change()
        for _ in range(2):
            made = compiled(cloud, warm)
            assert made == compiled(cloud, forgetful(cloud)), number
            seen.add(tuple(digest for _, digest in made))
            cloud.settle()
    assert len(seen) > len(changes)


def test_what_did_not_change_is_not_read_again(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    made = launch(cloud, image(cloud), 4)
    read: list[tuple[str, tuple[str, ...]]] = []

    def noted(module: Any, name: str) -> None:
        whole = getattr(module, name)

        async def note(tx: Tx, wanted: Sequence[str], *given: Any) -> Any:
            if wanted:
                read.append((name, tuple(wanted)))
            return await whole(tx, wanted, *given)

        monkeypatch.setattr(module, name, note)

    noted(placed_ports, "interfaces_of")
    noted(vms, "of_instances")
    cloud.client("ec2").reboot_instances(InstanceIds=made[1:2])
    cloud.run(activation(cloud, "cluster_sync")())
    assert read == [("interfaces_of", (made[1],))]
    read.clear()
    cloud.settle()
    assert {wanted for _, wanted in read} == {(made[1],)}


def test_a_report_that_is_looked_at_once_more_changes_nothing(cloud: Cloud) -> None:
    made = launch(cloud, image(cloud), 3)
    cloud.client("ec2").stop_instances(InstanceIds=made[:1])
    cloud.settle()
    observe: Observe = activation(cloud, "observe")
    before = rows(cloud)
    observe._applied.clear()
    assert cloud.run(observe()) is False
    assert rows(cloud) == before


def test_a_row_that_somebody_lost_is_there_again_after_a_while(cloud: Cloud) -> None:
    (instance_id,) = launch(cloud, image(cloud))
    before = rows(cloud)
    cloud.run(cloud.dev.database.write(lambda tx: vms.remove(tx, [instance_id])))
    cloud.advance(REMEMBERED_S)
    for _ in range(sum(len(zone.nodes) for zone in cloud.dev.zones.values())):
        cloud.run(activation(cloud, "observe")())
    assert rows(cloud) == before


def test_an_instance_that_its_node_forgot_is_forgotten_remembered_or_not(cloud: Cloud) -> None:
    for remembered in (True, False):
        (instance_id,) = launch(cloud, image(cloud, f"starter-{remembered}"))
        node_of(cloud, instance_id)
        cloud.client("ec2").terminate_instances(InstanceIds=[instance_id])
        if not remembered:
            activation(cloud, "observe")._applied.clear()
        cloud.settle()
        assert (state(cloud, instance_id), rows(cloud)) == ("terminated", [])


def rows(cloud: Cloud) -> list[Any]:
    async def all_of(tx: Tx) -> list[Any]:
        return [tuple(row) for row in await tx.all(sa.select(vms.table).order_by(vms.table.c.instance_id))]

    found: list[Any] = cloud.run(cloud.dev.database.read(all_of))
    return found


def test_many_move_together_and_who_was_moved_meanwhile_does_not(cloud: Cloud) -> None:
    made = launch(cloud, image(cloud), 3)

    async def work(tx: Tx) -> tuple[list[str], list[str]]:
        seen: list[Row] = await instances.judged(tx, made)
        other = next(row for row in seen if row.id == made[0])
        assert await advance(tx, INSTANCE, other, "terminate") == "shutting-down"
        moved = await advance_all(tx, INSTANCE, seen, "stop", force_stop=True)
        with pytest.raises(NoSuchEdge):
            await advance_all(tx, INSTANCE, await instances.judged(tx, made), "started")
        found = await instances.by_ids(tx, made)
        return sorted(row.id for row in moved), [found[name].state for name in made]

    moved, states = cloud.run(cloud.dev.database.write(work))
    assert moved == sorted(made[1:])
    assert states == ["shutting-down", "stopping", "stopping"]
