"""The health and the attributes of volumes: DescribeVolumeStatus, DescribeVolumeAttribute, ModifyVolumeAttribute,
and whether new volumes are encrypted: GetEbsEncryptionByDefault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging
from eucapy.clc.ec2.errors import InvalidParameterValue, MissingParameter
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.volumes import require
from eucapy.clc.ec2.zones import zone_ids
from eucapy.clc.store import volume_filters, volumes
from eucapy.database import Row

_IO_ENABLED = {"ok": "passed", "impaired": "failed", "insufficient-data": "insufficient-data"}


@ec2.action("DescribeVolumeStatus")
async def describe_volume_status(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=volumes.page,
        declared=volume_filters.STATUS_FILTERS,
        id_column=volumes.table.c.id,
        prefix="vol",
        member="VolumeIds",
        extra=() if p.get("VolumeIds") else (volumes.table.c.state.in_(volume_filters.WITH_HEALTH),),
    )
    short = zone_ids(call)
    return {"VolumeStatuses": [_status(row, short) for row in rows], **more}


@ec2.action("DescribeVolumeAttribute")
async def describe_volume_attribute(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await require(call, p["VolumeId"])
    if p["Attribute"] == "autoEnableIO":
        return {"VolumeId": row.id, "AutoEnableIO": {"Value": bool(row.auto_enable_io)}}
    if p["Attribute"] == "productCodes":
        return {"VolumeId": row.id, "ProductCodes": []}
    raise InvalidParameterValue(f"Value ({p['Attribute']}) for parameter attribute is invalid. Unknown attribute.")


@ec2.action("ModifyVolumeAttribute")
async def modify_volume_attribute(call: Call, p: Mapping[str, Any]) -> None:
    row = await require(call, p["VolumeId"])
    wish = (p.get("AutoEnableIO") or {}).get("Value")
    if wish is None:
        raise MissingParameter(name="autoEnableIO")
    await volumes.set_values(call.tx, row.id, auto_enable_io=bool(wish))


@ec2.action("GetEbsEncryptionByDefault")
async def get_ebs_encryption_by_default(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return {"EbsEncryptionByDefault": False}


def _status(row: Row, short: Mapping[str, str]) -> dict[str, Any]:
    """A row as VolumeStatusItem."""
    health = volume_filters.health(row.state)
    return {
        "VolumeId": row.id,
        "AvailabilityZone": row.zone,
        "AvailabilityZoneId": short.get(row.zone),
        "Actions": [],
        "Events": [],
        "VolumeStatus": {
            "Status": health,
            "Details": [
                {"Name": "io-enabled", "Status": _IO_ENABLED[health]},
                {"Name": "io-performance", "Status": "not-applicable"},
            ],
        },
    }
