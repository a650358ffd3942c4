"""Metrics configurations of a bucket: put, get, list, delete. What they count: `walrus/bucketmetrics.py`.

Filters by access point answer 501: there are no access points here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from eucapy.aws.errors import InvalidArgument, MalformedXML, NotImplementedS3
from eucapy.aws.message import Result
from eucapy.walrus import errors
from eucapy.walrus.context import Call
from eucapy.walrus.s3 import named
from eucapy.walrus.s3.service import s3

SETTING = "metrics"
ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_ONE_OF = ("Prefix", "Tag", "AccessPointArn", "And")


@s3.action("PutBucketMetricsConfiguration", unchecked=("MetricsConfiguration",))
async def put_bucket_metrics_configuration(call: Call, p: dict[str, Any]) -> Result:
    return await named.put(call, p, SETTING, _checked(p["Id"], p.get("MetricsConfiguration") or {}))


@s3.action("GetBucketMetricsConfiguration")
async def get_bucket_metrics_configuration(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    return {"MetricsConfiguration": await named.get(call, p, SETTING)}


@s3.action("ListBucketMetricsConfigurations")
async def list_bucket_metrics_configurations(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    return await named.page(call, p, SETTING, "MetricsConfigurationList")


@s3.action("DeleteBucketMetricsConfiguration")
async def delete_bucket_metrics_configuration(call: Call, p: dict[str, Any]) -> Result:
    return await named.delete(call, p, SETTING)


def _checked(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises MalformedXML, IdMismatch, InvalidArgument, NotImplemented."""
    if given.get("Id") is None:
        raise MalformedXML()
    if given["Id"] != name:
        raise errors.IdMismatch()
    if not ID.match(name):
        raise InvalidArgument("Invalid Id", fields={"ArgumentName": "Id", "ArgumentValue": name})
    chosen = given.get("Filter")
    if chosen is None:
        return given
    if len([each for each in _ONE_OF if chosen.get(each) is not None]) != 1:
        raise MalformedXML()
    both = chosen.get("And") or {}
    tags = list(both.get("Tags") or ()) + ([chosen["Tag"]] if chosen.get("Tag") is not None else [])
    if chosen.get("And") is not None and len(tags) + (both.get("Prefix") is not None) + ("AccessPointArn" in both) < 2:
        raise MalformedXML()
    if any(tag.get("Key") is None or tag.get("Value") is None for tag in tags):
        raise MalformedXML()
    if chosen.get("AccessPointArn") is not None or both.get("AccessPointArn") is not None:
        raise NotImplementedS3()
    return given
