"""Placement groups: create, delete, describe, launch into one, and ModifyInstancePlacement.

`settle` says what a launch's Placement means; `clc/placement.py` holds hosts to it. Spread is by rack, and a rack is a host;
spread by host is for Outposts, which do not exist here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import instances
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    IncorrectInstanceState,
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidPlacementGroupDuplicate,
    InvalidPlacementGroupInUse,
    InvalidPlacementGroupUnknown,
    MissingParameter,
    PlacementGroupLimitExceeded,
    Unsupported,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.placement import CLUSTER, PARTITION, SPREAD, Group, partitions
from eucapy.clc.store import filters, placement_groups
from eucapy.clc.store import instances as rows_of
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.tags import tag_filter
from eucapy.database import Row
from eucapy.lifecycle import instance as life

LONGEST_NAME = 255
MOST_PARTITIONS = 7
FEWEST_PARTITIONS = 2
"""What a partition group has when it does not say how many."""

NONE: dict[str, Any] = {
    "placement_group_id": "",
    "placement_group": "",
    "placement_strategy": "",
    "placement_partition": 0,
}
"""The columns of an instance that is in no group."""


@dataclass(frozen=True)
class Place:
    """What a launch says of its group. `numbers` are the partitions, in the order of the instances."""

    group: Row | None = None
    numbers: Sequence[int] = ()
    zone: str = ""
    """The zone that holds a cluster group together, "" for any."""

    def columns(self, index: int) -> dict[str, Any]:
        """Of the instance at this launch index."""
        if self.group is None:
            return NONE
        return {
            "placement_group_id": self.group.id,
            "placement_group": self.group.name,
            "placement_strategy": self.group.strategy,
            "placement_partition": self.numbers[index] if self.numbers else 0,
        }

    def member(self, index: int) -> Group | None:
        """What placement is told of that instance."""
        if self.group is None:
            return None
        return Group(self.group.id, self.group.strategy, self.numbers[index] if self.numbers else 0)


@ec2.action("CreatePlacementGroup")
async def create_placement_group(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    name, strategy, count = p.get("GroupName") or "", p.get("Strategy") or CLUSTER, p.get("PartitionCount")
    if not name:
        raise MissingParameter(name="groupName")
    if len(name) > LONGEST_NAME or not name.isascii():
        raise InvalidParameterValue(f"Value ({name}) for parameter groupName is invalid. Up to 255 ASCII characters.")
    if strategy not in (CLUSTER, SPREAD, PARTITION):
        raise InvalidParameterValue(f"Value ({strategy}) for parameter strategy is invalid.")
    if count is not None and strategy != PARTITION:
        raise InvalidParameterCombination("The parameter PartitionCount can only be used with the partition strategy.")
    if count is not None and not 1 <= count <= MOST_PARTITIONS:
        raise InvalidParameterValue(
            f"Value ({count}) for parameter partitionCount is invalid. Value must be between 1 and {MOST_PARTITIONS}."
        )
    if p.get("SpreadLevel") and strategy != SPREAD:
        raise InvalidParameterCombination("The parameter SpreadLevel can only be used with the spread strategy.")
    if p.get("SpreadLevel") == "host" or p.get("LinkedGroupId") or p.get("ParentGroupId") or p.get("Operator"):
        raise Unsupported
    tags = tagging.from_specifications(p, "placement-group")
    if await placement_groups.by_name(call.tx, call.account, name) is not None:
        raise InvalidPlacementGroupDuplicate(name=name)
    if await placement_groups.count(call.tx, call.account) >= quotas.PLACEMENT_GROUPS:
        raise PlacementGroupLimitExceeded
    wanted = (count or FEWEST_PARTITIONS) if strategy == PARTITION else 0
    row = await placement_groups.insert(
        call.tx, account=call.account, name=name, strategy=strategy, partitions=wanted, now=call.now
    )
    return {"PlacementGroup": view(call, row, await tagging.put(call, "placement-group", row.id, tags))}


@ec2.action("DeletePlacementGroup")
async def delete_placement_group(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _required(call, p["GroupName"])
    if await rows_of.in_placement_group(call.tx, row.id):
        raise InvalidPlacementGroupInUse(name=row.name)
    await placement_groups.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    return {}


@ec2.action("DescribePlacementGroups")
async def describe_placement_groups(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    table = placement_groups.table
    conditions = filters.where(placement_groups.FILTERS, p.get("Filters"), tags=tag_filter(table.c.id))
    wanted = [ids.check("pg", value) for value in p.get("GroupIds") or ()]
    names = [value.rpartition(":placement-group/")[2] for value in p.get("GroupNames") or ()]
    for each in names:
        await _required(call, each)
    found = {row.id for row in await placement_groups.find(call.tx, call.account, [table.c.id.in_(wanted)])}
    absent = [value for value in wanted if value not in found]
    if absent:
        raise ids.missing("pg", absent[:1])
    if wanted:
        conditions.append(table.c.id.in_(wanted))
    if names:
        conditions.append(table.c.name.in_(names))
    rows = await placement_groups.find(call.tx, call.account, conditions)
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"PlacementGroups": [view(call, row, tags.get(row.id, [])) for row in rows]}


@ec2.action("ModifyInstancePlacement")
async def modify_instance_placement(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Only of a stopped instance; it comes to lie by it at its next start. An empty GroupName takes it out of its group."""
    row = await instances.require(call, p["InstanceId"])
    if any(p.get(name) for name in ("HostId", "HostResourceGroupArn", "Affinity")) or p.get("Tenancy") not in (
        None,
        "default",
    ):
        raise Unsupported
    if p.get("GroupName") is None and p.get("GroupId") is None and p.get("PartitionNumber") is None:
        raise MissingParameter("The request must contain at least one of groupName, groupId, partitionNumber, tenancy")
    if row.state != life.STOPPED:
        raise IncorrectInstanceState(
            f"The instance {row.id} is not in the stopped state. Stop the instance and try again."
        )
    names = {name: p[name] for name in ("GroupName", "GroupId", "PartitionNumber") if p.get(name)}
    if not names.get("GroupName") and not names.get("GroupId") and "PartitionNumber" in names:
        names["GroupName"] = row.placement_group
    place = await settle(call, names, 1)
    if place.zone not in ("", row.zone):
        raise InvalidParameterValue(f"The Placement Group {place.columns(0)['placement_group']} is in another zone.")
    await rows_of.set_values(call.tx, row.id, **place.columns(0))
    return {"Return": True}


