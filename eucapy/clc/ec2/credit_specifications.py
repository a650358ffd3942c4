"""The CPU credit option of burstable instances: DescribeInstanceCreditSpecifications, ModifyInstanceCreditSpecification.

The option is kept and answered; a guest here has its processors in full under either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import paging
from eucapy.clc.ec2.errors import InvalidInstanceID, InvalidParameterValue, MissingParameter
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import filters, instances
from eucapy.lifecycle import instance as life

OPTIONS = ("standard", "unlimited")


@ec2.action("DescribeInstanceCreditSpecifications")
async def describe_instance_credit_specifications(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Of the instances named; without names, of those with the option `unlimited`, as in EC2."""
    wanted = [ids.check("i", value) for value in dict.fromkeys(p.get("InstanceIds") or ())]
    table = instances.table
    conditions = filters.where({"instance-id": filters.text(table.c.id)}, p.get("Filters"))
    conditions.append(table.c.id.in_(wanted) if wanted else table.c.credits == "unlimited")
    limit, token = paging.bounds(p, "InstanceIds")
    reservation, _, index = paging.position(call, token).partition("/")
    after = (reservation, int(index)) if reservation else None
    listed = await instances.page(call.tx, call.account, conditions, after, (limit or instances.LONGEST_PAGE) + 1)
    listed, more = paging.cut(listed, limit or instances.LONGEST_PAGE)
    rows = await instances.by_ids(call.tx, [row.id for row in listed])
    known = await instances.existing(call.tx, call.account, wanted)
    absent = [value for value in wanted if value not in known]
    if absent:
        raise ids.missing("i", absent)
    for row in rows.values():
        if not row.credits:
            raise InvalidInstanceID(f"The instance '{row.id}' is not a burstable performance instance.")
    out: dict[str, Any] = {
        "InstanceCreditSpecifications": [
            {"InstanceId": entry.id, "CpuCredits": rows[entry.id].credits} for entry in listed
        ]
    }
    if more:
        out["NextToken"] = call.token(f"{listed[-1].reservation_id}/{listed[-1].launch_index}")
    return out


@ec2.action("ModifyInstanceCreditSpecification")
async def modify_instance_credit_specification(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Each instance for itself; those that cannot be changed are told with the reason."""
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    if not p["InstanceCreditSpecifications"]:
        raise MissingParameter(name="InstanceCreditSpecification")
    for wanted in p["InstanceCreditSpecifications"]:
        instance_id, option = wanted["InstanceId"], wanted.get("CpuCredits")
        if not option:
            raise MissingParameter(name="CpuCredits")
        if option not in OPTIONS:
            raise InvalidParameterValue(f"Value ({option}) for parameter cpuCredits is invalid.")
        kind = ids.kind_of(instance_id)
        if kind is None or kind.prefix != "i":
            failed.append(_failure(instance_id, "InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"'))
            continue
        row = await instances.by_id(call.tx, call.account, instance_id)
        if row is None:
            failed.append(
                _failure(instance_id, "InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
            )
        elif row.state not in life.LIVE:
            failed.append(
                _failure(
                    instance_id,
                    "IncorrectInstanceState",
                    f"The instance '{instance_id}' is not in a state from which it can be modified.",
                )
            )
        elif not row.credits:
            failed.append(
                _failure(
                    instance_id,
                    "InstanceCreditSpecification.NotSupported",
                    f"The instance '{instance_id}' is not a burstable performance instance.",
                )
            )
        else:
            await instances.set_values(call.tx, instance_id, credits=option)
            done.append({"InstanceId": instance_id})
    return {
        "SuccessfulInstanceCreditSpecifications": done,
        "UnsuccessfulInstanceCreditSpecifications": failed,
    }


def _failure(instance_id: str, code: str, message: str) -> dict[str, Any]:
    return {"InstanceId": instance_id, "Error": {"Code": code, "Message": message}}
