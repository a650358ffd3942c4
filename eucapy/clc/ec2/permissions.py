"""A security group's rules as EC2 writes them: `IpPermissions`, the flat parameters of old, and rule objects.

`parse` makes `Rule`s of a request and refuses what EC2 refuses, in its words; `grouped` and `rule_view` write them back.
Addresses are canonical here: EC2 makes `100.68.0.18/18` into `100.68.0.0/18`. Sources: API reference,
AuthorizeSecurityGroupIngress; the messages as real EC2 gives them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import (
    DifferentNetworks,
    InvalidGroupNotFound,
    InvalidParameterValue,
    MissingParameter,
)
from eucapy.clc.store import prefix_lists, security_groups
from eucapy.clc.store.security_group_rules import Rule, is_list
from eucapy.database import Row

_BY_NUMBER = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
WITH_PORTS = ("tcp", "udp")
WITH_TYPES = ("icmp", "icmpv6")
_DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
_FLAT = ("IpProtocol", "FromPort", "ToPort", "CidrIp", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId")


async def parse(call: Call, group: Row, p: Mapping[str, Any]) -> list[Rule]:
    """The rules that a request names, in its order. Raises InvalidParameterValue, MissingParameter, InvalidGroup.NotFound."""
    permissions = p.get("IpPermissions")
    if permissions:
        return [rule for permission in permissions for rule in await _of_permission(call, group, permission)]
    if any(p.get(name) is not None for name in _FLAT):
        return await _of_flat(call, group, p)
    raise MissingParameter(name="ipPermissions")


async def _of_permission(call: Call, group: Row, permission: Mapping[str, Any]) -> list[Rule]:
    protocol, first, last = ports(permission.get("IpProtocol"), permission.get("FromPort"), permission.get("ToPort"))
    rules = [
        Rule(protocol, first, last, cidr=cidr4(entry.get("CidrIp")), description=described(entry))
        for entry in permission.get("IpRanges") or ()
    ]
    rules += [
        Rule(protocol, first, last, cidr6=cidr6(entry.get("CidrIpv6")), description=described(entry))
        for entry in permission.get("Ipv6Ranges") or ()
    ]
    for entry in permission.get("UserIdGroupPairs") or ():
        peer = await peer_group(call, group, entry)
        rules.append(
            Rule(
                protocol,
                first,
                last,
                referenced_group=peer.id,
                referenced_account=peer.account,
                description=described(entry),
            )
        )
    for entry in permission.get("PrefixListIds") or ():
        listed = await prefix_list(call, entry.get("PrefixListId"))
        rules.append(
            Rule(
                protocol,
                first,
                last,
                referenced_group=listed.id,
                referenced_account=listed.account,
                description=described(entry),
            )
        )
    if not rules:
        raise MissingParameter(name="ipRanges, ipv6Ranges, prefixListIds or userIdGroupPairs")
    return rules


async def _of_flat(call: Call, group: Row, p: Mapping[str, Any]) -> list[Rule]:
    """A source group's name alone opens everything to it: all of TCP, UDP and ICMP."""
    if p.get("SourceSecurityGroupName"):
        owner = p.get("SourceSecurityGroupOwnerId")
        peer = await peer_group(call, group, {"GroupName": p["SourceSecurityGroupName"], "UserId": owner})
        whole = (("tcp", 0, 65535), ("udp", 0, 65535), ("icmp", -1, -1))
        return [
            Rule(protocol, first, last, referenced_group=peer.id, referenced_account=peer.account)
            for protocol, first, last in whole
        ]
    protocol, first, last = ports(p.get("IpProtocol"), p.get("FromPort"), p.get("ToPort"))
    return [Rule(protocol, first, last, cidr=cidr4(p.get("CidrIp")))]


def ports(
    protocol: str | None, first: int | None, last: int | None, lacking: str = "Invalid value '{}' for portRange."
) -> tuple[str, int, int]:
    """Protocol and range as they are stored; for ICMP the range is type and code. Other protocols have no ports. `lacking`
    is how the operation words what a range lacks."""
    if not protocol:
        raise MissingParameter(name="ipProtocol")
    name = protocol.lower()
    if name.isascii() and name.isdecimal() and len(name) <= 3:
        name = str(int(name))
    name = _BY_NUMBER.get(name, name)
    if name in WITH_PORTS:
        if first is None or last is None:
            raise InvalidParameterValue(lacking.format("Must specify both from and to ports with TCP/UDP."))
        for end, port in (("from", first), ("to", last)):
            if not 0 <= port <= 65535:
                raise InvalidParameterValue(f"TCP/UDP ({end}) port ({port}) out of range")
        if first > last:
            raise InvalidParameterValue(f"Invalid TCP/UDP port range ({first}:{last})")
        return name, first, last
    if name in WITH_TYPES:
        if first is None and last is None and name == "icmpv6":
            return name, -1, -1
        if first is None or last is None:
            raise InvalidParameterValue(lacking.format("Must specify both from and to ports with ICMP."))
        for end, value in (("type", first), ("code", last)):
            if not -1 <= value <= 255:
                raise InvalidParameterValue(f"ICMP {end} ({value}) out of range")
        if first == -1 and last != -1:
            raise InvalidParameterValue(f"ICMP code ({last}) out of range")
        return name, first, last
    if name != "-1" and not (name.isascii() and name.isdecimal() and len(name) <= 3 and int(name) <= 255):
        raise InvalidParameterValue(f"Invalid value '{protocol}' for IP protocol. Unknown protocol.")
    return name, -1, -1


