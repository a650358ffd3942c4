"""Flow logs: create, delete, describe. What is seen and how it gets into the bucket: `reconcilers/flow_logs.py`.

A flow log goes to a bucket; CloudWatch Logs and Firehose are not here. That the bucket is there, and that somebody else's lets
logs in, is asked of the object store aside; what its own account's bucket needs for that is put into its policy by the loop,
in the caller's name. Source: "Create a flow log that publishes to Amazon S3", VPC user guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import flow_fields, quotas
from eucapy.clc.actors import Actor
from eucapy.clc.context import Call
from eucapy.clc.ec2 import network_interfaces, paging, subnets, vpcs
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    FlowLogAlreadyExists,
    FlowLogsLimitExceeded,
    InvalidParameter,
    InvalidParameterValue,
    MissingParameter,
    UnsupportedOperation,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.flow_destinations import Destination, Standing
from eucapy.clc.store import flow_logs
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row

_KIND = "vpc-flow-log"
_RESOURCES = {"VPC": "vpc", "Subnet": "subnet", "NetworkInterface": "eni"}
_ARN = re.compile(r"arn:aws:s3:::([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
_INTERVALS = (60, 600)
_RESERVED = "AWSLogs"
_LONGEST_PREFIX = 700


@ec2.action("CreateFlowLogs")
async def create_flow_logs(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """One for each resource, all or none of them, but for those whose bucket will not have them."""
    destination, options = _destination(p), p.get("DestinationOptions") or {}
    if options.get("FileFormat", "plain-text") != "plain-text":
        raise UnsupportedOperation("The file format parquet is not supported.")
    if p.get("TagFieldSpecifications"):
        raise UnsupportedOperation("TagFieldSpecifications is not supported.")
    if p.get("MaxAggregationInterval", 600) not in _INTERVALS:
        raise InvalidParameter("Invalid Flow Log Max Aggregation Interval")
    log_format = _format(p)
    tags = tagging.from_specifications(p, _KIND)
    if not p.get("TrafficType"):
        raise MissingParameter(name="trafficType")
    wanted = [(resource, await _vpc_of(call, p, resource)) for resource in dict.fromkeys(p["ResourceIds"])]
    for resource, _ in wanted:
        held = await flow_logs.of_resource(call.tx, resource)
        if any(row.destination == p["LogDestination"] for row in held):
            raise FlowLogAlreadyExists
        if len(held) >= quotas.FLOW_LOGS_PER_RESOURCE:
            raise FlowLogsLimitExceeded
    account = call.account
    standing: Standing | None = await call.aside(
        (destination, account), lambda: call.destinations.standing(destination, account)
    )
    made: dict[str, Any] = {"FlowLogIds": [], "Unsuccessful": []}
    if p.get("ClientToken"):
        made["ClientToken"] = p["ClientToken"]
    refused = _refusal(standing, destination, account)
    for resource, vpc_id in wanted:
        if refused:
            error = {"Code": "400", "Message": refused}
            made["Unsuccessful"].append({"ResourceId": resource, "Error": error})
            continue
        flow_log_id = await flow_logs.insert(
            call.tx,
            account=account,
            resource_id=resource,
            vpc_id=vpc_id,
            traffic_type=p["TrafficType"],
            destination=p["LogDestination"],
            log_format=log_format,
            interval_s=p.get("MaxAggregationInterval", 600),
            hive=bool(options.get("HiveCompatiblePartitions")),
            per_hour=bool(options.get("PerHourPartition")),
            actor=Actor.of_principal(call.principal).kept(),
            now=call.now,
        )
        await tagging.put(call, _KIND, flow_log_id, tags)
        made["FlowLogIds"].append(flow_log_id)
    if made["FlowLogIds"]:
        call.wake("flow_logs")
        call.wake("cluster_sync")
    return made


@ec2.action("DeleteFlowLogs")
async def delete_flow_logs(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """What is not delivered yet is gone with it."""
    wanted = [ids.check("fl", value) for value in dict.fromkeys(p["FlowLogIds"])]
    known = {row.id for row in await flow_logs.by_ids(call.tx, call.account, wanted)}
    absent = [value for value in wanted if value not in known]
    if absent:
        raise ids.missing("fl", absent)
    await flow_logs.remove(call.tx, wanted)
    for flow_log_id in wanted:
        await tag_rows.remove(call.tx, flow_log_id)
    call.wake("cluster_sync")
    return {"Unsuccessful": []}


@ec2.action("DescribeFlowLogs")
async def describe_flow_logs(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    rows, more = await paging.described(
        call,
        {**p, "Filters": p.get("Filter")},
        page=flow_logs.page,
        declared=flow_logs.FILTERS,
        id_column=flow_logs.flow_logs.c.id,
        prefix="fl",
        member="FlowLogIds",
    )
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"FlowLogs": [_view(row, tags.get(row.id, [])) for row in rows], **more}


def _destination(p: Mapping[str, Any]) -> Destination:
    """Bucket and folder, or the refusal of everything that is none."""
    given = p.get("LogDestination")
    kind = p.get("LogDestinationType") or "cloud-watch-logs"
    if not given and not p.get("LogGroupName"):
        needed = f"LogDestinationType is {kind}" if p.get("LogDestinationType") else "LogGroupName is not provided"
        raise InvalidParameter(f"LogDestination can't be empty if {needed}.")
    if kind != "cloud-watch-logs" and p.get("LogGroupName"):
        raise InvalidParameter("LogDestination type must be cloud-watch-logs if LogGroupName is provided.")
    if kind == "cloud-watch-logs" and not p.get("DeliverLogsPermissionArn"):
        raise InvalidParameter("DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs.")
    if kind != flow_logs.S3:
        raise UnsupportedOperation(f"The log destination type {kind} is not supported.")
    for name in ("DeliverLogsPermissionArn", "DeliverCrossAccountRole"):
        if p.get(name):
            raise InvalidParameter(f"{name} is not applicable for s3 delivery")
    found = _ARN.fullmatch(given or "")
    if found is None:
        raise InvalidParameter(f"LogDestination: {given} is not a valid ARN of an S3 bucket.")
    prefix = (found[2] or "").strip("/")
    if prefix.split("/")[0] == _RESERVED or len(prefix) > _LONGEST_PREFIX or not prefix.isprintable():
        raise InvalidParameter(f"LogDestination: {given} is not a valid location for flow logs.")
    return Destination(found[1], prefix, bool((p.get("DestinationOptions") or {}).get("HiveCompatiblePartitions")))


def _format(p: Mapping[str, Any]) -> str:
    given: str = p.get("LogFormat") or flow_fields.DEFAULT
    try:
        flow_fields.fields(given)
    except ValueError:
        message = f"1 validation error detected: Value '{given}' at 'logFormat' has an invalid format"
        raise InvalidParameterValue(message) from None
    return given


async def _vpc_of(call: Call, p: Mapping[str, Any], resource_id: str) -> str:
    """The VPC that the resource is, or is in. Raises the NotFound and Malformed errors of its kind."""
    kind = p["ResourceType"]
    prefix = _RESOURCES.get(kind)
    if prefix is None:
        raise UnsupportedOperation(f"Flow logs of the resource type {kind} are not supported.")
    known = ids.kind_of(resource_id)
    if known is not None and known.prefix != prefix:
        raise InvalidParameter(f"Invalid Resource id {resource_id} for resource-type {kind}")
    if prefix == "vpc":
        return str((await vpcs.required(call, resource_id)).id)
    if prefix == "subnet":
        return str((await subnets.required(call, resource_id)).vpc_id)
    return str((await network_interfaces.required(call, resource_id)).vpc_id)


def _refusal(standing: Standing | None, destination: Destination, account: str) -> str:
    """Why nothing can be delivered there; "" when it can, or will be able to."""
    if standing is None:
        return f"LogDestination: {destination.bucket} does not exist."
    if not standing.lets_in and standing.account != account:
        return f"Access Denied for LogDestination: {destination.bucket}. Please check LogDestination permission"
    return ""


def _view(row: Row, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A row as EC2's FlowLog."""
    view: dict[str, Any] = {
        "CreationTime": row.created_at,
        "DeliverLogsStatus": row.status,
        "FlowLogId": row.id,
        "FlowLogStatus": "ACTIVE",
        "ResourceId": row.resource_id,
        "TrafficType": row.traffic_type,
        "LogDestinationType": flow_logs.S3,
        "LogDestination": row.destination,
        "LogFormat": row.log_format,
        "Tags": tags,
        "MaxAggregationInterval": row.interval_s,
        "DestinationOptions": {
            "FileFormat": "plain-text",
            "HiveCompatiblePartitions": row.hive,
            "PerHourPartition": row.per_hour,
        },
    }
    if row.error_message:
        view["DeliverLogsErrorMessage"] = row.error_message
    return view
