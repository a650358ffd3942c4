"""The instance profiles of instances: which one a launch names, and Associate…, Disassociate…, Replace… and Describe….

An association is a fact of the instance's row, one at a time, and holds at once: `associating` and `disassociating` are
answered because EC2 answers them. Who may hand a role to an instance (iam:PassRole) is decided with the request. The loop
`role_credentials` then brings the role's credentials to the instance's metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging
from eucapy.clc.ec2.errors import (
    IncorrectInstanceState,
    IncorrectState,
    InvalidInstanceProfile,
    InvalidParameterCombination,
    MissingParameter,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import filters, instance_profiles, instances
from eucapy.database import Row
from eucapy.lifecycle import instance as life

ASSOCIATED = "associated"
NONE: dict[str, Any] = {
    "profile_id": "",
    "profile_arn": "",
    "profile_name": "",
    "profile_association": "",
    "profile_at": None,
}
"""The columns of an instance without one."""
_LASTING = (life.PENDING, life.RUNNING, life.STOPPING, life.STOPPED)
FILTERS: dict[str, filters.Filter] = {
    "instance-id": filters.text(instances.table.c.id),
    "state": filters.constant(ASSOCIATED),
}


async def named(call: Call, wanted: Mapping[str, Any], *, launch: bool) -> Row:
    """The profile that an IamInstanceProfileSpecification names. Raises InvalidParameterValue; InvalidParameterCombination
    for both names, MissingParameter for none. `launch`: as RunInstances, which wants a role in it."""
    arn, name = wanted.get("Arn") or "", wanted.get("Name") or ""
    if arn and name:
        raise InvalidParameterCombination(
            "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'"
        )
    if not arn and not name:
        raise MissingParameter(name="IamInstanceProfile")
    if arn:
        row = await instance_profiles.by_arn(call.tx, arn) if arn.startswith("arn:aws:iam::") else None
        what, told = "Invalid IAM Instance Profile ARN", ("arn", arn)
    else:
        row = await instance_profiles.by_name(call.tx, call.account, name)
        what, told = "Invalid IAM Instance Profile name", ("name", name)
    if row is None or row.account != call.account:
        raise InvalidInstanceProfile(f"Value ({told[1]}) for parameter iamInstanceProfile.{told[0]} is invalid. {what}")
    if launch and row.role_id is None:
        raise InvalidInstanceProfile(f'IAM Instance Profile "{instance_profiles.arn(row)}" has no associated IAM Roles')
    return row


def columns(call: Call, profile: Row) -> dict[str, Any]:
    """The columns of an instance that it is associated with now."""
    return {
        "profile_id": profile.id,
        "profile_arn": instance_profiles.arn(profile),
        "profile_name": profile.name,
        "profile_association": ids.new("iip-assoc"),
        "profile_at": call.now,
    }


@ec2.action("AssociateIamInstanceProfile")
async def associate_iam_instance_profile(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    ids.check("i", p["InstanceId"])
    row = await instances.by_id(call.tx, call.account, p["InstanceId"])
    if row is None:
        raise ids.missing("i", [p["InstanceId"]])
    if row.state not in _LASTING:
        raise IncorrectInstanceState(f"The instance '{row.id}' is not in a valid state for this operation.")
    profile = await named(call, p["IamInstanceProfile"], launch=False)
    if row.profile_id:
        raise IncorrectState(f"There is an existing association for instance {row.id}")
    return await _associate(call, row.id, profile)


@ec2.action("ReplaceIamInstanceProfileAssociation")
async def replace_iam_instance_profile_association(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The association gets another id with its profile, as in EC2."""
    row = await _by_association(call, p["AssociationId"])
    return await _associate(call, row.id, await named(call, p["IamInstanceProfile"], launch=False))


@ec2.action("DisassociateIamInstanceProfile")
async def disassociate_iam_instance_profile(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Credentials that the guest has already last until they end, as in EC2."""
    row = await _by_association(call, p["AssociationId"])
    await instances.set_values(call.tx, row.id, **NONE)
    for loop in ("role_credentials", "cluster_sync"):
        call.wake(loop)
    return {"IamInstanceProfileAssociation": _view(row, "disassociating")}


@ec2.action("DescribeIamInstanceProfileAssociations")
async def describe_iam_instance_profile_associations(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    wanted = list(dict.fromkeys(p.get("AssociationIds") or ()))
    conditions = [*filters.where(FILTERS, p.get("Filters")), instances.table.c.state.in_(_LASTING)]
    limit, token = paging.bounds(p)
    for one in wanted:
        await _by_association(call, one)
    if wanted:
        conditions.append(instances.table.c.profile_association.in_(wanted))
    rows = await instances.associated(
        call.tx, call.account, conditions, paging.position(call, token), paging.one_more(limit)
    )
    rows, more = paging.cut(rows, limit)
    out: dict[str, Any] = {"IamInstanceProfileAssociations": [_view(row, ASSOCIATED) for row in rows]}
    if more:
        out["NextToken"] = call.token(rows[-1].profile_association)
    return out


async def _associate(call: Call, instance_id: str, profile: Row) -> dict[str, Any]:
    await instances.set_values(call.tx, instance_id, **columns(call, profile))
    for loop in ("role_credentials", "cluster_sync"):
        call.wake(loop)
    row = await instances.by_id(call.tx, call.account, instance_id)
    assert row is not None
    return {"IamInstanceProfileAssociation": _view(row, "associating")}


async def _by_association(call: Call, association_id: str) -> Row:
    ids.check("iip-assoc", association_id)
    row = await instances.by_association(call.tx, call.account, association_id)
    if row is None or row.state not in _LASTING:
        raise ids.missing("iip-assoc", [association_id])
    return row


def _view(row: Row, state: str) -> dict[str, Any]:
    return {
        "AssociationId": row.profile_association,
        "InstanceId": row.id,
        "IamInstanceProfile": {"Arn": row.profile_arn, "Id": row.profile_id},
        "State": state,
        "Timestamp": datetime.fromtimestamp(row.profile_at, UTC),
    }
