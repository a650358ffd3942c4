"""Service-linked roles: made for a service, modifiable by it alone, deleted by asking.

What AWS's services call theirs stands in `linked_roles.json`; another service's name makes a role too, of AWS's pattern. Its
policy is attached where `managed.py` has it: of the services that this cloud has or is to have. A deletion is done at once,
and its task says so. Source: "Service-linked roles", IAM guide.
"""

from __future__ import annotations

import json
import re
import secrets
import uuid
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from eucapy.clc.context import Call
from eucapy.clc.iam import managed, roles
from eucapy.clc.iam.service import InvalidInput, NoSuchEntity, ValidationError, changed, iam
from eucapy.clc.store import iam_inline, iam_names, iam_policies, iam_reports, instance_profiles
from eucapy.clc.store import roles as rows

_SERVICE = re.compile(r"[\w+=,.@-]+\.amazonaws\.com\Z", re.ASCII)
JOBS_KEPT_S = 30 * 86400


class Linked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a service's role is called behind `AWSServiceRoleFor`, which policy it has, and whether it may be had more than
    once."""

    name: str
    policy: str
    suffixes: bool = False


@cache
def linked() -> Mapping[str, Linked]:
    """By the service's name, from `linked_roles.json`. Source: "AWS services that work with IAM", and what IAM answers."""
    text = (resources.files("eucapy.clc.iam") / "linked_roles.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Linked])


@iam.action("CreateServiceLinkedRole")
async def create_service_linked_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    service, suffix = p["AWSServiceName"], p.get("CustomSuffix") or ""
    if not _SERVICE.match(service):
        raise InvalidInput("Service role creation failed: the service name is not valid.")
    known = linked().get(service) or _unknown(service)
    if suffix and not known.suffixes:
        raise InvalidInput(f"Custom suffix is not allowed for {service}")
    name = f"AWSServiceRoleFor{known.name}" + (f"_{suffix}" if suffix else "")
    if await iam_names.holder(call.tx, rows.roles, call.account, name) is not None:
        raise InvalidInput(f"Service role name {name} has been taken in this account, please try a different suffix.")
    await roles.refuse_full(call)
    statement = {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": service}}
    row = await rows.insert(
        call.tx,
        call.account,
        name,
        json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        call.now,
        path=f"{roles.SERVICES_PATH}{service}/",
        description=p.get("Description"),
        linked_service=service,
    )
    policy = f"{managed.PREFIX}{roles.SERVICES_PATH}{known.policy}"
    if managed.find(policy) is not None:
        await iam_policies.attach(call.tx, call.account, row.id, policy)
    changed(call)
    return {"Role": roles.view(row)}


@iam.action("DeleteServiceLinkedRole")
async def delete_service_linked_role(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """No service of this cloud holds on to its role: the deletion succeeds at once."""
    row = await roles.require(call, p["RoleName"])
    if not row.linked_service:
        raise NoSuchEntity(f"The service linked role with name {row.name} cannot be found.")
    for policy in await iam_policies.attached_to(call.tx, row.id):
        await iam_policies.detach(call.tx, row.id, policy)
    for inline in await iam_inline.of(call.tx, row.id):
        await iam_inline.remove(call.tx, row.id, inline.name)
    for profile in await instance_profiles.with_role(call.tx, row.id):
        await instance_profiles.set_role(call.tx, profile.id, None)
    await roles.remove(call, row)
    task = f"task{row.path}{row.name}/{uuid.UUID(bytes=secrets.token_bytes(16), version=4)}"
    await iam_reports.forget_jobs(call.tx, call.now - JOBS_KEPT_S)
    await iam_reports.put_job(call.tx, call.account, task, {"status": "SUCCEEDED"}, call.now)
    return {"DeletionTaskId": task}


@iam.action("GetServiceLinkedRoleDeletionStatus")
async def get_status(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    task = p["DeletionTaskId"]
    if not task.startswith("task/aws-service-role/"):
        raise ValidationError("The specified deletion task id is invalid.")
    job = await iam_reports.job(call.tx, call.account, task)
    if job is None:
        raise NoSuchEntity(f"Task id {task} not found.")
    return {"Status": job.facts["status"]}


def _unknown(service: str) -> Linked:
    words = re.split(r"[.-]", service.removesuffix(".amazonaws.com"))
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return Linked(name, f"{name}ServiceRolePolicy")
