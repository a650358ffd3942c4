"""Inline policies: Put…Policy, Get…Policy, List…Policies, Delete…Policy of users, groups and roles.

Their sizes are limited all together. Source: "IAM and STS quotas", IAM entity character limits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam import groups, roles, users
from eucapy.clc.iam.documents import identity_policy, shown, size
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import LimitExceeded, NoSuchEntity, changed, iam
from eucapy.clc.store import iam_inline
from eucapy.database import Row

Find = Callable[[Call, str], Awaitable[Row]]


def _register(kind: str, most: int, find: Find, modifiable: Find) -> None:
    member, word = f"{kind}Name", kind.lower()

    @iam.action(f"Put{kind}Policy")
    async def put(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        principal = await modifiable(call, p[member])
        identity_policy(p["PolicyDocument"])
        others = [row for row in await iam_inline.of(call.tx, principal.id) if row.name != p["PolicyName"]]
        if sum(size(row.document) for row in others) + size(p["PolicyDocument"]) > most:
            raise LimitExceeded(f"Maximum policy size of {most} bytes exceeded for {word} {principal.name}")
        await iam_inline.put(call.tx, principal.id, p["PolicyName"], p["PolicyDocument"])
        changed(call)
        return {}

    @iam.action(f"Get{kind}Policy")
    async def get(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        principal = await find(call, p[member])
        for row in await iam_inline.of(call.tx, principal.id):
            if row.name == p["PolicyName"]:
                return {member: principal.name, "PolicyName": row.name, "PolicyDocument": shown(row.document)}
        raise _absent(p)

    @iam.action(f"List{kind}Policies")
    async def names(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        principal = await find(call, p[member])
        held = [str(row.name) for row in await iam_inline.of(call.tx, principal.id)]
        return listed(call, p, "PolicyNames", held, key=lambda name: name, shown=lambda name: name)

    @iam.action(f"Delete{kind}Policy")
    async def delete(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        principal = await modifiable(call, p[member])
        if not await iam_inline.remove(call.tx, principal.id, p["PolicyName"]):
            raise _absent(p)
        changed(call)
        return {}

    def _absent(p: Mapping[str, Any]) -> NoSuchEntity:
        return NoSuchEntity(f"The {word} policy with name {p['PolicyName']} cannot be found.")


USER_SIZE, GROUP_SIZE, ROLE_SIZE = 2048, 5120, 10240
_register("User", USER_SIZE, users.require, users.require)
_register("Group", GROUP_SIZE, groups.require, groups.require)
_register("Role", ROLE_SIZE, roles.require, roles.require_modifiable)


async def views(call: Call, principal_id: str) -> list[dict[str, Any]]:
    """All of a principal's, with their documents."""
    return [
        {"PolicyName": row.name, "PolicyDocument": shown(row.document)}
        for row in await iam_inline.of(call.tx, principal_id)
    ]
