"""A security group's rules as EC2 writes them: `IpPermissions`, the flat parameters of old, and rule objects.

`parse` makes `Rule`s of a request and refuses what EC2 refuses, in its words; `grouped` and `rule_view` write them back.
Addresses are canonical here: EC2 makes `100.68.0.18/18` into `100.68.0.0/18`. Sources: API reference,
AuthorizeSecurityGroupIngress; the messages as real EC2 gives them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import (
    DifferentNetworks,
    InvalidGroupNotFound,
    InvalidParameterValue,
    MissingParameter,
)
from eucapy.clc.store import prefix_lists, security_groups, vpc_peerings
from eucapy.clc.store.security_group_rules import Rule, is_list
from eucapy.database import Row

_BY_NUMBER = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
WITH_PORTS = ("tcp", "udp")
WITH_TYPES = ("icmp", "icmpv6")
_DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
_FLAT = ("IpProtocol", "FromPort", "ToPort", "CidrIp", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId")


async def parse(call: Call, group: Row, p: Mapping[str, Any], held: Sequence[Row] = ()) -> list[Rule]:
    """The rules that a request names, in its order. `held` are rules that the group has: what they are about need not be there
    any more. Raises InvalidParameterValue, MissingParameter, InvalidGroup.NotFound."""
    permissions = p.get("IpPermissions")
    known = {row.referenced_group: row for row in held if row.referenced_peering}
    if permissions:
        return [rule for permission in permissions for rule in await _of_permission(call, group, permission, known)]
    if any(p.get(name) is not None for name in _FLAT):
        return await _of_flat(call, group, p)
    raise MissingParameter(name="ipPermissions")


async def _of_permission(call: Call, group: Row, permission: Mapping[str, Any], known: Mapping[str, Row]) -> list[Rule]:
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
        row = known.get(entry.get("GroupId") or "")
        if row is None or entry.get("UserId") not in (None, "", row.referenced_account):
            peer = await peer_group(call, group, entry)
        else:
            peer = of_rule(row)
        rules.append(Rule(protocol, first, last, description=described(entry), **peer))
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
        return [Rule(protocol, first, last, **peer) for protocol, first, last in whole]
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


Peer = dict[str, str]
"""The members of a `Rule` that say which group it is about."""


def of_rule(rule: Row) -> Peer:
    return {
        name: str(getattr(rule, name))
        for name in ("referenced_group", "referenced_account", "referenced_vpc", "referenced_peering")
    }


async def peer_group(call: Call, group: Row, pair: Mapping[str, Any]) -> Peer:
    """The group that a pair names: by id, of the rule's own VPC or of one that is peered with it; by name, of its own."""
    owner = pair.get("UserId")
    if pair.get("GroupId"):
        group_id = ids.check("sg", pair["GroupId"])
        peer = (await security_groups.of_anyone(call.tx, [group_id])).get(group_id)
        if peer is not None and (owner or peer.account) == peer.account:
            if peer.vpc_id == group.vpc_id:
                return {"referenced_group": peer.id, "referenced_account": peer.account}
            peering = await vpc_peerings.between(call.tx, group.vpc_id, peer.vpc_id)
            if peering is not None:
                return {
                    "referenced_group": peer.id,
                    "referenced_account": peer.account,
                    "referenced_vpc": peer.vpc_id,
                    "referenced_peering": peering.id,
                }
            if peer.account == call.account:
                raise DifferentNetworks
        raise ids.missing("sg", [group_id])
    if pair.get("GroupName"):
        name = pair["GroupName"]
        own = (owner or call.account) == call.account
        found = await security_groups.by_name(call.tx, group.vpc_id, name) if own else None
        if found is None:
            raise InvalidGroupNotFound(f"The security group '{name}' does not exist in VPC '{group.vpc_id}'")
        return {"referenced_group": found.id, "referenced_account": found.account}
    raise MissingParameter(name="groupId or groupName")


async def prefix_list(call: Call, prefix_list_id: str | None) -> Row:
    """The account's prefix list of that id."""
    if not prefix_list_id:
        raise MissingParameter(name="prefixListId")
    row = await prefix_lists.by_id(call.tx, call.account, ids.check("pl", prefix_list_id))
    if row is None:
        raise ids.missing("pl", [prefix_list_id])
    return row


async def statuses(call: Call, rules: Iterable[Row | Rule]) -> dict[str, str]:
    """The states of the peering connections that rules go by."""
    named = {str(rule.referenced_peering) for rule in rules if rule.referenced_peering}
    return await vpc_peerings.states(call.tx, named) if named else {}


def grouped(rules: Iterable[Row | Rule], peerings: Mapping[str, str] = MappingProxyType({})) -> list[dict[str, Any]]:
    """Rules of one direction as IpPermissions: those of the same protocol and ports together. `peerings`: `statuses`."""
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
            permission["UserIdGroupPairs"].append({**peer, **_pair(rule, peerings)})
    return list(permissions.values())


def _pair(rule: Row | Rule, peerings: Mapping[str, str]) -> dict[str, str]:
    pair = {"UserId": rule.referenced_account, "GroupId": rule.referenced_group}
    if rule.referenced_peering:
        pair["VpcId"], pair["VpcPeeringConnectionId"] = rule.referenced_vpc, rule.referenced_peering
        pair["PeeringStatus"] = peerings.get(rule.referenced_peering, "active")
    return pair


def peer_members(rule: Row | Rule, peerings: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """The members of a rule object that say whom it is about."""
    if rule.cidr:
        return {"CidrIpv4": rule.cidr}
    if rule.cidr6:
        return {"CidrIpv6": rule.cidr6}
    if is_list(rule):
        return {"PrefixListId": rule.referenced_group}
    return {"ReferencedGroupInfo": _pair(rule, peerings)}


def rule_view(
    rule: Row | Rule, *, rule_id: str, group_id: str, account: str, is_egress: bool, region: str,
    tags: Sequence[Mapping[str, str]] | None = None, peerings: Mapping[str, str] = MappingProxyType({}),
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
        **peer_members(rule, peerings),
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
