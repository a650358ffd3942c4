"""DHCP options sets: create, associate, delete, describe. A node's DHCP server gives them out at the next lease."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import quotas
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging, vpcs
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import DependencyViolation, DhcpOptionsLimitExceeded, InvalidParameterValue, MissingParameter
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import dhcp_options
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store import vpcs as vpc_rows
from eucapy.database import Row

OWN_RESOLVER = "AmazonProvidedDNS"
MOST_SERVERS = 4
_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.I | re.A
)


@ec2.action("CreateDhcpOptions")
async def create_dhcp_options(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    configurations: dict[str, list[str]] = {}
    for entry in p["DhcpConfigurations"]:
        key, values = entry.get("Key") or "", [str(value) for value in entry.get("Values") or ()]
        check = _CHECKS.get(key)
        if check is None:
            raise InvalidParameterValue(f"Value ({key}) for parameter name is invalid. Unknown DHCP option")
        if not values:
            raise MissingParameter(name="value")
        for value in values:
            if not check(value):
                raise InvalidParameterValue(f"Value ({value}) for parameter {key} is invalid.")
        if len(values) > (MOST_SERVERS if key.endswith("servers") else 1):
            raise InvalidParameterValue(f"Too many values specified for parameter {key}.")
        configurations[key] = values
    if not configurations:
        raise MissingParameter(name="dhcpConfiguration")
    if len(configurations.get("domain-name-servers", ())) > 1 and OWN_RESOLVER in configurations["domain-name-servers"]:
        raise InvalidParameterValue(f"{OWN_RESOLVER} cannot be used together with other domain name servers.")
    tags = tagging.from_specifications(p, "dhcp-options")
    if await dhcp_options.count(call.tx, call.account) >= quotas.DHCP_OPTIONS:
        raise DhcpOptionsLimitExceeded
    row = await dhcp_options.insert(call.tx, account=call.account, configurations=configurations, now=call.now)
    return {"DhcpOptions": _view(row, await tagging.put(call, "dhcp-options", row.id, tags))}


@ec2.action("AssociateDhcpOptions")
async def associate_dhcp_options(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """`default` takes the VPC's options away."""
    vpc = await vpcs.required(call, p["VpcId"])
    options_id = p["DhcpOptionsId"]
    if options_id != vpc_rows.NO_OPTIONS:
        await _required(call, options_id)
    await vpc_rows.update(call.tx, vpc.id, dhcp_options_id=options_id)
    call.wake("cluster_sync")
    return {}


@ec2.action("DeleteDhcpOptions")
async def delete_dhcp_options(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _required(call, p["DhcpOptionsId"])
    if await vpc_rows.uses_options(call.tx, row.id):
        raise DependencyViolation(f"The dhcpOptions '{row.id}' has dependencies and cannot be deleted.")
    await dhcp_options.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    return {}


@ec2.action("DescribeDhcpOptions")
async def describe_dhcp_options(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        p,
        page=dhcp_options.page,
        declared=dhcp_options.FILTERS,
        id_column=dhcp_options.dhcp_options.c.id,
        prefix="dopt",
        member="DhcpOptionsIds",
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"DhcpOptions": [_view(row, tags.get(row.id, [])) for row in rows], **more}


async def _required(call: Call, options_id: str) -> Row:
    row = await dhcp_options.by_id(call.tx, call.account, ids.check("dopt", options_id))
    if row is None:
        raise ids.missing("dopt", [options_id])
    return row


def _view(row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    return {
        "OwnerId": row.account,
        "Tags": tags,
        "DhcpOptionsId": row.id,
        "DhcpConfigurations": [
            {"Key": key, "Values": [{"Value": value} for value in values]}
            for key, values in sorted(row.configurations.items())
        ],
    }


def _is_address(value: str) -> bool:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return False
    return True


_CHECKS: dict[str, Callable[[str], bool]] = {
    "domain-name": lambda value: _DOMAIN.fullmatch(value) is not None,
    "domain-name-servers": lambda value: value == OWN_RESOLVER or _is_address(value),
    "ntp-servers": _is_address,
    "netbios-name-servers": _is_address,
    "netbios-node-type": lambda value: value in ("1", "2", "4", "8"),
}
