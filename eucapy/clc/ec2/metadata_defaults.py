"""GetInstanceMetadataDefaults, ModifyInstanceMetadataDefaults: the account's wishes for metadata options.

A launch says first, then the account, then the image (ImdsSupport). Source: EC2 User Guide, "Order of precedence for
instance metadata options".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameterValue, Unsupported
from eucapy.clc.ec2.launch_options import MOST_HOPS
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import metadata_defaults

NONE, NO_HOPS = "no-preference", -1


@ec2.action("GetInstanceMetadataDefaults")
async def get_instance_metadata_defaults(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Only what the account prefers."""
    row = await metadata_defaults.of(call.tx, call.account)
    shown: dict[str, Any] = {"ManagedBy": "account"}
    if row is not None:
        held = {
            "HttpTokens": row.tokens,
            "HttpPutResponseHopLimit": row.hops,
            "HttpEndpoint": _word(row.enabled),
            "InstanceMetadataTags": _word(row.tags),
        }
        shown |= {name: value for name, value in held.items() if value is not None}
    return {"AccountLevel": shown}


@ec2.action("ModifyInstanceMetadataDefaults")
async def modify_instance_metadata_defaults(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """What the request does not say stays; `no-preference` (hops: -1) takes a preference back. Of launches from now on."""
    if p.get("HttpTokensEnforced") == "enabled":
        raise Unsupported("Enforcing IMDSv2 at launch is not supported in this region.")
    hops = p.get("HttpPutResponseHopLimit")
    if hops is not None and hops != NO_HOPS and not 1 <= hops <= MOST_HOPS:
        raise InvalidParameterValue(
            f"The HttpPutResponseHopLimit value is not valid. Specify a value between 1 and {MOST_HOPS}, or -1."
        )
    row = await metadata_defaults.of(call.tx, call.account)
    columns = {name: getattr(row, name, None) for name in ("tokens", "hops", "enabled", "tags")}
    if hops is not None:
        columns["hops"] = None if hops == NO_HOPS else hops
    if p.get("HttpTokens"):
        columns["tokens"] = None if p["HttpTokens"] == NONE else p["HttpTokens"]
    for member, name in (("HttpEndpoint", "enabled"), ("InstanceMetadataTags", "tags")):
        if p.get(member):
            columns[name] = None if p[member] == NONE else p[member] == "enabled"
    await metadata_defaults.put(call.tx, call.account, **columns)
    return {"Return": True}


async def of_account(call: Call) -> dict[str, Any]:
    """The preferences as columns of an instance; empty for an account that has none."""
    row = await metadata_defaults.of(call.tx, call.account)
    if row is None:
        return {}
    held = {
        "metadata_tokens": row.tokens,
        "metadata_hops": row.hops,
        "metadata_enabled": row.enabled,
        "metadata_tags": row.tags,
    }
    return {name: value for name, value in held.items() if value is not None}


def _word(flag: bool | None) -> str | None:
    return None if flag is None else "enabled" if flag else "disabled"
