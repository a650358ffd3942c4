"""Specs of instances for tests: small, whole, and easy to vary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from eucapy.wire.node import ImageRoot, InstanceSpec, MetadataOptions, MetadataSpec, NicSpec, ObjectSource
from eucapy.wire.objects import Changed

SOURCE = ObjectSource(bucket="images", key="starter.raw", etag="abc", size_bytes=1 << 20, format="raw")


def instance(instance_id: str = "i-00000000000000001", **changes: Any) -> InstanceSpec:
    """An instance from a cached image, with one network interface."""
    spec = InstanceSpec(
        instance_id=instance_id,
        uuid=f"ec2{instance_id[-5:]}-0000-4000-8000-000000000001",
        vcpus=1,
        memory_mib=192,
        root=ImageRoot(image_id="ami-1", source=SOURCE, size_gib=0),
        root_device="/dev/sda1",
        nics=(
            NicSpec(
                interface_id="eni-1",
                device_index=0,
                mac="02:00:00:00:00:01",
                tap="vn00000000001",
                vpc_id="vpc-1",
                vpc_cidrs=("172.31.0.0/16",),
                subnet_id="subnet-1",
                subnet_cidr="172.31.0.0/20",
                private_ips=("172.31.0.5",),
                public_ip="203.0.113.7",
                private_dns="ip-172-31-0-5.ec2.internal",
                public_dns="ec2-203-0-113-7.compute-1.amazonaws.com",
                owner_id="123456789012",
                group_ids=("sg-1",),
                group_names=("default",),
            ),
        ),
        metadata=MetadataSpec(
            account_id="123456789012",
            region="us-east-1",
            zone="us-east-1a",
            zone_id="use1-az6",
            image_id="ami-1",
            instance_type="t2.micro",
            reservation_id="r-1",
            launched_at=1_800_000_000.0,
            hostname="ip-172-31-0-5.ec2.internal",
            public_keys=(("mine", "ssh-ed25519 AAAA mine"),),
            user_data="IyEvYmluL3NoCg==",
            block_devices=(("ami", "sda1"), ("root", "/dev/sda1")),
            tags=(("Name", "web"),),
            options=MetadataOptions(),
        ),
    )
    return msgspec.structs.replace(spec, **changes)


class Shelf:
    """An object store for one image of a mebibyte; can be away, or have another object under the name."""

    def __init__(self) -> None:
        self.fetches = 0
        self.away: Exception | None = None
        self.changed = False

    async def fetch(self, source: ObjectSource, into: Path, progress: Any) -> None:
        self.fetches += 1
        if self.away is not None:
            raise self.away
        if self.changed:
            raise Changed("replaced")
        into.write_bytes(bytes(source.size_bytes))
        progress(source.size_bytes)