async def settle(call: Call, placement: Mapping[str, Any], most: int) -> Place:
    """The group that `placement` (EC2's Placement) names, and where its next `most` instances go.

    Raises InvalidPlacementGroup.Unknown, and InvalidParameterValue or InvalidParameterCombination for a partition that
    the group does not have.
    """
    group = await _named(call, placement)
    number = placement.get("PartitionNumber")
    if number and (group is None or group.strategy != PARTITION):
        raise InvalidParameterCombination(
            "The parameter PartitionNumber can only be used with a placement group of the partition strategy."
        )
    if group is None:
        return Place()
    members = await rows_of.in_placement_group(call.tx, group.id)
    if group.strategy == CLUSTER:
        return Place(group, zone=members[0].zone if members else "")
    if group.strategy == SPREAD:
        return Place(group)
    if number:
        if not 1 <= number <= group.partitions:
            raise InvalidParameterValue(
                f"Value ({number}) for parameter PartitionNumber is invalid. The Placement Group '{group.name}' has "
                f"{group.partitions} partitions."
            )
        return Place(group, [number] * most)
    held: dict[int, int] = {}
    for member in members:
        held[member.placement_partition] = held.get(member.placement_partition, 0) + 1
    return Place(group, partitions(group.partitions, most, held))


async def _named(call: Call, placement: Mapping[str, Any]) -> Row | None:
    name, group_id = placement.get("GroupName") or "", placement.get("GroupId") or ""
    if name and group_id:
        raise InvalidParameterCombination("The parameters GroupName and GroupId cannot be used together.")
    if group_id:
        row = await placement_groups.by_id(call.tx, call.account, group_id)
        if row is None:
            raise InvalidPlacementGroupUnknown(name=group_id)
        return row
    return await _required(call, name) if name else None


async def _required(call: Call, name: str) -> Row:
    row = await placement_groups.by_name(call.tx, call.account, name)
    if row is None:
        raise InvalidPlacementGroupUnknown(name=name)
    return row


def view(call: Call, row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A row as PlacementGroup."""
    return {
        "GroupId": row.id,
        "GroupName": row.name,
        "GroupArn": f"arn:aws:ec2:{call.region}:{row.account}:placement-group/{row.name}",
        "State": "available",
        "Strategy": row.strategy,
        "PartitionCount": row.partitions or None,
        "SpreadLevel": "rack" if row.strategy == SPREAD else None,
        "Tags": tags,
    }
