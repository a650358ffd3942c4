"""Options of an instance that have an operation each: ModifyInstanceMaintenanceOptions, ModifyPrivateDnsNameOptions,
ModifyInstanceCpuOptions, ModifyInstanceCapacityReservationAttributes.

What changes the machine or its name is changed while the instance is stopped. RunInstances takes the same options
(`launch_options.py`); what is refused there is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2 import launch_options
from eucapy.clc.ec2.errors import IncorrectInstanceState, InvalidParameterValue, MissingParameter, Unsupported
from eucapy.clc.ec2.instances import require
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import instances
from eucapy.database import Row
from eucapy.lifecycle import instance as life


@ec2.action("ModifyInstanceMaintenanceOptions")
async def modify_instance_maintenance_options(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _live(call, p)
    if p.get("RebootMigration") == "disabled":
        raise Unsupported("Reboot migration is not supported in this region.")
    recovery = p.get("AutoRecovery") or row.auto_recovery
    await instances.set_values(call.tx, row.id, auto_recovery=recovery)
    return {"InstanceId": row.id, "AutoRecovery": recovery, "RebootMigration": "default"}


@ec2.action("ModifyPrivateDnsNameOptions")
async def modify_private_dns_name_options(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The kind of host name is what the guest gets at its next start; A records are a matter of the resolver."""
    row = await _live(call, p)
    if p.get("EnableResourceNameDnsAAAARecord"):
        raise InvalidParameterValue("The subnet has no IPv6 CIDR block associated with it.")
    kind = p.get("PrivateDnsHostnameType") or row.hostname_type
    if kind != row.hostname_type:
        _must_be_stopped(row)
    record = p.get("EnableResourceNameDnsARecord")
    await instances.set_values(
        call.tx, row.id, hostname_type=kind, name_a_record=row.name_a_record if record is None else record
    )
    call.wake("cluster_sync")
    return {"Return": True}


@ec2.action("ModifyInstanceCpuOptions")
async def modify_instance_cpu_options(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _live(call, p)
    if p.get("NestedVirtualization") == "enabled":
        raise Unsupported("Nested virtualization is not supported in this region.")
    if p.get("CoreCount") is None:
        raise MissingParameter(name="CoreCount")
    if p.get("ThreadsPerCore") is None:
        raise MissingParameter(name="ThreadsPerCore")
    _must_be_stopped(row)
    cores, threads = launch_options.cpus(launch_options.instance_type(row.instance_type, call.types), p)
    await instances.set_values(call.tx, row.id, cores=cores, threads=threads, vcpus=cores * threads)
    call.wake("cluster_sync")
    return {"InstanceId": row.id, "CoreCount": cores, "ThreadsPerCore": threads}


@ec2.action("ModifyInstanceCapacityReservationAttributes")
async def modify_instance_capacity_reservation_attributes(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """There are no reservations: the preference is kept, and decides nothing."""
    row = await _live(call, p)
    wanted = p["CapacityReservationSpecification"]
    preference = wanted.get("CapacityReservationPreference")
    if wanted.get("CapacityReservationTarget") or preference == "capacity-reservations-only":
        raise Unsupported("Capacity Reservations are not supported in this region.")
    if not preference:
        raise MissingParameter(name="CapacityReservationSpecification.CapacityReservationPreference")
    _must_be_stopped(row)
    await instances.set_values(call.tx, row.id, capacity_reservation=preference)
    return {"Return": True}


async def _live(call: Call, p: Mapping[str, Any]) -> Row:
    """The account's instance, that is not ending. Raises Malformed, NotFound, IncorrectInstanceState."""
    row = await require(call, p["InstanceId"])
    if row.state not in life.LIVE:
        raise IncorrectInstanceState(f"The instance '{row.id}' is not in a state from which it can be modified.")
    return row


def _must_be_stopped(row: Row) -> None:
    if row.state != life.STOPPED:
        raise IncorrectInstanceState(f"The instance '{row.id}' is not in the 'stopped' state.")
