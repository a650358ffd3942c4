"""The access advisor: which services somebody's policies allow, and when each was used last.

A report is made when it is asked for, of a user, a role, a group (its users) or a policy (whoever has it), and kept for a
while. Uses are what `store/service_uses.py` has of the last 400 days; tries that were refused count. Services are those of this
cloud; actions are told apart of those in `service_uses.TOLD_APART`. Source: "Refining permissions in AWS using last accessed
information", IAM guide.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from eucapy.aws import policygrammar
from eucapy.aws.policymatching import like
from eucapy.aws.policystatements import ALLOW
from eucapy.clc import actions
from eucapy.clc.context import Call
from eucapy.clc.iam import managed, policies
from eucapy.clc.iam.granting import grants, policies_of, principal_of
from eucapy.clc.iam.linked_roles import JOBS_KEPT_S
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import InvalidInput, NoSuchEntity, iam
from eucapy.clc.store import accounts, iam_groups, iam_policies, iam_reports, roles, service_uses
from eucapy.clc.store.powers import managed_text
from eucapy.clc.store.service_uses import TOLD_APART
from eucapy.database import Row

SERVICES = {
    "ebs": "Amazon Elastic Block Store",
    "ec2": "Amazon EC2",
    "iam": "AWS Identity and Access Management",
    "s3": "Amazon S3",
    "sts": "AWS Security Token Service",
}
TRACKED_S = 400 * 86400
_ADVICE = "access advice"
_BY_ACTION = "ACTION_LEVEL"


@iam.action("GenerateServiceLastAccessedDetails")
async def generate(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    texts, entities = await _subject(call, p["Arn"])
    uses = await service_uses.of(call.tx, [entity["Id"] for entity in entities], call.now - TRACKED_S)
    facts = {
        "of": _ADVICE,
        "level": p.get("Granularity") or "SERVICE_LEVEL",
        "granted": {name: _granted(texts, name) for name in SERVICES if any(grants(text, name) for text in texts)},
        "entities": entities,
        "uses": [[use.principal_id, use.service, use.action, use.at, use.region] for use in uses],
    }
    job = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
    await iam_reports.forget_jobs(call.tx, call.now - JOBS_KEPT_S)
    await iam_reports.put_job(call.tx, call.account, job, facts, call.now)
    return {"JobId": job}


@iam.action("GetServiceLastAccessedDetails")
async def get_details(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    job = await _job(call, p["JobId"])
    facts = job.facts
    arns = {entity["Id"]: entity["Arn"] for entity in facts["entities"]}

    def view(name: str) -> dict[str, Any]:
        uses = [use for use in facts["uses"] if use[1] == name]
        shown: dict[str, Any] = {
            "ServiceName": SERVICES.get(name, name),
            "ServiceNamespace": name,
            "TotalAuthenticatedEntities": len({use[0] for use in uses}),
        }
        if uses:
            who, _, _, at, region = max(uses, key=_when)
            shown |= {"LastAuthenticated": at, "LastAuthenticatedEntity": arns[who], "LastAuthenticatedRegion": region}
        if facts["level"] == _BY_ACTION and name in TOLD_APART:
            shown["TrackedActionsLastAccessed"] = [
                _action(action, [use for use in uses if use[2] == action], arns) for action in facts["granted"][name]
            ]
        return shown

    page = listed(call, p, "ServicesLastAccessed", sorted(facts["granted"]), key=str, shown=view)
    return {**_status(job), "JobType": facts["level"], **page}


@iam.action("GetServiceLastAccessedDetailsWithEntities")
async def get_with_entities(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Who could have used the service, whether they did or not."""
    job, name = await _job(call, p["JobId"]), p["ServiceNamespace"]
    if name not in SERVICES:
        raise InvalidInput(f"Service namespace {name} is not valid.")
    used: dict[str, float] = {}
    for who, service, _, at, _ in job.facts["uses"]:
        if service == name:
            used[who] = max(used.get(who, 0.0), at)

    def view(entity: dict[str, Any]) -> dict[str, Any]:
        last = used.get(entity["Id"])
        return {"EntityInfo": entity, **({"LastAuthenticated": last} if last is not None else {})}

    entities = job.facts["entities"] if name in job.facts["granted"] else []
    page = listed(call, p, "EntityDetailsList", entities, key=lambda entity: str(entity["Arn"]), shown=view)
    return {**_status(job), **page}


def _when(use: list[Any]) -> float:
    return float(use[3])


def _action(name: str, uses: list[list[Any]], arns: Mapping[str, str]) -> dict[str, Any]:
    if not uses:
        return {"ActionName": name}
    who, _, _, at, region = max(uses, key=_when)
    return {
        "ActionName": name,
        "LastAccessedEntity": arns[who],
        "LastAccessedTime": at,
        "LastAccessedRegion": region,
    }


def _status(job: Row) -> dict[str, Any]:
    return {"JobStatus": "COMPLETED", "JobCreationDate": job.created_at, "JobCompletionDate": job.created_at}


async def _job(call: Call, job_id: str) -> Row:
    job = await iam_reports.job(call.tx, call.account, job_id)
    if job is None or job.facts.get("of") != _ADVICE:
        raise NoSuchEntity(f"The job with id {job_id} cannot be found.")
    return job


async def _subject(call: Call, arn: str) -> tuple[list[str], list[dict[str, Any]]]:
    """The texts of the policies that a report is about, and who has them, in the order of their ARNs. Raises InvalidInput,
    NoSuchEntity, ValidationError."""
    if ":policy/" in arn:
        await policies.require(call, arn)
        texts = [managed.document(arn) or await managed_text(call.tx, arn) or ""]
        holders = await iam_policies.principals_with(call.tx, call.account, arn)
        found = [entity for holder in holders for entity in await _by_id(call, holder)]
    else:
        kind, row = await principal_of(call, arn)
        texts = [text for _, text in await policies_of(call, kind, row)]
        found = await _by_id(call, row.id)
    return texts, [entity for _, entity in sorted({entity["Arn"]: entity for entity in found}.items())]


async def _by_id(call: Call, principal_id: str) -> list[dict[str, Any]]:
    """A user or a role, or a group's users."""
    if (user := await accounts.user_by_id(call.tx, principal_id)) is not None:
        return [_entity("USER", f"arn:aws:iam::{user.account}:user{user.path}{user.name}", user)]
    if (role := await roles.by_id(call.tx, principal_id)) is not None:
        return [_entity("ROLE", roles.arn(role), role)]
    users = await iam_groups.users_in(call.tx, principal_id)
    return [_entity("USER", f"arn:aws:iam::{row.account}:user{row.path}{row.name}", row) for row in users]


def _entity(kind: str, arn: str, row: Row) -> dict[str, Any]:
    return {"Arn": arn, "Name": row.name, "Type": kind, "Id": row.id, "Path": row.path}


def _granted(texts: Iterable[str], service: str) -> list[str]:
    """The service's actions that a statement of the policies allows, where they are told apart."""
    if service not in TOLD_APART:
        return []
    allowing = [
        statement
        for text in texts
        for statement in policygrammar.identity(text).statements
        if statement.effect == ALLOW
    ]
    return [
        name
        for name in sorted(actions.services()[service])
        if any(
            any(like(f"{service}:{name}".lower(), pattern.lower()) for pattern in statement.actions)
            != statement.not_action
            for statement in allowing
        )
    ]
