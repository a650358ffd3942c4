"""Does the API say what the hardware is? Asked of a settled cloud of fakes; whatever died before, the answer must be yes."""

from __future__ import annotations

from typing import Any

from eucapy.drivers.hypervisor.base import disk_serial
from tests.harness.cloud import Cloud


def check(cloud: Cloud) -> None:
    """Every instance, volume, snapshot and interface of the first account, against every node and pool."""
    ec2 = cloud.client("ec2")
    instances = {
        one["InstanceId"]: one for page in ec2.describe_instances()["Reservations"] for one in page["Instances"]
    }
    volumes = {one["VolumeId"]: one for one in ec2.describe_volumes()["Volumes"]}
    _machines(cloud, instances, volumes)
    _storage(cloud, ec2, instances, volumes)
    _interfaces(ec2, instances)


def _machines(cloud: Cloud, instances: dict[str, Any], volumes: dict[str, Any]) -> None:
    """A machine runs exactly once for each running instance, with exactly its disks and cards; nothing is left of those that
    ended."""
    domains: dict[str, Any] = {}
    folders: set[str] = set()
    for zone in cloud.dev.zones.values():
        for node in zone.nodes.values():
            for domain in cloud.run(node.hypervisor.observe()):
                assert domain.instance_id not in domains, f"{domain.instance_id} is on two nodes"
                domains[domain.instance_id] = domain
            folders |= set(node.nc._records.known())
    for instance_id, one in instances.items():
        state = one["State"]["Name"]
        assert state in ("running", "stopped", "terminated"), f"{instance_id} is {state} for good"
        domain = domains.pop(instance_id, None)
        if state == "running":
            assert domain is not None and domain.power == "running", instance_id
            assert {disk.serial for disk in domain.disks} == _serials(one, volumes), instance_id
            cards = {nic["MacAddress"] for nic in one["NetworkInterfaces"]}
            assert {nic.mac for nic in domain.nics} == cards, instance_id
        elif state == "stopped":
            assert domain is None or domain.power == "off", instance_id
        else:
            assert (domain, instance_id in folders) == (None, False), instance_id
    assert domains == {}, "machines that the API does not know of"


def _serials(instance: Any, volumes: dict[str, Any]) -> set[str]:
    attached = {
        volume_id
        for volume_id, volume in volumes.items()
        for attachment in volume["Attachments"]
        if (attachment["InstanceId"], attachment["State"]) == (instance["InstanceId"], "attached")
    }
    local = {"root"} if instance["RootDeviceType"] == "instance-store" else set()
    return {disk_serial(volume_id) for volume_id in attached} | local


def _storage(cloud: Cloud, ec2: Any, instances: dict[str, Any], volumes: dict[str, Any]) -> None:
    """A pool holds the API's volumes and snapshots and nothing else, and serves those that a machine uses, to it alone."""
    pools = [cloud.run(zone.block.observe()) for zone in cloud.dev.zones.values()]
    assert {volume_id for pool in pools for volume_id in pool.volumes} == set(volumes)
    assert {snapshot_id for pool in pools for snapshot_id in pool.snapshots} == {
        one["SnapshotId"] for one in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    }
    served = {volume_id for pool in pools for volume_id, volume in pool.volumes.items() if volume.exports}
    used = set()
    for volume_id, volume in volumes.items():
        assert volume["State"] in ("available", "in-use"), f"{volume_id} is {volume['State']} for good"
        assert (volume["State"] == "in-use") == bool(volume["Attachments"]), volume_id
        for attachment in volume["Attachments"]:
            assert attachment["State"] == "attached", f"{volume_id} is {attachment['State']} for good"
            if instances[attachment["InstanceId"]]["State"]["Name"] == "running":
                used.add(volume_id)
    assert served == used
    _proxies(cloud)


def _proxies(cloud: Cloud) -> None:
    """A volume that is served to a node of another host has one proxy there, and there are no others; nothing is left of
    copies of root disks."""
    for zone in cloud.dev.zones.values():
        far = {
            (export.node, attachment_id)
            for volume in cloud.run(zone.block.observe()).volumes.values()
            for attachment_id, export in volume.exports.items()
            if export.node
        }
        proxies = {
            (name, attachment_id)
            for name, node in zone.nodes.items()
            for attachment_id, proxy in node.proxies.observe().items()
            if proxy.running
        }
        assert proxies == far
        assert list(cloud.dev.data.glob(f"{zone.name}/*/nc/instances/*/*.capture")) == []


def _interfaces(ec2: Any, instances: dict[str, Any]) -> None:
    """An interface belongs to an instance that has a future, and each of those has one first of all."""
    living = {name for name, one in instances.items() if one["State"]["Name"] != "terminated"}
    attached = [
        one["Attachment"] for one in ec2.describe_network_interfaces()["NetworkInterfaces"] if one.get("Attachment")
    ]
    assert {one["InstanceId"] for one in attached} <= living
    assert sorted(one["InstanceId"] for one in attached if one["DeviceIndex"] == 0) == sorted(living)
