"""Requests by chance: parameters for any operation of EC2's model, half of them sensible and half hostile.

What a member is called decides which ids it is given (`VolumeId`, `SourceSecurityGroupName`): a request gets past the first
check often enough to reach what lies behind it. A seed makes the same requests again.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

DEEPEST = 5
TEXTS = (
    "", " ", "x", "default", "all", "self", "amazon", "true", "-1", "0", "a" * 300, "a" * 70_000, "nul\x00inside",
    "\x01\x02", "\ufffe", "ä€𝄞", "*", "?", "\\", "%_'\";--", "<a>&b;</a>", "../../etc/passwd", "/dev/sdf", "/dev/sda1",
    "aws:reserved", "tag:k", "tcp", "udp", "icmp", "-1", "us-east-1a", "us-east-1", "t2.micro", "hvm", "x86_64", "gp2",
    "io1", "10.0.0.0/16", "10.0.0.0/24", "0.0.0.0/33", "0.0.0.0/0", "::/0", "256.1.1.1", "172.31.0.9", "10.0.0.0/-1",
    "2001:db8::/32", "not/a/cidr", "nan", "inf", "-inf", "1e999", "9" * 400, "2026-01-01T00:00:00Z", "2026-*", "٣", "pending",
)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 4, 5, 8, 10, 22, 80, 100, 1000, -1, -2, 65535, 65536, 1 << 31, (1 << 31) - 1, -(1 << 31) - 1, 1 << 63,
           -(1 << 63), (1 << 63) - 1, 10**9, 10**18, 10**22)  # fmt: skip
MOMENTS = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
           dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 2, 3, tzinfo=dt.UTC))  # fmt: skip
FILTER_NAMES = (
    "tag:k", "tag-key", "tag-value", "vpc-id", "subnet-id", "instance-id", "state", "status", "owner-id", "group-id",
    "group-name", "image-id", "volume-id", "size", "volume-size", "create-time", "launch-time", "start-time", "name", "cidr",
    "is-default", "isDefault", "instance-state-name", "instance-state-code", "attachment.status", "availability-zone",
    "instance-type", "private-ip-address", "ip-permission.from-port", "resource-id", "resource-type", "key", "value",
    "available-ip-address-count", "owner-alias", "allocation-id", "public-ip", "encrypted", "is-public", "progress",
    "block-device-mapping.volume-id", "network-interface.addresses.association.public-ip", "requester-managed", "mac-address",
    "attachment.device-index", "route.destination-cidr-block", "key-name", "fingerprint", "description", "source-dest-check",
)  # fmt: skip
_PREFIX = (
    ("instanceid", "i"), ("volumeid", "vol"), ("snapshotid", "snap"), ("imageid", "ami"), ("groupid", "sg"), ("groups", "sg"),
    ("securitygroup", "sg"), ("subnetid", "subnet"), ("vpcid", "vpc"), ("networkinterfaceid", "eni"), ("keypairid", "key"),
    ("routetableid", "rtb"), ("gatewayid", "igw"), ("internetgatewayid", "igw"), ("allocationid", "eipalloc"),
    ("associationid", "association"), ("attachmentid", "eni-attach"), ("networkaclid", "acl"), ("dhcpoptions", "dopt"),
    ("ruleid", "sgr"), ("resourceid", ""), ("resources", ""), ("publicip", "ip"), ("keyname", "keyname"),
    ("groupname", "groupname"),
)  # fmt: skip


class Chance:
    """Makes parameters. `ids` are those that exist, by prefix; `association`, `ip`, `keyname` and `groupname` are kinds too."""

    def __init__(self, seed: int, ids: Mapping[str, Sequence[str]], hostility: float = 0.3) -> None:
        self._random = random.Random(seed)
        self._ids = ids
        self._hostility = hostility

    def parameters(self, shape: Shape | None) -> dict[str, Any]:
        """Members that are required nearly always, others now and then; never DryRun, which would undo it all."""
        if not isinstance(shape, StructureShape):
            return {}
        made = self._structure(shape, 0)
        made.pop("DryRun", None)
        if self._random.random() < 0.95:
            made.pop("NextToken", None)  # one that we did not give ends the request
        return made

    def _structure(self, shape: StructureShape, depth: int) -> dict[str, Any]:
        required = set(shape.required_members)
        made: dict[str, Any] = {}
        # A few optional members of many: each is met in some request, and none drowns the others.
        likely = min(0.6, 4 / max(1, len(shape.members)))
        for name, member in shape.members.items():
            if self._random.random() < (0.97 if name in required else likely):
                value = self._value(member, name, depth + 1)
                if value is not None:
                    made[name] = value
        if "Name" in made and "Values" in shape.members and self._random.random() < 0.9:
            made["Name"] = self._random.choice(FILTER_NAMES)
            made.setdefault("Values", [self._text("Value")])
        return made

    def _value(self, shape: Shape, name: str, depth: int) -> Any:
        choose = self._random
        if isinstance(shape, StructureShape):
            return self._structure(shape, depth) if depth < DEEPEST else None
        if isinstance(shape, ListShape):
            count = choose.choice((1, 1, 1, 2, 3)) if choose.random() < 0.99 else 1000
            made = [self._value(shape.member, name, depth + 1) for _ in range(count)]
            return [item for item in made if item is not None]
        if isinstance(shape, MapShape):
            return {self._text("Key"): self._value(shape.value, name, depth + 1)}
        kind = shape.type_name
        if kind == "boolean":
            return choose.random() < 0.5
        if kind in ("integer", "long"):
            return choose.choice(NUMBERS[: None if choose.random() < self._hostility else 10])
        if kind in ("float", "double"):
            return choose.choice((0.0, 1.5, -1.0, 1e308, float("nan"), float("inf")))
        if kind == "timestamp":
            return choose.choice(MOMENTS)
        if kind == "blob":
            return choose.randbytes(choose.choice((0, 1, 20, 20_000)))
        if shape.metadata.get("enum") and choose.random() > self._hostility:
            return choose.choice(shape.metadata["enum"])
        return self._text(name)

    def _text(self, name: str) -> str:
        choose = self._random
        lower = name.lower().removesuffix("s") if not name.lower().endswith("groups") else name.lower()
        if choose.random() > self._hostility:
            for ending, prefix in _PREFIX:
                if lower.endswith((ending.removesuffix("s"), ending)):
                    known = self._ids.get(prefix) if prefix else [one for many in self._ids.values() for one in many]
                    if known:
                        return choose.choice(list(known))
        if choose.random() < 0.2:
            prefix = choose.choice(["i", "vol", "snap", "ami", "sg", "subnet", "vpc", "eni", "rtb", "igw", "key"])
            return f"{prefix}-{choose.choice(['0123456789abcdef0', 'zz', '12345678', ''])}"
        return choose.choice(TEXTS)
