"""DescribeInstances, StartInstances, StopInstances, RebootInstances, TerminateInstances.

Each call names what shall be (`run`, `starts`, `reboots`, the state's next edge) for all its instances or for none: an
instance that may not is found before anything is written. States: `eucapy/lifecycle/instance.py`; what the nodes make of
it: `reconcilers/observe.py`. Filters: `store/instance_filters.py`; how it looks: `instance_views.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import transitions
from eucapy.clc.capacity import demand_of, how_many_fit
from eucapy.clc.context import Call
from eucapy.clc.ec2 import instance_views, instance_xml, paging, vcpu_limit
from eucapy.clc.ec2.errors import (
    IncorrectInstanceState,
    InsufficientInstanceCapacity,
    InvalidParameterCombination,
    OperationNotPermitted,
    UnsupportedHibernationConfiguration,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.zones import zone_id_filter
from eucapy.clc.store import addresses, filters, instances
from eucapy.clc.store.advance import advance
from eucapy.clc.store.instance_filters import FILTERS
from eucapy.clc.store.tags import rare, tag_filter
from eucapy.database import Row
from eucapy.lifecycle import instance as life
from eucapy.lifecycle.instance import INSTANCE


@ec2.action("DescribeInstances")
async def describe_instances(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Pages of 1,000 at most, also when no size is asked for."""
    wanted = p.get("InstanceIds") or []
    limit, token = paging.bounds(p, "InstanceIds")
    declared = {**FILTERS, "availability-zone-id": zone_id_filter(call, instances.table.c.zone)}
    conditions = filters.where(declared, p.get("Filters"), tags=tag_filter(instances.table.c.id))
    if wanted:
        conditions.append(instances.table.c.id.in_([ids.check("i", value) for value in wanted]))
    conditions += await rare(call.tx, instances.table.c.id, p.get("Filters") or ())
    reservation, _, index = paging.position(call, token).partition("/")
    after = (reservation, int(index)) if reservation else None
    most = limit or instances.LONGEST_PAGE
    rows = await instances.page(call.tx, call.account, conditions, after, most + 1)
    if len(rows) < len(set(wanted)):
        await must_exist(call, wanted)
    rows, more = paging.cut(rows, most)
    shown = await instance_xml.rendered(call, rows)
    out: dict[str, Any] = {"Reservations": instance_views.reservations(rows, shown)}
    if more:
        out["NextToken"] = call.token(f"{rows[-1].reservation_id}/{rows[-1].launch_index}")
    return out


