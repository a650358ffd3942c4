"""Security groups: CreateSecurityGroup, DeleteSecurityGroup, DescribeSecurityGroups and what tells who refers to whom.

Rules: `security_group_rules.py`. Groups reach the nodes through `specs/network.py` as soon as a port uses them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from eucapy import ids
from eucapy.aws.xml import Rendered, fragment
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging, permissions
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    CannotDelete,
    DependencyViolation,
    InvalidGroupDuplicate,
    InvalidGroupNotFound,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    SecurityGroupLimitExceeded,
    VPCIdNotSpecified,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import network_interfaces, security_group_rules, security_groups, vpcs
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle import vpc_peering_connection as peering_life

LONGEST = 255
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789. _-:/()#,@[]+=&;{}!$*")
_MOST_KEPT = 20_000

_render = fragment("ec2", "SecurityGroup")
_kept: dict[tuple[str, str, str], Rendered] = {}
"""(group, revision of its rules, region) → its XML without tags. A revision is never used twice, so nothing is stale."""


@ec2.action("CreateSecurityGroup")
async def create_security_group(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    name, description = (
        _text(p["GroupName"], "GroupName", "name"),
        _text(p["Description"], "GroupDescription", "description"),
    )
    if name.lower().startswith("sg-"):
        raise InvalidParameterValue(
            f"Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*."
        )
    if name.lower() == security_groups.DEFAULT:
        raise InvalidParameterValue(f"Cannot use reserved security group name: {name}")
    vpc_id = p.get("VpcId") or (await default_vpc(call)).id
    if p.get("VpcId") and await vpcs.by_id(call.tx, call.account, ids.check("vpc", vpc_id)) is None:
        raise ids.missing("vpc", [vpc_id])
    tags = tagging.from_specifications(p, "security-group")
    if await security_groups.by_name(call.tx, vpc_id, name) is not None:
        raise InvalidGroupDuplicate(name=name, vpc=vpc_id)
    if await security_groups.count(call.tx, call.account) >= quotas.SECURITY_GROUPS:
        raise SecurityGroupLimitExceeded(vpc=vpc_id)
    row = await security_groups.insert(
        call.tx, account=call.account, vpc_id=vpc_id, name=name, description=description, now=call.now
    )
    out: dict[str, Any] = {"GroupId": row.id, "SecurityGroupArn": arn(call.region, row)}
    if tags:
        out["Tags"] = await tagging.put(call, "security-group", row.id, tags)
    return out


@ec2.action("DeleteSecurityGroup")
async def delete_security_group(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await named(call, p)
    if row.name == security_groups.DEFAULT:
        raise CannotDelete(id=row.id, name=row.name)
    if await network_interfaces.uses_group(call.tx, row.id) or await security_group_rules.groups_that_refer_to(
        call.tx, row.id
    ):
        raise DependencyViolation(f"resource {row.id} has a dependent object")
    await security_groups.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    return {"Return": True, "GroupId": row.id}


@ec2.action("DescribeSecurityGroups")
async def describe_security_groups(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Names are looked up in the default VPC, as EC2 does."""
    names = list(dict.fromkeys(p.get("GroupNames") or ()))
    extra = []
    if names:
        vpc = await default_vpc(call)
        for name in names:
            if await security_groups.by_name(call.tx, vpc.id, name) is None:
                raise InvalidGroupNotFound(f"The security group '{name}' does not exist in default VPC '{vpc.id}'")
        table = security_groups.security_groups
        extra = [table.c.name.in_(names), table.c.vpc_id == vpc.id]
    rows, more = await paging.described(
        call,
        p,
        page=security_groups.page,
        declared=security_groups.FILTERS,
        id_column=security_groups.security_groups.c.id,
        prefix="sg",
        member="GroupIds",
        extra=extra,
    )
    return {"SecurityGroups": await _views(call, rows), **more}


