"""DescribeRegions and DescribeAvailabilityZones: this cloud's own region and its zones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from botocore.session import get_session

from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameterValue, InvalidZoneNotFound
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store.filters import demanded, pattern

_REGION_FILTERS = {"endpoint": "Endpoint", "opt-in-status": "OptInStatus", "region-name": "RegionName"}
_ZONE_FILTERS = {
    "group-long-name": "GroupLongName",
    "group-name": "GroupName",
    "message": "Message",
    "opt-in-status": "OptInStatus",
    "parent-zone-id": "ParentZoneId",
    "parent-zone-name": "ParentZoneName",
    "region-name": "RegionName",
    "state": "State",
    "zone-id": "ZoneId",
    "zone-name": "ZoneName",
    "zone-type": "ZoneType",
}


@ec2.action("DescribeRegions")
async def describe_regions(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    here = {
        "OptInStatus": "opt-in-not-required",
        "RegionName": call.region,
        "Endpoint": call.config.endpoint or f"ec2.{call.region}.amazonaws.com",
    }
    for name in p.get("RegionNames") or []:
        if name != call.region:
            raise InvalidParameterValue(f"Invalid region(s): [{name}]")
    return {"Regions": _filtered([here], _REGION_FILTERS, p.get("Filters"))}


@ec2.action("DescribeAvailabilityZones")
async def describe_availability_zones(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    zones = [
        {
            "OptInStatus": "opt-in-not-required",
            "Messages": [],
            "RegionName": call.region,
            "ZoneName": name,
            "ZoneId": zone_id(call.region, index),
            "GroupName": f"{call.region}-zg-1",
            "GroupLongName": f"{long_name(call.region)} 1",
            "NetworkBorderGroup": call.region,
            "ZoneType": "availability-zone",
            "State": "available",
        }
        for index, name in enumerate(call.config.zones)
    ]
    for name in p.get("ZoneNames") or []:
        if name not in call.config.zones:
            raise InvalidZoneNotFound(zone=name)
    known = {str(zone["ZoneId"]) for zone in zones}
    for wanted in p.get("ZoneIds") or []:
        if wanted not in known:
            raise InvalidParameterValue(f"Invalid availability zone-id: [{wanted}]")
    if p.get("ZoneNames"):
        zones = [zone for zone in zones if zone["ZoneName"] in p["ZoneNames"]]
    if p.get("ZoneIds"):
        zones = [zone for zone in zones if zone["ZoneId"] in p["ZoneIds"]]
    return {"AvailabilityZones": _filtered(zones, _ZONE_FILTERS, p.get("Filters"))}


def zone_id(region: str, index: int) -> str:
    """AWS's id of the region's zone with this index, such as `use1-az6` for the first zone of us-east-1."""
    numbers = _NUMBERS.get(region, ())
    number = numbers[index] if index < len(numbers) else index + 1
    parts = region.split("-")
    if len(parts) in (3, 4) and parts[-1].isdigit():
        middle = "".join(word[0] for part in parts[1:-1] for word in _words(part))
        return f"{parts[0]}{middle}{parts[-1]}-az{number}"
    return f"{hashlib.sha256(region.encode()).hexdigest()[:4]}-az{number}"


_NUMBERS = {"us-east-1": (6, 1, 2, 4, 3, 5), "us-west-1": (3, 1, 2), "us-west-2": (2, 1, 3, 4), "eu-west-1": (3, 1, 2)}
"""Which zone a name stands for is AWS's choice, account by account: in its older regions the names are not in the order of the
zones. These are what newer accounts find; public suites and configurations that name zones by id rely on it."""


def _words(direction: str) -> list[str]:
    """`northeast` is two words, `east` is one."""
    for first in ("north", "south"):
        if direction.startswith(first) and direction != first:
            return [first, direction[len(first) :]]
    return [direction]


@cache
def long_name(region: str) -> str:
    """What AWS calls the region, such as `US East (N. Virginia)`; the region's own name where it has none."""
    for partition in get_session().get_data("endpoints")["partitions"]:
        if region in partition["regions"]:
            return str(partition["regions"][region]["description"])
    return region


def _filtered(
    entries: Sequence[Mapping[str, Any]], names: Mapping[str, str], filters: Iterable[Mapping[str, Any]] | None
) -> list[Mapping[str, Any]]:
    """The entries that meet every filter. Zones and regions are configuration, not rows."""
    kept = list(entries)
    for member, values in demanded(filters, names.get):
        patterns = [pattern(value) for value in values]
        kept = [one for one in kept if any(wanted.fullmatch(str(one.get(member, ""))) for wanted in patterns)]
    return kept