def cidr4(text: str | None) -> str:
    """A canonical IPv4 block; a bare address is no block."""
    if not text:
        raise MissingParameter(name="cidrIp")
    _, slash, length = text.partition("/")
    try:
        if not slash or not length.isdecimal():
            raise ValueError
        return str(ipaddress.IPv4Network(text, strict=False))
    except ValueError:
        raise InvalidParameterValue(f"CIDR block {text} is malformed") from None


def cidr6(text: str | None) -> str:
    """A canonical IPv6 block."""
    if not text:
        raise MissingParameter(name="cidrIpv6")
    try:
        if "/" not in text or "%" in text:
            raise ValueError
        return str(ipaddress.IPv6Network(text, strict=False))
    except ValueError:
        raise InvalidParameterValue(f"CIDR block {text} is malformed") from None


def described(entry: Mapping[str, Any]) -> str | None:
    text: str | None = entry.get("Description")
    if text is not None and not _DESCRIPTION.fullmatch(text):
        raise InvalidParameterValue(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set:  "
            "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
        )
    return text or None


async def peer_group(call: Call, group: Row, pair: Mapping[str, Any]) -> Row:
    """The group that a pair names, by id, or by name in the rule's own VPC."""
    owner = pair.get("UserId") or call.account
    if pair.get("GroupId"):
        group_id = ids.check("sg", pair["GroupId"])
        peer = await security_groups.by_id(call.tx, call.account, group_id) if owner == call.account else None
        if peer is None:
            raise ids.missing("sg", [group_id])
        if peer.vpc_id != group.vpc_id:
            raise DifferentNetworks
        return peer
    if pair.get("GroupName"):
        name = pair["GroupName"]
        peer = await security_groups.by_name(call.tx, group.vpc_id, name) if owner == call.account else None
        if peer is None:
            raise InvalidGroupNotFound(f"The security group '{name}' does not exist in VPC '{group.vpc_id}'")
        return peer
    raise MissingParameter(name="groupId or groupName")


async def prefix_list(call: Call, prefix_list_id: str | None) -> Row:
    """The account's prefix list of that id."""
    if not prefix_list_id:
        raise MissingParameter(name="prefixListId")
    row = await prefix_lists.by_id(call.tx, call.account, ids.check("pl", prefix_list_id))
    if row is None:
        raise ids.missing("pl", [prefix_list_id])
    return row


def grouped(rules: Iterable[Row | Rule]) -> list[dict[str, Any]]:
    """Rules of one direction as IpPermissions: those of the same protocol and ports together."""
    permissions: dict[tuple[str, int, int], dict[str, Any]] = {}
    for rule in rules:
        key = (rule.protocol, rule.from_port, rule.to_port)
        permission = permissions.get(key)
        if permission is None:
            permission = permissions[key] = {"IpProtocol": rule.protocol}
            if rule.protocol in WITH_PORTS or rule.protocol in WITH_TYPES:
                permission.update(FromPort=rule.from_port, ToPort=rule.to_port)
            permission.update(UserIdGroupPairs=[], IpRanges=[], Ipv6Ranges=[], PrefixListIds=[])
        peer: dict[str, Any] = {"Description": rule.description} if rule.description else {}
        if rule.cidr:
            permission["IpRanges"].append({**peer, "CidrIp": rule.cidr})
        elif rule.cidr6:
            permission["Ipv6Ranges"].append({**peer, "CidrIpv6": rule.cidr6})
        elif is_list(rule):
            permission["PrefixListIds"].append({**peer, "PrefixListId": rule.referenced_group})
        else:
            permission["UserIdGroupPairs"].append(
                {**peer, "UserId": rule.referenced_account, "GroupId": rule.referenced_group}
            )
    return list(permissions.values())


def peer_members(rule: Row | Rule) -> dict[str, Any]:
    """The members of a rule object that say whom it is about."""
    if rule.cidr:
        return {"CidrIpv4": rule.cidr}
    if rule.cidr6:
        return {"CidrIpv6": rule.cidr6}
    if is_list(rule):
        return {"PrefixListId": rule.referenced_group}
    return {"ReferencedGroupInfo": {"GroupId": rule.referenced_group, "UserId": rule.referenced_account}}


def rule_view(
    rule: Row | Rule, *, rule_id: str, group_id: str, account: str, is_egress: bool, region: str,
    tags: Sequence[Mapping[str, str]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A rule as EC2's SecurityGroupRule."""
    view: dict[str, Any] = {
        "SecurityGroupRuleId": rule_id,
        "GroupId": group_id,
        "GroupOwnerId": account,
        "IsEgress": is_egress,
        "IpProtocol": rule.protocol,
        "FromPort": rule.from_port,
        "ToPort": rule.to_port,
        **peer_members(rule),
        "SecurityGroupRuleArn": f"arn:aws:ec2:{region}:{account}:security-group-rule/{rule_id}",
    }
    if rule.description:
        view["Description"] = rule.description
    if tags is not None:
        view["Tags"] = list(tags)
    return view


def wording(rule: Rule) -> str:
    """A rule in the words of InvalidPermission.Duplicate: `peer: 10.0.0.0/8, TCP, from port: 22, to port: 22, ALLOW`."""
    peer = rule.cidr or rule.cidr6 or rule.referenced_group
    name = "ALL" if rule.protocol == "-1" else rule.protocol.upper()
    if rule.protocol in WITH_PORTS:
        return f"peer: {peer}, {name}, from port: {rule.from_port}, to port: {rule.to_port}, ALLOW"
    if rule.protocol in WITH_TYPES:
        kind, code = ("ALL" if value == -1 else value for value in (rule.from_port, rule.to_port))
        return f"peer: {peer}, {name}, type: {kind}, code: {code}, ALLOW"
    return f"peer: {peer}, {name}, ALLOW"