@ec2.action("GetSecurityGroupsForVpc")
async def get_security_groups_for_vpc(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The groups that can be used in the VPC: its own."""
    vpc_id = ids.check("vpc", p["VpcId"])
    if await vpcs.by_id(call.tx, call.account, vpc_id) is None:
        raise ids.missing("vpc", [vpc_id])
    table = security_groups.security_groups
    rows, more = await paging.described(
        call,
        p,
        page=security_groups.page,
        declared={**security_groups.FILTERS, "primary-vpc-id": security_groups.FILTERS["vpc-id"]},
        id_column=table.c.id,
        prefix="sg",
        member="GroupIds",
        extra=[table.c.vpc_id == vpc_id],
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    groups = [
        {
            "Description": row.description,
            "GroupName": row.name,
            "OwnerId": row.account,
            "GroupId": row.id,
            "Tags": tags.get(row.id, []),
            "PrimaryVpcId": row.vpc_id,
        }
        for row in rows
    ]
    return {"SecurityGroupForVpcs": groups, **more}


@ec2.action("DescribeSecurityGroupReferences")
async def describe_security_group_references(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Who refers to the groups from the other side of a peering that is active; unknown groups are errors."""
    wanted = [ids.check("sg", value) for value in p["GroupId"]]
    known = await security_groups.by_ids(call.tx, call.account, wanted)
    absent = [value for value in wanted if value not in known]
    if absent:
        raise ids.missing("sg", absent)
    rules = await security_group_rules.of_peers(call.tx, wanted)
    peerings = await permissions.statuses(call, rules)
    return {
        "SecurityGroupReferenceSet": [
            {
                "GroupId": rule.referenced_group,
                "ReferencingVpcId": rule.vpc_id,
                "VpcPeeringConnectionId": rule.referenced_peering,
            }
            for rule in rules
            if peerings[rule.referenced_peering] == peering_life.ACTIVE
        ]
    }


@ec2.action("DescribeStaleSecurityGroups")
async def describe_stale_security_groups(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Groups with rules about a group of a VPC that is peered no more, or about one that is gone."""
    vpc_id = ids.check("vpc", p["VpcId"])
    limit, token = paging.bounds(p, high=255)
    if await vpcs.by_id(call.tx, call.account, vpc_id) is None:
        raise ids.missing("vpc", [vpc_id])
    after = paging.position(call, token)
    rows = {row.id: row for row in await security_groups.of_vpcs(call.tx, [vpc_id]) if row.id > after}
    stale = await _stale(call, await security_group_rules.of_groups(call.tx, list(rows)))
    shown, more = paging.cut(sorted(stale), limit)
    return {
        "StaleSecurityGroupSet": [_stale_view(rows[group_id], *stale[group_id]) for group_id in shown],
        **({"NextToken": call.token(shown[-1])} if more else {}),
    }


async def _stale(call: Call, rules: Mapping[str, Sequence[Row]]) -> dict[str, tuple[Sequence[Row], Mapping[str, str]]]:
    """The rules that let in and out nobody any more, by group, with the states of their connections."""
    about = [rule for held in rules.values() for rule in held if rule.referenced_peering]
    peerings = await permissions.statuses(call, about)
    there = await security_groups.of_anyone(call.tx, sorted({rule.referenced_group for rule in about}))
    found: dict[str, list[Row]] = {}
    for rule in about:
        if peerings[rule.referenced_peering] != peering_life.ACTIVE or rule.referenced_group not in there:
            found.setdefault(rule.group_id, []).append(rule)
    return {group_id: (held, peerings) for group_id, held in found.items()}


def _stale_view(row: Row, rules: Sequence[Row], peerings: Mapping[str, str]) -> dict[str, Any]:
    def side(egress: bool) -> list[dict[str, Any]]:
        found = permissions.grouped((rule for rule in rules if rule.is_egress is egress), peerings)
        return [{name: value for name, value in one.items() if name != "Ipv6Ranges"} for one in found]

    return {
        "Description": row.description,
        "GroupId": row.id,
        "GroupName": row.name,
        "StaleIpPermissions": side(False),
        "StaleIpPermissionsEgress": side(True),
        "VpcId": row.vpc_id,
    }


def arn(region: str, row: Row) -> str:
    return f"arn:aws:ec2:{region}:{row.account}:security-group/{row.id}"


async def named(call: Call, p: Mapping[str, Any]) -> Row:
    """The group that `GroupId` or, in the default VPC, `GroupName` names."""
    group_id, name = p.get("GroupId"), p.get("GroupName")
    if group_id and name:
        raise InvalidParameterCombination("The parameter groupName cannot be used with the parameter groupId")
    if group_id:
        row = await security_groups.by_id(call.tx, call.account, ids.check("sg", group_id))
        if row is None:
            raise ids.missing("sg", [group_id])
        return row
    if not name:
        raise MissingParameter(name="groupName or groupId")
    vpc = await default_vpc(call)
    row = await security_groups.by_name(call.tx, vpc.id, name)
    if row is None:
        raise InvalidGroupNotFound(f"The security group '{name}' does not exist in default VPC '{vpc.id}'")
    return row


async def default_vpc(call: Call) -> Row:
    """The caller's default VPC; raises VPCIdNotSpecified when it was deleted."""
    vpc = await vpcs.default_of(call.tx, call.account)
    if vpc is None:
        raise VPCIdNotSpecified
    return vpc


async def _views(call: Call, rows: Sequence[Row]) -> list[Rendered]:
    """Groups as EC2's SecurityGroup, already written: rules change rarely, and accounts have hundreds of groups."""
    fresh = [row.id for row in rows if (row.id, row.revision, call.region) not in _kept]
    rules = await security_group_rules.of_groups(call.tx, fresh)
    peerings = await permissions.statuses(call, (rule for held in rules.values() for rule in held))
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    if len(_kept) + len(fresh) > _MOST_KEPT:
        _kept.clear()
    written = []
    for row in rows:
        key = (row.id, row.revision, call.region)
        xml = _kept.get(key)
        if xml is None:
            xml = _kept[key] = _render(_view(call.region, row, rules.get(row.id, ()), peerings))
        own = tags.get(row.id)
        written.append(Rendered(xml + _tags_xml(tuple((tag["Key"], tag["Value"]) for tag in own or ()))))
    return written


@lru_cache(maxsize=1024)
def _tags_xml(pairs: tuple[tuple[str, str], ...]) -> Rendered:
    return _render({"Tags": [{"Key": key, "Value": value} for key, value in pairs]})


def _view(region: str, row: Row, rules: Sequence[Row], peerings: Mapping[str, str]) -> dict[str, Any]:
    return {
        "GroupId": row.id,
        "IpPermissionsEgress": permissions.grouped((rule for rule in rules if rule.is_egress), peerings),
        "VpcId": row.vpc_id,
        "SecurityGroupArn": arn(region, row),
        "OwnerId": row.account,
        "GroupName": row.name,
        "Description": row.description,
        "IpPermissions": permissions.grouped((rule for rule in rules if not rule.is_egress), peerings),
    }


def _text(value: str, parameter: str, noun: str) -> str:
    """A name or description: printable ASCII of EC2's set, 1 to 255 characters, without blanks at its ends."""
    if not value.strip():
        raise MissingParameter(name=parameter[0].lower() + parameter[1:])
    if not value.isascii():
        raise InvalidParameterValue(
            f"Value ({value}) for parameter {parameter} is invalid. Character sets beyond ASCII are not supported."
        )
    if len(value) > LONGEST or not _ALLOWED.issuperset(value):
        raise InvalidParameterValue(
            f"Invalid security group {noun}. Valid {noun}s are strings less than 256 characters from the following set:  "
            "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
        )
    return value.strip() if noun == "name" else value
