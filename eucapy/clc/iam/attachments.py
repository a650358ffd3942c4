"""Managed policies attached to users, groups and roles: Attach…Policy, Detach…Policy, ListAttached…Policies, and the other
way round: ListEntitiesForPolicy. Ten each at most."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.iam import groups, policies, roles, users
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import LimitExceeded, NoSuchEntity, changed, iam
from eucapy.clc.store import accounts, iam_groups, iam_names, iam_policies
from eucapy.clc.store import roles as role_rows
from eucapy.database import Row

POLICIES_PER_PRINCIPAL = 10

Find = Callable[[Call, str], Awaitable[Row]]


def name_of(policy_arn: str) -> str:
    return policy_arn.rpartition("/")[2]


def path_of(policy_arn: str) -> str:
    """`/`, or what stands between `policy` and the name."""
    return "/" + policy_arn.partition(":policy/")[2][: -len(name_of(policy_arn))]


def view(policy_arn: str) -> dict[str, str]:
    return {"PolicyName": name_of(policy_arn), "PolicyArn": policy_arn}


def _register(kind: str, find: Find, modifiable: Find) -> None:
    member = f"{kind}Name"

    @iam.action(f"Attach{kind}Policy")
    async def attach(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        principal = await modifiable(call, p[member])
        await policies.require_attachable(call, p["PolicyArn"])
        held = await iam_policies.attached_to(call.tx, principal.id)
        if p["PolicyArn"] not in held:
            if len(held) >= POLICIES_PER_PRINCIPAL:
                raise LimitExceeded(quota=f"PoliciesPer{kind}", most=POLICIES_PER_PRINCIPAL)
            await iam_policies.attach(call.tx, call.account, principal.id, p["PolicyArn"])
            changed(call)
        return {}

    @iam.action(f"Detach{kind}Policy")
    async def detach(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        principal = await modifiable(call, p[member])
        if not await iam_policies.detach(call.tx, principal.id, p["PolicyArn"]):
            raise NoSuchEntity(f"Policy {p['PolicyArn']} was not found.")
        changed(call)
        return {}

    @iam.action(f"ListAttached{kind}Policies")
    async def attached(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
        principal = await find(call, p[member])
        prefix = p.get("PathPrefix") or "/"
        held = [arn for arn in await iam_policies.attached_to(call.tx, principal.id) if path_of(arn).startswith(prefix)]
        return listed(call, p, "AttachedPolicies", held, key=lambda arn: arn, shown=view)


_register("User", users.require, users.require)
_register("Group", groups.require, groups.require)
_register("Role", roles.require, roles.require_modifiable)

_KINDS = (
    ("Group", iam_groups.groups),
    ("Role", role_rows.roles),
    ("User", accounts.users),
)


@iam.action("ListEntitiesForPolicy")
async def list_entities_for_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Groups, then roles, then users. As a boundary a policy is used by users and roles alone. A filter that names a kind of
    policy, as the model lets it, filters nothing."""
    await policies.require(call, p["PolicyArn"])
    found: list[tuple[str, str, Row]] = []
    for kind, table in _KINDS:
        if p.get("EntityFilter") in ("Group", "Role", "User") and p["EntityFilter"] != kind:
            continue
        for row in await _using(call, p, kind, table):
            if row.path.startswith(p.get("PathPrefix") or "/"):
                found.append((f"{kind} {row.folded}", kind, row))
    paged = listed(call, p, "Entities", found, key=lambda entry: entry[0], shown=lambda entry: entry[1:])
    entities = paged.pop("Entities")
    shown = {
        f"Policy{kind}s": [{f"{kind}Name": row.name, f"{kind}Id": row.id} for of, row in entities if of == kind]
        for kind, _ in _KINDS
    }
    return {**shown, **paged}


async def _using(call: Call, p: Mapping[str, Any], kind: str, table: Any) -> list[Row]:
    as_boundary, as_policy = True, True
    if p.get("PolicyUsageFilter"):
        as_boundary = p["PolicyUsageFilter"] == "PermissionsBoundary"
        as_policy = not as_boundary
    holders = set(await iam_policies.principals_with(call.tx, call.account, p["PolicyArn"])) if as_policy else set()
    return [
        row
        for row in await iam_names.page(call.tx, table, call.account)
        if row.id in holders or (as_boundary and kind != "Group" and row.boundary == p["PolicyArn"])
    ]
