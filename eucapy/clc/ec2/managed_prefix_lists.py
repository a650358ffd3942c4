"""Prefix lists of customers: create, modify, restore, delete, describe them, their entries, and who refers to them.

Rules of security groups may name a list in place of a block (`permissions.py`), and so may routes (`route_tables.py`); it
weighs there as many as it may have entries, so a list that is to grow asks its groups and tables first. What is wanted is
done when the call returns. What cannot be done for the sake of others fails as EC2's own work in the background does: the
call succeeds, and the list's state (`modify-failed`, `delete-failed`) and message tell. Source: "Work with customer-managed
prefix lists", VPC guide; API reference, ModifyManagedPrefixList.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging, permissions
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidPrefixListModification,
    MissingParameter,
    PrefixListLimitExceeded,
    PrefixListMaxEntriesExceeded,
    PrefixListVersionMismatch,
    UnsupportedOperation,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import prefix_lists, route_tables, security_group_rules
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.prefix_lists import Entry
from eucapy.database import Row

LONGEST = 255
MOST_ENTRIES = 1000
MOST_CHANGES = 100
"""Entries of one request."""
MOST_NAMED = 10
"""Resources that a message names."""
_RESERVED = ("com.amazonaws.", "com.amazon.", "com.aws.")
_CHECKS = {"IPv4": permissions.cidr4, "IPv6": permissions.cidr6}


@ec2.action("CreateManagedPrefixList")
async def create_managed_prefix_list(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    name, family, most = _name(p["PrefixListName"]), p["AddressFamily"], _size(p["MaxEntries"])
    if family not in _CHECKS:
        raise InvalidParameterValue(
            f"Invalid value '{family}' for AddressFamily. The allowed values are IPv4 and IPv6."
        )
    entries = _entries(family, p.get("Entries") or ())
    if len(entries) > most:
        raise PrefixListMaxEntriesExceeded
    tags = tagging.from_specifications(p, "prefix-list")
    if await prefix_lists.count(call.tx, call.account) >= quotas.PREFIX_LISTS:
        raise PrefixListLimitExceeded
    row = await prefix_lists.insert(
        call.tx, account=call.account, name=name, family=family, max_entries=most, entries=entries, now=call.now
    )
    return {"PrefixList": _view(call, row, await tagging.put(call, "prefix-list", row.id, tags))}


@ec2.action("ModifyManagedPrefixList")
async def modify_managed_prefix_list(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Removals come before additions; an addition of a block that is there gives it a new description. A new name alone
    makes no new version."""
    row = await required(call, p["PrefixListId"])
    adding, removing, most = p.get("AddEntries") or (), p.get("RemoveEntries") or (), p.get("MaxEntries")
    if p.get("IpamPrefixListResolverSyncEnabled"):
        raise UnsupportedOperation("IPAM prefix list resolvers are not supported.")
    if most is not None and (adding or removing):
        raise InvalidParameterCombination(
            "You cannot modify the entries and the maximum entries for the prefix list in the same request."
        )
    if p.get("CurrentVersion") is not None and p["CurrentVersion"] != row.version:
        raise PrefixListVersionMismatch
    changes: dict[str, Any] = {"status": "modify-complete", "status_message": ""}
    if p.get("PrefixListName") is not None:
        changes["name"] = _name(p["PrefixListName"])
    if adding or removing:
        wanted = _changed(row, await _now(call, row), adding, removing)
        if len(wanted) > row.max_entries:
            raise PrefixListMaxEntriesExceeded
        await _say(call, row, wanted)
    if most is not None:
        changes.update(await _resized(call, row, _size(most)))
    await prefix_lists.set_values(call.tx, row.id, **changes)
    return await _answer(call, row.id)


