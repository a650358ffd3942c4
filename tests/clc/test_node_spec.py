"""An instance's rows as what its node is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from eucapy.clc.specs.node import instance_spec
from eucapy.wire.node import (
    DiskSpec,
    EphemeralSpec,
    ImageRoot,
    InstanceSpec,
    NicSpec,
    ObjectSource,
    RoleCredentials,
    VolumeRoot,
)

OBJECT = {"kind": "image", "bucket": "b", "key": "k", "etag": "e", "size_bytes": 9, "format": "raw", "size_gib": 1}


class Blocks:
    def vpc(self, vpc_id: str) -> tuple[str, ...]:
        return ("172.31.0.0/16",)

    def subnet(self, subnet_id: str) -> str:
        return "172.31.16.0/20"

    def vpc6(self, vpc_id: str) -> tuple[str, ...]:
        return ("fd00:1::/56",)

    def subnet6(self, subnet_id: str) -> str:
        return "fd00:1::/64"


def row(**given: Any) -> Any:
    values: dict[str, Any] = {
        "id": "i-1", "uuid": "ec2u", "account": "111122223333", "vcpus": 1, "memory_mib": 512, "state": "running",
        "leaving": False, "node": "n1", "run": True, "starts": 2, "reboots": 1, "force_stop": False, "root": OBJECT,
        "root_device": "/dev/sda1", "image_id": "ami-1", "ephemerals": [], "architecture": "x86_64",
        "boot_mode": "legacy-bios", "zone": "z", "instance_type": "t2.nano", "reservation_id": "r-1", "launch_index": 0,
        "launched_at": 5.0, "key_name": "k", "public_key": "ssh-ed25519 AAAA", "user_data": "aGk=",
        "metadata_enabled": True, "metadata_tokens": "required", "metadata_hops": 2, "metadata_tags": False,
        "profile_id": "", "profile_arn": "", "profile_at": None, "credentials": None,
    }  # fmt: skip
    return SimpleNamespace(**{**values, **given})


NIC = SimpleNamespace(
    id="eni-1", device_index=0, mac="02:00:00:00:00:01", tap="vn1", vpc_id="vpc-1", subnet_id="subnet-1",
    private_ip="172.31.16.4", secondary_ips=["172.31.16.5"], ipv6s=["fd00:1::7"], public_ip="203.0.113.9",
    account="111122223333", groups=[["sg-1", "default"]], attachment_id="eni-attach-1", state="in-use",
)  # fmt: skip


def disk(device: str, export: str = "nbd+unix:///v?socket=/s", state: str = "attached") -> Any:
    return SimpleNamespace(
        id=f"vatt-{device[-1]}",
        volume_id=f"vol-{device[-1]}",
        device=device,
        export=export,
        export_node="n1",
        size_gib=1,
        state=state,
    )


def spec(instance: Any, **given: Any) -> InstanceSpec:
    return instance_spec(instance, region="us-east-1", cidrs=Blocks(), **given)


def test_all_that_a_node_needs() -> None:
    made = spec(row(), interfaces=[NIC], attachments=[disk("/dev/sdf")])
    assert made.root == ImageRoot(
        image_id="ami-1",
        source=ObjectSource(bucket="b", key="k", etag="e", size_bytes=9, format="raw"),
        size_gib=1,
    )
    assert made.nics == (
        NicSpec(
            interface_id="eni-1",
            device_index=0,
            mac="02:00:00:00:00:01",
            tap="vn1",
            vpc_id="vpc-1",
            vpc_cidrs=("172.31.0.0/16",),
            subnet_id="subnet-1",
            subnet_cidr="172.31.16.0/20",
            private_ips=("172.31.16.4", "172.31.16.5"),
            ipv6s=("fd00:1::7",),
            vpc_cidrs6=("fd00:1::/56",),
            subnet_cidr6="fd00:1::/64",
            attachment_id="eni-attach-1",
            public_ip="203.0.113.9",
            private_dns="ip-172-31-16-4.ec2.internal",
            public_dns="ec2-203-0-113-9.compute-1.amazonaws.com",
            owner_id="111122223333",
            group_ids=("sg-1",),
            group_names=("default",),
        ),
    )
    assert made.disks == (
        DiskSpec(
            volume_id="vol-f", attachment_id="vatt-f", device="/dev/sdf", export="nbd+unix:///v?socket=/s", size_gib=1
        ),
    )
    assert (made.run, made.starts, made.reboots, made.gone) == (True, 2, 1, False)
    assert made.metadata.public_keys == (("k", "ssh-ed25519 AAAA"),)
    assert made.metadata.options.tokens_required
    assert made.metadata.hostname == "ip-172-31-16-4.ec2.internal"
    assert made.metadata.block_devices == (("ami", "/dev/sda1"), ("ebs1", "/dev/sdf"), ("root", "/dev/sda1"))


@pytest.mark.parametrize("instance", [row(state="shutting-down"), row(state="terminated"), row(leaving=True)])
def test_a_tombstone_needs_no_other_row(instance: Any) -> None:
    made = spec(instance)
    assert (made.gone, made.run, made.nics, made.disks) == (True, False, (), ())


def test_a_volume_is_a_disk_once_it_can_be_reached_and_until_it_is_taken_away() -> None:
    disks = [disk("/dev/sdf", export=""), disk("/dev/sdg", state="detaching"), disk("/dev/sdh", state="attaching")]
    assert [one.device for one in spec(row(), attachments=disks).disks] == ["/dev/sdh"]


def test_a_root_volume_is_named_by_its_id() -> None:
    assert spec(row(root={"kind": "volume", "volume_id": "vol-1"})).root == VolumeRoot(volume_id="vol-1")


def test_instance_store_disks() -> None:
    made = spec(row(ephemerals=[{"name": "ephemeral0", "device": "/dev/sdb", "size_gib": 4}]))
    assert made.ephemerals == (EphemeralSpec(name="ephemeral0", device="/dev/sdb", size_gib=4),)
    assert ("ephemeral0", "/dev/sdb") in made.metadata.block_devices


def test_tags_are_told_only_when_the_instance_asks_for_them() -> None:
    tags = [{"Key": "Name", "Value": "web"}]
    assert spec(row(), tags=tags).metadata.tags == ()
    assert spec(row(metadata_tags=True), tags=tags).metadata.tags == (("Name", "web"),)


HELD = {
    "node": "n1", "key": "k", "profile": "AIPA1", "role_id": "AROA1", "role": "builder", "sealed": "…", "issued_at": 7,
    "expires_at": 9,
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, True),
        ({"node": "n2"}, False),
        ({"profile_id": "AIPA2"}, False),
        ({"credentials": None}, False),
        ({"state": "shutting-down"}, False),
    ],
)
def test_credentials_go_to_the_node_and_the_profile_that_they_were_made_for(given: dict[str, Any], told: bool) -> None:
    one = {"profile_id": "AIPA1", "profile_arn": "arn:p", "profile_at": 5.5, "credentials": HELD}
    metadata = spec(row(**{**one, **given})).metadata
    assert metadata.instance_profile_arn == "arn:p"
    assert metadata.instance_profile_at == 5
    expected = RoleCredentials(role="builder", sealed="…", issued_at=7, expires_at=9)
    assert metadata.credentials == (expected if told else None)
