"""Rules of security groups: authorize, revoke, modify, describe them, and change their descriptions.

A changed rule reaches the nodes at once (`cluster_sync`); connections that are already open live on, as in EC2. Parsing
and EC2's wording: `permissions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging, permissions
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    InvalidGroupIdMalformed,
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidPermissionDuplicate,
    InvalidPermissionNotFound,
    MissingParameter,
    RulesPerSecurityGroupLimitExceeded,
)
from eucapy.clc.ec2.security_groups import named
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import security_group_rules, security_groups, vpcs
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.security_group_rules import Rule, of_row
from eucapy.database import Row

_PEERS = "cidrIp, cidrIpv6, prefixListId, or referencedGroupId"
_SAME_TWICE = "The same permission must not appear multiple times"


@ec2.action("AuthorizeSecurityGroupIngress")
async def authorize_security_group_ingress(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _authorize(call, p, is_egress=False)


@ec2.action("AuthorizeSecurityGroupEgress")
async def authorize_security_group_egress(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _authorize(call, p, is_egress=True)


@ec2.action("RevokeSecurityGroupIngress")
async def revoke_security_group_ingress(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _revoke(call, p, is_egress=False)


@ec2.action("RevokeSecurityGroupEgress")
async def revoke_security_group_egress(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _revoke(call, p, is_egress=True)


@ec2.action("ModifySecurityGroupRules")
async def modify_security_group_rules(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Each rule is replaced as a whole, keeping its id and direction; all of them or none."""
    group = await named(call, p)
    rows = {row.id: row for row in await _rules(call, group)}
    wanted = p["SecurityGroupRules"]
    if not wanted:
        raise MissingParameter(name="securityGroupRules")
    _all_known([entry["SecurityGroupRuleId"] for entry in wanted], rows)
    after = {rule_id: of_row(row) for rule_id, row in rows.items()}
    for entry in wanted:
        after[entry["SecurityGroupRuleId"]] = await _requested(call, group, entry.get("SecurityGroupRule") or {})
    keys = [(rows[rule_id].is_egress, *rule.key) for rule_id, rule in after.items()]
    if len(set(keys)) < len(keys):
        raise InvalidParameterValue(_SAME_TWICE)
    await _light_enough(call, [rule for rule_id, rule in after.items() if rows[rule_id].is_egress])
    await _light_enough(call, [rule for rule_id, rule in after.items() if not rows[rule_id].is_egress])
    changed = {entry["SecurityGroupRuleId"] for entry in wanted}
    await security_group_rules.rewrite(call.tx, {rule_id: after[rule_id] for rule_id in changed})
    await _changed(call, group)
    return {"Return": True}