@ec2.action("StartInstances", worded=("InstanceIds",))
async def start_instances(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows = await required(call, p.get("InstanceIds") or ())
    for row in rows:
        if row.state not in (life.STOPPED, life.PENDING, life.RUNNING):
            raise IncorrectInstanceState(f"The instance '{row.id}' is not in a state from which it can be started.")
    stopped = [row for row in rows if row.state == life.STOPPED]
    if stopped:
        await vcpu_limit.how_many(call, sum(row.vcpus for row in stopped), 1, 1)
    for row in stopped:
        node = "" if row.leaving else row.node
        if not await how_many_fit(call.tx, call.config, [demand_of(row)], node):
            raise InsufficientInstanceCapacity(type=row.instance_type, zone=row.zone)
    changes = [_change(row, life.PENDING if row.state == life.STOPPED else row.state) for row in rows]
    for row in stopped:
        await advance(
            call.tx,
            INSTANCE,
            row,
            "start",
            run=True,
            starts=row.starts + 1,
            force_stop=False,
            launched_at=call.now,
            state_at=call.now,
            **transitions.PENDING,
        )
        await addresses.assign_autos(call.tx, row.id, call.config.public_ranges, call.now)
    _wake(call, "placement", "storage_sync", "cluster_sync")
    return {"StartingInstances": changes}


@ec2.action("StopInstances", worded=("InstanceIds",))
async def stop_instances(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """`Force` cuts the power, now or of a stop that is under way; `SkipOsShutdown` is another word for it."""
    rows = await required(call, p.get("InstanceIds") or ())
    if p.get("Hibernate"):
        raise UnsupportedHibernationConfiguration(instance=rows[0].id)
    force = bool(p.get("Force") or p.get("SkipOsShutdown"))
    for row in rows:
        if row.state not in (life.RUNNING, life.STOPPING, life.STOPPED):
            raise IncorrectInstanceState(f"The instance '{row.id}' is not in a state from which it can be stopped.")
        if row.keep_from_stop:
            raise OperationNotPermitted(
                f"The instance '{row.id}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again."
            )
    changes = [_change(row, life.STOPPING if row.state == life.RUNNING else row.state) for row in rows]
    for row in rows:
        if row.state == life.RUNNING:
            why = transitions.by_user(call.now)
            await advance(call.tx, INSTANCE, row, "stop", run=False, force_stop=force, state_at=call.now, **why)
        elif row.state == life.STOPPING and force:
            await instances.set_values(call.tx, row.id, force_stop=True)
    _wake(call, "cluster_sync")
    return {"StoppingInstances": changes}


@ec2.action("RebootInstances", worded=("InstanceIds",))
async def reboot_instances(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows = await required(call, p.get("InstanceIds") or ())
    for row in rows:
        if row.state not in (life.RUNNING, life.PENDING):
            raise IncorrectInstanceState(f"The instance '{row.id}' is not in a state from which it can be rebooted.")
    for row in rows:
        if row.state == life.RUNNING:
            await instances.set_values(call.tx, row.id, reboots=row.reboots + 1)
    _wake(call, "cluster_sync")
    return {}


@ec2.action("TerminateInstances", worded=("InstanceIds",))
async def terminate_instances(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Terminating what is terminated succeeds again and changes nothing."""
    rows = await required(call, p.get("InstanceIds") or ())
    kept = [row for row in rows if row.keep_from_termination and row.state in life.LIVE]
    if kept:
        raise OperationNotPermitted(
            f"The instance '{kept[0].id}' may not be terminated. Modify its 'disableApiTermination' instance attribute "
            "and try again."
        )
    changes = [_change(row, life.SHUTTING_DOWN if row.state in life.LIVE else row.state) for row in rows]
    for row in rows:
        if row.state in life.LIVE:
            why = transitions.by_user(call.now)
            await advance(call.tx, INSTANCE, row, "terminate", run=False, state_at=call.now, **why)
    _wake(call, "cluster_sync", "observe")
    return {"TerminatingInstances": changes}


async def required(call: Call, instance_ids: Sequence[str]) -> list[Row]:
    """The account's instances with these ids, each once, in the order given. Raises Malformed and NotFound, and
    InvalidParameterCombination when none is named (EC2's answer to an empty list)."""
    if not instance_ids:
        raise InvalidParameterCombination("No instances specified")
    rows = await instances.by_ids(call.tx, [ids.check("i", value) for value in instance_ids], call.account)
    missing = [value for value in instance_ids if value not in rows]
    if missing:
        raise ids.missing("i", missing)
    return [rows[value] for value in dict.fromkeys(instance_ids)]


async def require(call: Call, instance_id: str) -> Row:
    """The account's instance with this id. Raises Malformed and NotFound."""
    return (await required(call, [instance_id]))[0]


async def must_exist(call: Call, instance_ids: Sequence[str]) -> None:
    """Raises Malformed and NotFound unless all are instances of the account."""
    for value in instance_ids:
        ids.check("i", value)
    known = await instances.existing(call.tx, call.account, instance_ids)
    missing = [value for value in instance_ids if value not in known]
    if missing:
        raise ids.missing("i", missing)


def _change(row: Row, after: str) -> dict[str, Any]:
    """An InstanceStateChange."""
    return {
        "InstanceId": row.id,
        "CurrentState": instance_views.state(after),
        "PreviousState": instance_views.state(row.state),
    }


def _wake(call: Call, *loops: str) -> None:
    for loop in loops:
        call.wake(loop)
