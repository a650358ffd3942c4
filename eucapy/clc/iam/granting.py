"""ListPoliciesGrantingServiceAccess: which of a principal's policies allow anything at all of a service.

Denials, conditions, boundaries and resources are not looked at, as AWS does not. A user's are those of its groups too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.aws import policygrammar
from eucapy.aws.policystatements import ALLOW, Statement
from eucapy.clc.context import Call
from eucapy.clc.iam import managed
from eucapy.clc.iam.attachments import name_of
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import InvalidInput, NoSuchEntity, iam
from eucapy.clc.store import accounts, iam_groups, iam_inline, iam_names, iam_policies, roles
from eucapy.clc.store.powers import managed_text
from eucapy.database import Row

_TABLES = {"user": accounts.users, "group": iam_groups.groups, "role": roles.roles}
Held = tuple[dict[str, Any], str]
"""A policy as it is shown, and its text."""


@iam.action("ListPoliciesGrantingServiceAccess")
async def list_policies_granting_service_access(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    kind, principal = await principal_of(call, p["Arn"])
    held = await policies_of(call, kind, principal)

    def view(namespace: str) -> dict[str, Any]:
        return {"ServiceNamespace": namespace, "Policies": [shown for shown, text in held if grants(text, namespace)]}

    asked = sorted(set(p["ServiceNamespaces"]))
    return listed(call, p, "PoliciesGrantingServiceAccess", asked, key=lambda name: name, shown=view)


def grants(text: str, namespace: str) -> bool:
    """Whether a statement of the policy allows an action of the service."""
    return any(
        statement.effect == ALLOW and _speaks_of(statement, namespace)
        for statement in policygrammar.identity(text).statements
    )


def _speaks_of(statement: Statement, namespace: str) -> bool:
    if statement.not_action:
        return not any(action in ("*", f"{namespace}:*") for action in statement.actions)
    return any(action.partition(":")[0].lower() in ("*", namespace.lower()) for action in statement.actions)


async def principal_of(call: Call, arn: str) -> tuple[str, Row]:
    """What an ARN of the account names: ("user", "group" or "role", its row). Raises InvalidInput, NoSuchEntity."""
    kind, _, rest = arn.partition(f":iam::{call.account}:")[2].partition("/")
    if kind not in _TABLES:
        raise InvalidInput(f"ARN {arn} is not valid.")
    row = await iam_names.by_name(call.tx, _TABLES[kind], call.account, rest.rpartition("/")[2])
    if row is None or f"{row.path[1:]}{row.name}" != rest:
        raise NoSuchEntity(f"The {kind} with name {rest.rpartition('/')[2]} cannot be found.")
    return kind, row


async def policies_of(call: Call, kind: str, principal: Row) -> list[Held]:
    """The principal's own policies, and a user's from its groups."""
    held = await _held_by(call, kind, principal)
    if kind == "user":
        for group in await iam_groups.groups_of(call.tx, principal.id):
            held += await _held_by(call, "group", group)
    return held


async def _held_by(call: Call, kind: str, principal: Row) -> list[Held]:
    """The policies that are the principal's own; an inline policy is shown with whose it is."""
    whose = {"EntityType": kind.upper(), "EntityName": principal.name}
    found: list[Held] = []
    for arn in await iam_policies.attached_to(call.tx, principal.id):
        text = await managed_text(call.tx, arn) or ""
        shown = {"PolicyName": name_of(arn), "PolicyType": "MANAGED", "PolicyArn": arn}
        found.append((shown, managed.document(arn) or text))
    for row in await iam_inline.of(call.tx, principal.id):
        found.append(({"PolicyName": row.name, "PolicyType": "INLINE", **whose}, str(row.document)))
    return found
