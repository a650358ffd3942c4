"""Tags: CreateTags, DeleteTags, DescribeTags, and the `TagSpecifications` of every operation that makes a resource.

A key is up to 128 characters and does not begin with `aws:`, a value up to 256, a resource has up to 50. Source: EC2 User
Guide, "Tag your Amazon EC2 resources", "Tag restrictions".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging
from eucapy.clc.ec2.errors import InvalidID, InvalidParameter, InvalidParameterValue, MissingParameter, TagLimitExceeded
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import filters, instances, owners
from eucapy.clc.store import tags as tag_rows

MOST_TAGS = 50
LONGEST_KEY = 128
LONGEST_VALUE = 256
MOST_RESOURCES = 1000


@ec2.action("CreateTags", worded=("Resources", "Tags"))
async def create_tags(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    resources = _resources(p)
    if not p.get("Tags"):
        raise MissingParameter(name="tagSet")
    values = checked(p["Tags"])
    await _must_own(call, resources)
    kinds = {resource_id: ids.KINDS[_prefix(resource_id)].resource_type for resource_id in resources}
    await tag_rows.put_many(call.tx, call.account, kinds, values)
    if await tag_rows.over(call.tx, resources, MOST_TAGS):
        raise TagLimitExceeded
    await _wake(call, resources)
    return {}


@ec2.action("DeleteTags", worded=("Resources",))
async def delete_tags(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Without `Tags` all go that the owner has set; a tag with a value goes only if it has that value."""
    resources = _resources(p)
    await _must_own(call, resources)
    wanted = p.get("Tags")
    for tag in wanted or ():
        _check_key(tag.get("Key") or "")
    for resource_id in resources:
        if not wanted:
            await tag_rows.remove_own(call.tx, resource_id)
        for tag in wanted or ():
            await tag_rows.remove(call.tx, resource_id, tag["Key"], tag.get("Value"))
    await _wake(call, resources)
    return {}


@ec2.action("DescribeTags")
async def describe_tags(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    conditions = filters.where(tag_rows.FILTERS, p.get("Filters"), tags=tag_rows.own_tag_filter)
    limit, token = paging.bounds(p)
    after = paging.position(call, token)
    resource_id, _, key = after.partition("\n")
    rows = await tag_rows.page(call.tx, call.account, conditions, (resource_id, key), paging.one_more(limit))
    rows, more = paging.cut(rows, limit)
    out: dict[str, Any] = {
        "Tags": [
            {"Key": row.key, "Value": row.value, "ResourceId": row.resource_id, "ResourceType": row.resource_type}
            for row in rows
        ]
    }
    if more:
        out["NextToken"] = call.token(f"{rows[-1].resource_id}\n{rows[-1].key}")
    return out


def from_specifications(p: Mapping[str, Any], resource_type: str, *others: str) -> dict[str, str]:
    """The tags that the request gives to resources of this type, checked. `others` are the further types that the
    operation makes; any other type is refused."""
    values: dict[str, str] = {}
    for specification in p.get("TagSpecifications") or ():
        named = specification.get("ResourceType")
        if not named:
            raise InvalidParameter("Tag specification resource type must have a value")
        if named != resource_type and named not in others:
            raise InvalidParameterValue(f"'{named}' is not a valid taggable resource type for this operation.")
        if not specification.get("Tags"):
            raise InvalidParameterValue("Tag specification must have at least one tag")
        tags = checked(specification["Tags"])
        if named == resource_type:
            values.update(tags)
    if len(values) > MOST_TAGS:
        raise TagLimitExceeded
    return values


async def put(call: Call, resource_type: str, resource_id: str, values: Mapping[str, str]) -> list[dict[str, str]]:
    """Set the tags of a new resource; they come back as EC2's TagSet, sorted by key."""
    await tag_rows.put(call.tx, call.account, resource_type, resource_id, values)
    return [{"Key": key, "Value": value} for key, value in sorted(values.items())]


def checked(tags: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A request's tags as key → value; raises InvalidParameterValue and TagLimitExceeded in EC2's words."""
    values: dict[str, str] = {}
    for tag in tags:
        key, value = tag.get("Key") or "", tag.get("Value")
        _check_key(key)
        if key in values:
            raise InvalidParameterValue(f"Duplicate tag key '{key}' specified.")
        if value is not None and len(value) > LONGEST_VALUE:
            raise InvalidParameterValue(f"Tag value exceeds the maximum length of {LONGEST_VALUE} characters")
        values[key] = value or ""
    if len(values) > MOST_TAGS:
        raise TagLimitExceeded
    return values


def _check_key(key: str) -> None:
    if not key:
        raise InvalidParameterValue("Tag key cannot be null or empty")
    if len(key) > LONGEST_KEY:
        raise InvalidParameterValue(f"Tag key exceeds the maximum length of {LONGEST_KEY} characters")
    if key.lower().startswith("aws:"):
        raise InvalidParameterValue("Tag keys starting with 'aws:' are reserved for internal use")


def _resources(p: Mapping[str, Any]) -> list[str]:
    resources = list(dict.fromkeys(p.get("Resources") or ()))
    if not resources:
        raise MissingParameter(name="resourceIdSet")
    if len(resources) > MOST_RESOURCES:
        raise InvalidParameterValue(f"The number of resources ({len(resources)}) exceeds the maximum of 1000.")
    for value in resources:
        kind = ids.kind_of(value)
        if kind is None or kind.prefix not in owners.TABLES:
            raise InvalidID(id=value)
    return resources


def _prefix(resource_id: str) -> str:
    kind = ids.kind_of(resource_id)
    assert kind is not None
    return kind.prefix


async def _must_own(call: Call, resources: Sequence[str]) -> None:
    for prefix, absent in (await owners.missing(call.tx, call.account, resources)).items():
        raise ids.missing(prefix, absent)


async def _wake(call: Call, resources: Iterable[str]) -> None:
    """The tags of an instance whose metadata service answers them travel to its node."""
    if await instances.tell_tags(call.tx, [value for value in resources if _prefix(value) == "i"]):
        call.wake("cluster_sync")