@ec2.action("UpdateSecurityGroupRuleDescriptionsIngress")
async def update_descriptions_ingress(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _describe_rules(call, p, is_egress=False)


@ec2.action("UpdateSecurityGroupRuleDescriptionsEgress")
async def update_descriptions_egress(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _describe_rules(call, p, is_egress=True)


@ec2.action("DescribeSecurityGroupRules")
async def describe_security_group_rules(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=security_group_rules.page,
        declared=security_group_rules.FILTERS,
        id_column=security_group_rules.security_group_rules.c.id,
        prefix="sgr",
        member="SecurityGroupRuleIds",
    )
    for entry in p.get("Filters") or ():
        for value in entry.get("Values") or () if entry.get("Name") == "group-id" else ():
            if not value.startswith("sg-"):  # the one filter whose values EC2 looks at
                raise InvalidGroupIdMalformed(id=value)
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    peerings = await permissions.statuses(call, rows)
    return {"SecurityGroupRules": [_view(call, row, tags.get(row.id, []), peerings) for row in rows], **more}


async def _authorize(call: Call, p: Mapping[str, Any], *, is_egress: bool) -> dict[str, Any]:
    group = await named(call, p)
    rules = await permissions.parse(call, group, p)
    tags = tagging.from_specifications(p, "security-group-rule")
    before = [of_row(row) for row in await _rules(call, group) if row.is_egress is is_egress]
    held = {rule.key for rule in before}
    keys = [rule.key for rule in rules]
    if len(set(keys)) < len(keys):
        raise InvalidParameterValue(_SAME_TWICE)
    for rule in rules:
        if rule.key in held:
            raise InvalidPermissionDuplicate(rule=permissions.wording(rule))
    await _light_enough(call, [*before, *rules])
    made = await security_group_rules.insert(call.tx, call.account, group.id, is_egress, rules)
    for rule_id in made:
        await tag_rows.put(call.tx, call.account, "security-group-rule", rule_id, tags)
    await _changed(call, group)
    tag_set = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    views = [
        permissions.rule_view(
            rule,
            rule_id=rule_id,
            group_id=group.id,
            account=group.account,
            is_egress=is_egress,
            region=call.region,
            tags=tag_set or None,
        )
        for rule_id, rule in zip(made, rules, strict=True)
    ]
    return {"Return": True, "SecurityGroupRules": views}


async def _revoke(call: Call, p: Mapping[str, Any], *, is_egress: bool) -> dict[str, Any]:
    """In the default VPC rules that the group does not have are answered in UnknownIpPermissions; elsewhere they are an
    error and nothing is revoked. Source: API reference, RevokeSecurityGroupIngress."""
    group = await named(call, p)
    rows = [row for row in await _rules(call, group) if row.is_egress is is_egress]
    unknown: list[Rule] = []
    if p.get("SecurityGroupRuleIds"):
        if p.get("IpPermissions"):
            raise InvalidParameterCombination(
                "The parameter securityGroupRuleIds cannot be used with the parameter ipPermissions"
            )
        by_id = {row.id: row for row in rows}
        _all_known(p["SecurityGroupRuleIds"], by_id)
        gone = [by_id[rule_id] for rule_id in dict.fromkeys(p["SecurityGroupRuleIds"])]
    else:
        wanted = await permissions.parse(call, group, p, rows)
        by_key = {of_row(row).key: row for row in rows}
        unknown = [rule for rule in wanted if rule.key not in by_key]
        gone = list({rule.key: by_key[rule.key] for rule in wanted if rule.key in by_key}.values())
        if unknown:
            vpc = await vpcs.by_id(call.tx, call.account, group.vpc_id)
            if vpc is None or not vpc.is_default:
                raise InvalidPermissionNotFound
    await security_group_rules.remove(call.tx, [row.id for row in gone])
    if gone:
        await _changed(call, group)
    out: dict[str, Any] = {"Return": True, "RevokedSecurityGroupRules": [_revoked(row) for row in gone]}
    if unknown:
        out["UnknownIpPermissions"] = permissions.grouped(unknown)
    return out


async def _describe_rules(call: Call, p: Mapping[str, Any], *, is_egress: bool) -> dict[str, Any]:
    group = await named(call, p)
    rows = [row for row in await _rules(call, group) if row.is_egress is is_egress]
    texts: dict[str, str | None] = {}
    if p.get("SecurityGroupRuleDescriptions"):
        entries = p["SecurityGroupRuleDescriptions"]
        _all_known([entry.get("SecurityGroupRuleId") or "" for entry in entries], {row.id: row for row in rows})
        texts = {entry["SecurityGroupRuleId"]: permissions.described(entry) for entry in entries}
    else:
        by_key = {of_row(row).key: row for row in rows}
        for rule in await permissions.parse(call, group, p, rows):
            if rule.key not in by_key:
                raise InvalidPermissionNotFound
            texts[by_key[rule.key].id] = rule.description
    for rule_id, text in texts.items():
        await security_group_rules.describe(call.tx, rule_id, text)
    await security_groups.touch(call.tx, group.id)
    return {"Return": True}


async def _requested(call: Call, group: Row, wanted: Mapping[str, Any]) -> Rule:
    """A rule as ModifySecurityGroupRules takes it: one protocol, one peer."""
    if not wanted.get("IpProtocol"):
        raise InvalidParameterValue(
            "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly."
        )
    given = (wanted.get("IpProtocol"), wanted.get("FromPort"), wanted.get("ToPort"))
    protocol, first, last = permissions.ports(*given, lacking="Invalid value for portRange. {}")
    rule = Rule(protocol, first, last, description=permissions.described(wanted))
    peers = [
        name for name in ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId") if wanted.get(name) is not None
    ]
    if not peers:
        raise MissingParameter(f"The request must contain exactly one of: {_PEERS}")
    if len(peers) > 1:
        raise InvalidParameterCombination(f"Only one of {_PEERS} can be specified")
    if "CidrIpv4" in peers:
        return replace(rule, cidr=permissions.cidr4(wanted["CidrIpv4"]))
    if "CidrIpv6" in peers:
        return replace(rule, cidr6=permissions.cidr6(wanted["CidrIpv6"]))
    if "PrefixListId" in peers:
        listed = await permissions.prefix_list(call, wanted["PrefixListId"])
        return replace(rule, referenced_group=listed.id, referenced_account=listed.account)
    peer = await permissions.peer_group(call, group, {"GroupId": wanted.get("ReferencedGroupId")})
    return Rule(protocol, first, last, description=rule.description, **peer)


async def _rules(call: Call, group: Row) -> Sequence[Row]:
    return (await security_group_rules.of_groups(call.tx, [group.id])).get(group.id, [])


async def _light_enough(call: Call, rules: Sequence[Rule]) -> None:
    """The limit of a group's rules in one direction, of each family; groups and lists count for both. Source: "Amazon VPC
    quotas"."""
    sizes = await security_group_rules.list_sizes(call.tx, rules)
    four, six = [rule for rule in rules if not rule.cidr6], [rule for rule in rules if not rule.cidr]
    if any(security_group_rules.weight(each, sizes) > quotas.RULES_PER_SECURITY_GROUP for each in (four, six)):
        raise RulesPerSecurityGroupLimitExceeded


async def _changed(call: Call, group: Row) -> None:
    await security_groups.touch(call.tx, group.id)
    call.wake("cluster_sync")


def _all_known(rule_ids: Sequence[str], rows: Mapping[str, Row]) -> None:
    for rule_id in rule_ids:
        ids.check("sgr", rule_id)
    absent = [rule_id for rule_id in dict.fromkeys(rule_ids) if rule_id not in rows]
    if absent:
        raise ids.missing("sgr", absent)


def _view(call: Call, row: Row, tags: Sequence[Mapping[str, str]], peerings: Mapping[str, str]) -> dict[str, Any]:
    return permissions.rule_view(
        row,
        rule_id=row.id,
        group_id=row.group_id,
        account=row.account,
        is_egress=row.is_egress,
        region=call.region,
        tags=tags,
        peerings=peerings,
    )


def _revoked(row: Row) -> dict[str, Any]:
    """EC2's RevokedSecurityGroupRule, which names a group by its id alone."""
    view: dict[str, Any] = {
        "SecurityGroupRuleId": row.id,
        "GroupId": row.group_id,
        "IsEgress": row.is_egress,
        "IpProtocol": row.protocol,
        "FromPort": row.from_port,
        "ToPort": row.to_port,
    }
    if row.referenced_group and not security_group_rules.is_list(row):
        view["ReferencedGroupId"] = row.referenced_group
    else:
        view.update(permissions.peer_members(row))
    if row.description:
        view["Description"] = row.description
    return view
