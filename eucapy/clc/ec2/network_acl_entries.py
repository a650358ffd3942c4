"""The entries of network ACLs: create, replace, delete.

An entry is known by its direction and number. The last one of each direction, number 32767, denies the rest and is
nobody's to change; neither is number 32768, which denies the rest of IPv6 where the VPC has any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import permissions
from eucapy.clc.ec2.errors import (
    InvalidNetworkAclEntryNotFound,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    NetworkAclEntryAlreadyExists,
    NetworkAclEntryLimitExceeded,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import network_acl_entries, network_acls
from eucapy.clc.store.network_acl_entries import LAST, Entry
from eucapy.database import Row

TCP, UDP, ICMP, ICMPV6 = "6", "17", "1", "58"
_NAMES = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6, "all": "-1"}
"""What the aws CLI translates and other clients send as it is."""


@ec2.action("CreateNetworkAclEntry")
async def create_network_acl_entry(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    acl, is_egress, number = await _named(call, p)
    entry = parse(p)
    every = (await network_acl_entries.of_acls(call.tx, [acl.id])).get(acl.id, [])
    held = [row for row in every if row.is_egress == is_egress]
    if number in [row.number for row in held]:
        raise NetworkAclEntryAlreadyExists(number=number)
    if sum(bool(row.cidr6) == bool(entry.cidr6) for row in held) >= quotas.ENTRIES_PER_NETWORK_ACL:
        raise NetworkAclEntryLimitExceeded
    await network_acl_entries.insert(call.tx, acl.id, is_egress, number, entry)
    call.wake("cluster_sync")
    return {}


@ec2.action("ReplaceNetworkAclEntry")
async def replace_network_acl_entry(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    acl, is_egress, number = await _named(call, p)
    if not await network_acl_entries.replace(call.tx, acl.id, is_egress, number, parse(p)):
        raise _absent(is_egress, number)
    call.wake("cluster_sync")
    return {}


@ec2.action("DeleteNetworkAclEntry")
async def delete_network_acl_entry(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    acl, is_egress, number = await _named(call, p)
    if not await network_acl_entries.remove(call.tx, acl.id, is_egress, number):
        raise _absent(is_egress, number)
    call.wake("cluster_sync")
    return {}


async def required_acl(call: Call, acl_id: str) -> Row:
    """The caller's ACL; InvalidNetworkAclID.NotFound."""
    row = await network_acls.by_id(call.tx, call.account, ids.check("acl", acl_id))
    if row is None:
        raise ids.missing("acl", [acl_id])
    return row


async def _named(call: Call, p: Mapping[str, Any]) -> tuple[Row, bool, int]:
    """The ACL, the direction and the number that a request is about."""
    acl = await required_acl(call, p["NetworkAclId"])
    number = p["RuleNumber"]
    if not 1 <= number < LAST:
        raise InvalidParameterValue(
            f"Value ({number}) for parameter ruleNumber is invalid. Rulenumber must be in range 1..{LAST - 1}"
        )
    return acl, bool(p["Egress"]), number


def _absent(is_egress: bool, number: int) -> InvalidNetworkAclEntryNotFound:
    return InvalidNetworkAclEntryNotFound(direction="egress" if is_egress else "ingress", number=number)


def parse(p: Mapping[str, Any]) -> Entry:
    """What a request's entry says. TCP and UDP need ports, ICMP type and code; of other protocols these say nothing.

    Raises InvalidParameterValue, InvalidParameterCombination, MissingParameter.
    """
    protocol = _protocol(p["Protocol"])
    block, block6 = p.get("CidrBlock"), p.get("Ipv6CidrBlock")
    if block and block6:
        raise InvalidParameterCombination("The parameter ipv6CidrBlock cannot be used with the parameter cidrBlock")
    if not block and not block6:
        raise MissingParameter("Either 'cidrBlock' or 'ipv6CidrBlock' should be provided.")
    first, last, kind, code = None, None, None, None
    if protocol in (TCP, UDP):
        first, last = _range(p.get("PortRange") or {}, "portRange", "From", "To")
        permissions.ports(protocol, first, last)
    elif protocol in (ICMP, ICMPV6):
        kind, code = _range(p.get("IcmpTypeCode") or {}, "icmpTypeCode", "Type", "Code")
        permissions.ports(protocol, kind, code)
    return Entry(
        action=p["RuleAction"],
        protocol=protocol,
        cidr=permissions.cidr4(block) if block else "",
        cidr6=permissions.cidr6(block6) if block6 else "",
        from_port=first,
        to_port=last,
        icmp_type=kind,
        icmp_code=code,
    )


def _range(given: Mapping[str, Any], member: str, *names: str) -> list[int]:
    for name in names:
        if given.get(name) is None:
            raise MissingParameter(name=f"{member}.{name.lower()}")
    return [given[name] for name in names]


def _protocol(text: str) -> str:
    """A protocol's number as text; -1 is all of them."""
    name = text.lower()
    if name in _NAMES:
        return _NAMES[name]
    if name == "-1" or (name.isascii() and name.isdecimal() and len(name) <= 3 and int(name) <= 255):
        return str(int(name))
    raise InvalidParameterValue(f"Invalid value '{text}' for IP protocol. Unknown protocol.")


def view(row: Row) -> dict[str, Any]:
    """A row as EC2's NetworkAclEntry."""
    shown: dict[str, Any] = {"CidrBlock": row.cidr} if row.cidr else {"Ipv6CidrBlock": row.cidr6}
    shown["Egress"] = row.is_egress
    if row.icmp_type is not None:
        shown["IcmpTypeCode"] = {"Code": row.icmp_code, "Type": row.icmp_type}
    if row.from_port is not None:
        shown["PortRange"] = {"From": row.from_port, "To": row.to_port}
    return {**shown, "Protocol": row.protocol, "RuleAction": row.action, "RuleNumber": row.number}