@ec2.action("RestoreManagedPrefixListVersion")
async def restore_managed_prefix_list_version(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """What the list said then becomes its next version."""
    row = await required(call, p["PrefixListId"])
    if p["CurrentVersion"] != row.version:
        raise PrefixListVersionMismatch
    if p["PreviousVersion"] >= row.version:
        raise InvalidParameterValue(
            f"The specified previous version ({p['PreviousVersion']}) must be lower than the current version."
        )
    wanted = await _version(call, row, p["PreviousVersion"])
    if len(wanted) > row.max_entries:
        raise PrefixListMaxEntriesExceeded
    await _say(call, row, wanted)
    await prefix_lists.set_values(call.tx, row.id, status="restore-complete", status_message="")
    return await _answer(call, row.id)


@ec2.action("DeleteManagedPrefixList")
async def delete_managed_prefix_list(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["PrefixListId"])
    users = await _users(call, row)
    if users:
        message = f"The prefix list is referenced by the following resources: {', '.join(users[:MOST_NAMED])}"
        await prefix_lists.set_values(call.tx, row.id, status="delete-failed", status_message=message)
        return await _answer(call, row.id)
    await prefix_lists.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    return {"PrefixList": {**_view(call, row, []), "State": "delete-complete"}}


@ec2.action("DescribeManagedPrefixLists")
async def describe_managed_prefix_lists(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=prefix_lists.page,
        declared=prefix_lists.FILTERS,
        id_column=prefix_lists.table.c.id,
        prefix="pl",
        member="PrefixListIds",
        low=1,
        high=100,
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"PrefixLists": [_view(call, row, tags.get(row.id, [])) for row in rows], **more}


@ec2.action("GetManagedPrefixListEntries")
async def get_managed_prefix_list_entries(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Of the current version, or of any that there was. A page's token names the version: it ends as it began."""
    row = await required(call, p["PrefixListId"])
    limit, token = paging.bounds(p, low=1, high=100)
    version, begin = p.get("TargetVersion") or row.version, 0
    if token:
        of_list, of_version, index = paging.position(call, token).split("/")
        if of_list != row.id:
            raise InvalidParameterValue("The token does not belong to this prefix list.")
        version, begin = int(of_version), int(index)
    entries = (await _version(call, row, version))[begin:]
    shown, more = paging.cut(entries, limit)
    out: dict[str, Any] = {
        "Entries": [
            {"Cidr": entry.cidr, **({"Description": entry.description} if entry.description else {})} for entry in shown
        ]
    }
    if more:
        out["NextToken"] = call.token(f"{row.id}/{version}/{begin + len(shown)}")
    return out


@ec2.action("GetManagedPrefixListAssociations")
async def get_managed_prefix_list_associations(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await required(call, p["PrefixListId"])
    limit, token = paging.bounds(p, low=5, high=255)
    after = paging.position(call, token)
    users = await _users(call, row)
    shown, more = paging.cut([value for value in users if value > after], limit)
    return {
        "PrefixListAssociations": [{"ResourceId": value, "ResourceOwner": row.account} for value in shown],
        **({"NextToken": call.token(shown[-1])} if more else {}),
    }


async def required(call: Call, list_id: str) -> Row:
    """The account's list of that id."""
    row = await prefix_lists.by_id(call.tx, call.account, ids.check("pl", list_id))
    if row is None:
        raise ids.missing("pl", [list_id])
    return row


async def _users(call: Call, row: Row) -> list[str]:
    """The groups and route tables that name the list."""
    groups = await security_group_rules.groups_that_refer_to(call.tx, row.id)
    return sorted((*groups, *await route_tables.that_lead_to_list(call.tx, row.id)))


async def _now(call: Call, row: Row) -> list[Entry]:
    return await _version(call, row, row.version)


async def _version(call: Call, row: Row, version: int) -> list[Entry]:
    found = await prefix_lists.entries(call.tx, row.id, version) if 0 < version <= row.version else None
    if found is None:
        raise InvalidParameterValue(f"The specified version ({version}) of the prefix list {row.id} does not exist.")
    return found


async def _say(call: Call, row: Row, wanted: Sequence[Entry]) -> None:
    await prefix_lists.next_version(call.tx, row, wanted)
    call.wake("cluster_sync")


async def _resized(call: Call, row: Row, most: int) -> dict[str, Any]:
    """The columns of a list that is to have room for `most`: unless it holds more, or a group or a route
    table would come to weigh too much."""
    if most < len(await _now(call, row)):
        raise InvalidParameterValue(
            "The maximum number of entries cannot be less than the number of entries in the list."
        )
    users = await security_group_rules.groups_that_refer_to(call.tx, row.id)
    rules = await security_group_rules.of_groups(call.tx, users)
    sizes = await security_group_rules.list_sizes(call.tx, [rule for held in rules.values() for rule in held])
    sizes[row.id] = most
    crowded = sorted(
        group_id
        for group_id, held in rules.items()
        for egress in (False, True)
        if any(rule.referenced_group == row.id and rule.is_egress is egress for rule in held)
        and security_group_rules.weight([rule for rule in held if rule.is_egress is egress], sizes)
        > quotas.RULES_PER_SECURITY_GROUP
    )
    crowded += await _crowded_tables(call, row, most)
    if crowded:
        named = ", ".join(dict.fromkeys(crowded[:MOST_NAMED]))
        message = f"The following resources do not support the new maximum size: {named}"
        return {"status": "modify-failed", "status_message": message}
    return {"max_entries": most}


async def _crowded_tables(call: Call, row: Row, most: int) -> list[str]:
    """The route tables that could not bear the list with room for `most`."""
    routes = await route_tables.routes_of(call.tx, await route_tables.that_lead_to_list(call.tx, row.id))
    held = {table_id: [route.destination for route in some] for table_id, some in routes.items()}
    sizes = await route_tables.list_sizes(call.tx, itertools.chain(*held.values()))
    sizes[row.id] = (row.family, most)
    return [
        table_id
        for table_id, some in held.items()
        if route_tables.weights(some, sizes)[row.family] > quotas.ROUTES_PER_TABLE
    ]


def _changed(
    row: Row, held: Sequence[Entry], adding: Sequence[Mapping[str, Any]], removing: Sequence[Mapping[str, Any]]
) -> list[Entry]:
    added = {entry.cidr: entry for entry in _entries(row.family, adding)}
    removed = [entry.cidr for entry in _entries(row.family, removing)]
    twice = next((cidr for cidr in removed if cidr in added), "")
    if twice:
        raise InvalidParameterValue(f"The request received a duplicate entry: {twice}.")
    known = {entry.cidr for entry in held}
    for cidr in removed:
        if cidr not in known:
            raise InvalidPrefixListModification(cidr=cidr)
    kept = [added.pop(entry.cidr, entry) for entry in held if entry.cidr not in removed]
    return [*kept, *added.values()]


def _entries(family: str, given: Sequence[Mapping[str, Any]]) -> list[Entry]:
    if len(given) > MOST_CHANGES:
        raise InvalidParameterValue(f"The number of entries per request cannot exceeds limit ({MOST_CHANGES}).")
    found: dict[str, Entry] = {}
    for entry in given:
        if not entry.get("Cidr"):
            raise MissingParameter(name="cidr")
        cidr, description = _CHECKS[family](entry["Cidr"]), entry.get("Description") or ""
        if len(description) > LONGEST:
            raise InvalidParameterValue(f"The description of an entry cannot exceed {LONGEST} characters.")
        if cidr in found:
            raise InvalidParameterValue(f"The request received a duplicate entry: {cidr}.")
        found[cidr] = Entry(cidr, description)
    return list(found.values())


def _name(value: str) -> str:
    if not value.strip():
        raise MissingParameter(name="prefixListName")
    if len(value) > LONGEST:
        raise InvalidParameterValue(f"The prefix list name cannot exceed {LONGEST} characters.")
    if value.startswith(_RESERVED):
        raise InvalidParameterValue(f"The prefix list name cannot begin with ({', '.join(_RESERVED)}).")
    return value


def _size(value: int) -> int:
    if not 1 <= value <= MOST_ENTRIES:
        raise InvalidParameterValue(f"Must specify a max size between 1 and {MOST_ENTRIES}")
    return value


async def _answer(call: Call, list_id: str) -> dict[str, Any]:
    row = await required(call, list_id)
    return {"PrefixList": _view(call, row, (await tag_rows.of(call.tx, [row.id])).get(row.id, []))}


def _view(call: Call, row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    view: dict[str, Any] = {
        "PrefixListId": row.id,
        "AddressFamily": row.family,
        "State": row.status,
        "PrefixListArn": f"arn:aws:ec2:{call.region}:{row.account}:prefix-list/{row.id}",
        "PrefixListName": row.name,
        "MaxEntries": row.max_entries,
        "Version": row.version,
        "Tags": tags,
        "OwnerId": row.account,
    }
    if row.status_message:
        view["StateMessage"] = row.status_message
    return view
