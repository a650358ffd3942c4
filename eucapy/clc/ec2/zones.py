"""Availability zones in other operations' parameters, by name or by id, and EC2's ids for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc import zone_ids as zone_names
from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameterValue
from eucapy.clc.store import filters


def zone_ids(call: Call) -> dict[str, str]:
    """Zone name → id, such as `use1-az6`."""
    return zone_names.zone_ids(call.region, call.config.zones)


def zone_for_subnet(call: Call, p: Mapping[str, Any]) -> str | None:
    """The zone that `AvailabilityZone` or `AvailabilityZoneId` names, or None; InvalidParameterValue in the words that EC2
    uses for subnets."""
    name, wanted = p.get("AvailabilityZone"), p.get("AvailabilityZoneId")
    known = zone_ids(call)
    if wanted:
        for zone, its_id in known.items():
            if its_id == wanted:
                return zone
        raise InvalidParameterValue(
            f"Value ({wanted}) for parameter availabilityZoneId is invalid. Subnets can currently only be created in the "
            f"following availability zones: {', '.join(known.values())}."
        )
    if name and name not in known:
        raise InvalidParameterValue(
            f"Value ({name}) for parameter availabilityZone is invalid. Subnets can currently only be created in the "
            f"following availability zones: {', '.join(known)}."
        )
    return name or None


def zone_id_filter(call: Call, column: Any) -> filters.Filter:
    """`availability-zone-id` over a column of zone names."""
    return filters.mapped(column, {its_id: zone for zone, its_id in zone_ids(call).items()})
