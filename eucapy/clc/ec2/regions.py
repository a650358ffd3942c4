"""DescribeRegions and DescribeAvailabilityZones: this cloud's own region and its zones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from botocore.session import get_session

from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameterValue, InvalidZoneNotFound
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store.filters import demanded, pattern
from eucapy.clc.zone_ids import zone_id

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
