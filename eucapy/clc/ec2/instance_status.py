"""DescribeInstanceStatus, MonitorInstances, UnmonitorInstances, ReportInstanceStatus.

The system check asks whether the instance's node answers, the instance check whether its guest is responsive; both come
from the last report (`hosts`, `vms`). A node that has been silent for `node_lost_after_s` impairs its instances; when it
is back they are well again. There are no scheduled events: nothing here retires hardware.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import instance_views, paging
from eucapy.clc.ec2.errors import IncorrectInstanceState
from eucapy.clc.ec2.instances import must_exist, required
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.zones import zone_id_filter, zone_ids
from eucapy.clc.store import filters, hosts, instances, vms
from eucapy.clc.store.filters import never, pattern
from eucapy.clc.store.tags import tag_filter, tag_filters
from eucapy.database import Row
from eucapy.lifecycle import instance as life

log = logging.getLogger(__name__)

OK, IMPAIRED, INITIALIZING, NO_DATA, NOT_APPLICABLE = (
    "ok", "impaired", "initializing", "insufficient-data", "not-applicable",
)  # fmt: skip
PASSED, FAILED = "passed", "failed"

_CODES = {str(state.code): name for name, state in life.INSTANCE.states.items()}

FILTERS: dict[str, filters.Filter] = {
    "availability-zone": filters.text(instances.table.c.zone),
    "application-status.status": never,
    "attached-ebs-status.status": never,
    "event.code": never,
    "event.description": never,
    "event.instance-event-id": never,
    "event.not-after": never,
    "event.not-before": never,
    "event.not-before-deadline": never,
    "instance-state-code": filters.mapped(instances.table.c.state, _CODES),
    "instance-state-name": filters.text(instances.table.c.state),
    "operator.managed": filters.constant("false"),
    "operator.principal": never,
    **tag_filters(instances.table.c.id),
}
_OBSERVED = {
    "instance-status.reachability": ("InstanceStatus", True),
    "instance-status.status": ("InstanceStatus", False),
    "system-status.reachability": ("SystemStatus", True),
    "system-status.status": ("SystemStatus", False),
}
_CHECKED_LATER = dict.fromkeys(_OBSERVED, filters.always)


@ec2.action("DescribeInstanceStatus")
async def describe_instance_status(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Running instances, or all with IncludeAllInstances. A page that filters on a check may hold fewer than asked for."""
    table = instances.table
    wanted = p.get("InstanceIds") or []
    limit, token = paging.bounds(p, "InstanceIds")
    given = p.get("Filters") or ()
    observed = [entry for entry in given if entry.get("Name") in _OBSERVED]
    declared = {**FILTERS, **_CHECKED_LATER, "availability-zone-id": zone_id_filter(call, table.c.zone)}
    conditions = filters.where(declared, given, tags=tag_filter(table.c.id))
    if not p.get("IncludeAllInstances"):
        conditions.append(table.c.state == life.RUNNING)
    if wanted:
        conditions.append(table.c.id.in_([ids.check("i", value) for value in wanted]))
    reservation, _, index = paging.position(call, token).partition("/")
    after = (reservation, int(index)) if reservation else None
    most = limit or instances.LONGEST_PAGE
    listed = await instances.page(call.tx, call.account, conditions, after, most + 1)
    if len(listed) < len(set(wanted)):
        await must_exist(call, wanted)
    listed, more = paging.cut(listed, most)
    known = await instances.by_ids(call.tx, [row.id for row in listed])
    rows = [known[row.id] for row in listed]
    guests = await vms.of_instances(call.tx, [row.id for row in rows])
    nodes = await hosts.by_names(call.tx, sorted({row.node for row in rows if row.node}))
    zones = zone_ids(call)
    views = [view(call, row, guests.get(row.id), nodes.get(row.node), zones.get(row.zone)) for row in rows]
    out: dict[str, Any] = {"InstanceStatuses": [one for one in views if _meets(one, observed)]}
    if more:
        out["NextToken"] = call.token(f"{rows[-1].reservation_id}/{rows[-1].launch_index}")
    return out


@ec2.action("MonitorInstances")
async def monitor_instances(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _monitor(call, p, True)


@ec2.action("UnmonitorInstances")
async def unmonitor_instances(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return await _monitor(call, p, False)


@ec2.action("ReportInstanceStatus")
async def report_instance_status(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """What the owner thinks of the instances: it goes into the log, for the operator. It changes no check, as in EC2."""
    rows = await required(call, p["Instances"])
    for row in rows:
        if row.state != life.RUNNING:
            raise IncorrectInstanceState(f"The instance '{row.id}' is not in the 'running' state.")
    told = {"instances": [row.id for row in rows], "status": p["Status"], "reasons": p["ReasonCodes"]}
    call.tx.on_commit(lambda: log.warning("instances reported by their owner", extra={"data": told}))
    return {}


async def _monitor(call: Call, p: Mapping[str, Any], on: bool) -> dict[str, Any]:
    rows = await required(call, p["InstanceIds"])
    for row in rows:
        await instances.set_values(call.tx, row.id, monitoring=on)
    word = "pending" if on else "disabling"
    done = {True: "enabled", False: "disabled"}
    return {
        "InstanceMonitorings": [
            {"InstanceId": row.id, "Monitoring": {"State": done[on] if row.monitoring == on else word}} for row in rows
        ]
    }


def view(call: Call, row: Row, guest: Row | None, node: Row | None, short_zone: str | None) -> dict[str, Any]:
    """An InstanceStatus of DescribeInstanceStatus."""
    lost_at = node.unreachable_since + call.config.node_lost_after_s if node and node.unreachable_since else None
    lost = lost_at is not None and call.now >= lost_at
    out: dict[str, Any] = {
        "AvailabilityZone": row.zone,
        "AvailabilityZoneId": short_zone,
        "Events": [],
        "InstanceId": row.id,
        "InstanceState": instance_views.state(row.state),
        "Operator": {"Managed": False},
    }
    if row.state != life.RUNNING:
        return {**out, "SystemStatus": {"Status": NOT_APPLICABLE}, "InstanceStatus": {"Status": NOT_APPLICABLE}}
    if node is None or guest is None:
        return {**out, "SystemStatus": _check(NO_DATA), "InstanceStatus": _check(NO_DATA)}
    if lost:
        return {
            **out,
            "SystemStatus": _check(IMPAIRED, node.unreachable_since),
            "InstanceStatus": _check(IMPAIRED, node.unreachable_since),
        }
    well = guest.responsive
    return {
        **out,
        "SystemStatus": _check(OK),
        "InstanceStatus": _check(OK) if well else _check(IMPAIRED, guest.unresponsive_since),
    }


def _check(status: str, since: float | None = None) -> dict[str, Any]:
    reached = {OK: PASSED, IMPAIRED: FAILED}.get(status, status)
    return {"Status": status, "Details": [{"Name": "reachability", "Status": reached, "ImpairedSince": since}]}


def _meets(shown: Mapping[str, Any], observed: Any) -> bool:
    for entry in observed:
        member, reachability = _OBSERVED[entry["Name"]]
        check = shown[member]
        found = check.get("Details", [{}])[0].get("Status", "") if reachability else check["Status"]
        if not any(pattern(value).fullmatch(found) for value in entry.get("Values") or ()):
            return False
    return True
