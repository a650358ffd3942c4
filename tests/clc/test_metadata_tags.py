"""What an instance's node is told for its metadata: tags when the instance asks for them, and nobody is woken otherwise; the
zone by its name and its id."""

from __future__ import annotations

from eucapy.wire.node import MetadataSpec
from tests.clc.launching import image, launch, node_of
from tests.harness.cloud import Cloud


def metadata_of(cloud: Cloud, instance_id: str) -> MetadataSpec:
    """What the instance's node knows."""
    zone = next(zone for zone in cloud.dev.zones.values() if node_of(cloud, instance_id).name in zone.nodes)
    spec = zone.cluster._keeper.spec
    assert spec is not None
    entry = next(entry for entry in spec.nodes.values() if instance_id in entry.instances)
    return entry.instances[instance_id].metadata


def told(cloud: Cloud, instance_id: str) -> tuple[tuple[str, str], ...]:
    """The tags that the instance's node knows."""
    return metadata_of(cloud, instance_id).tags


def test_tags_travel_only_to_those_who_asked(cloud: Cloud) -> None:
    cloud.settle()
    image_id, ec2 = image(cloud), cloud.client("ec2")
    (silent,) = launch(cloud, image_id)
    (telling,) = launch(cloud, image_id, MetadataOptions={"InstanceMetadataTags": "enabled"})
    woken: list[str] = []
    fire = cloud.dev.clc.loops.wake
    cloud.dev.clc.loops.wake = lambda name: (woken.append(name), fire(name))[1]  # type: ignore[method-assign]
    ec2.create_tags(Resources=[silent], Tags=[{"Key": "a", "Value": "1"}])
    assert woken == []
    ec2.create_tags(Resources=[telling], Tags=[{"Key": "a", "Value": "1"}])
    assert woken == ["cluster_sync"]
    cloud.settle()
    assert (told(cloud, silent), told(cloud, telling)) == ((), (("a", "1"),))
    ec2.modify_instance_metadata_options(InstanceId=silent, InstanceMetadataTags="enabled")
    ec2.delete_tags(Resources=[telling], Tags=[{"Key": "a"}])
    cloud.settle()
    assert (told(cloud, silent), told(cloud, telling)) == ((("a", "1"),), ())


def test_the_guest_is_told_the_id_of_its_zone_that_the_api_tells(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    (instance_id,) = launch(cloud, image(cloud), Placement={"AvailabilityZone": "us-east-1b"})
    (zone,) = ec2.describe_availability_zones(ZoneNames=["us-east-1b"])["AvailabilityZones"]
    cloud.settle()
    metadata = metadata_of(cloud, instance_id)
    assert (metadata.zone, metadata.zone_id) == ("us-east-1b", zone["ZoneId"]) and zone["ZoneId"] == "use1-az1"
