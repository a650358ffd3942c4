"""Server access logs: a bucket's configuration, and the line that a request leaves. Pure.

    owner bucket [time] remote requester request-id operation key "request" status error bytes object-bytes
    total-ms turn-around-ms "referer" "agent" version host-id signature cipher auth host tls access-point acl

Who collects and delivers lines: `workers/log_delivery.py`. Source: "Amazon S3 server access log format", S3 user guide.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

from eucapy.aws.chain import host_id
from eucapy.aws.credentials import Identity
from eucapy.aws.errors import MalformedXML
from eucapy.aws.message import Incoming, Outgoing
from eucapy.errors import ApiError
from eucapy.walrus.identity import Principal

EVENT_TIME, DELIVERY_TIME = "EventTime", "DeliveryTime"


class Logging(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a bucket's lines go. `partition`: None, EVENT_TIME or DELIVERY_TIME; `grants` as the model has them."""

    bucket: str
    prefix: str = ""
    simple: bool = False
    partition: str | None = None
    grants: list[dict[str, Any]] | None = None


_decoder = msgspec.json.Decoder(Logging)


@lru_cache(maxsize=256)
def load(document: str) -> Logging:
    return _decoder.decode(document)


def dump(logging: Logging) -> str:
    return msgspec.json.encode(logging).decode()


def of_configuration(given: Mapping[str, Any]) -> Logging:
    """A LoggingEnabled. Raises MalformedXML."""
    form = given.get("TargetObjectKeyFormat") or {}
    partitioned = form.get("PartitionedPrefix")
    partition = (partitioned or {}).get("PartitionDateSource")
    if not given.get("TargetBucket") or given.get("TargetPrefix") is None or len(form) > 1:
        raise MalformedXML()
    if partitioned is not None and partition not in (EVENT_TIME, DELIVERY_TIME):
        raise MalformedXML()
    for grant in given.get("TargetGrants") or ():
        if grant.get("Permission") not in ("FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP"):
            raise MalformedXML()
    return Logging(
        given["TargetBucket"],
        given["TargetPrefix"],
        "SimplePrefix" in form,
        partition,
        list(given["TargetGrants"]) if given.get("TargetGrants") else None,
    )


def view(logging: Logging) -> dict[str, Any]:
    """As the member LoggingEnabled of an answer."""
    answer: dict[str, Any] = {"TargetBucket": logging.bucket, "TargetPrefix": logging.prefix}
    if logging.grants:
        answer["TargetGrants"] = logging.grants
    if logging.partition is not None:
        answer["TargetObjectKeyFormat"] = {"PartitionedPrefix": {"PartitionDateSource": logging.partition}}
    elif logging.simple:
        answer["TargetObjectKeyFormat"] = {"SimplePrefix": {}}
    return answer


# What the operations are called in a log, where it is not OBJECT or BUCKET.
_RESOURCES = {
    "UploadPart": "PART", "UploadPartCopy": "PART_COPY", "CreateMultipartUpload": "UPLOADS",
    "CompleteMultipartUpload": "UPLOAD", "AbortMultipartUpload": "UPLOAD", "ListParts": "UPLOAD",
    "ListMultipartUploads": "UPLOADS", "DeleteObjects": "MULTI_OBJECT_DELETE", "ListObjectVersions": "BUCKETVERSIONS",
    "GetBucketLocation": "LOCATION", "OptionsObject": "PREFLIGHT", "GetObjectAttributes": "OBJECT_ATTRIBUTES",
    "GetBucketLifecycleConfiguration": "LIFECYCLE", "PutBucketLifecycleConfiguration": "LIFECYCLE",
    "PutBucketNotificationConfiguration": "NOTIFICATION", "GetBucketNotificationConfiguration": "NOTIFICATION",
}  # fmt: skip
_SUBRESOURCES = {
    "Acl": "ACL", "BucketPolicy": "BUCKETPOLICY", "BucketPolicyStatus": "BUCKETPOLICYSTATUS", "Cors": "CORS",
    "Encryption": "ENCRYPTION", "LegalHold": "LEGAL_HOLD", "BucketLifecycle": "LIFECYCLE", "Logging": "LOGGING_STATUS",
    "LockConfiguration": "OBJECT_LOCK_CONFIGURATION", "OwnershipControls": "OWNERSHIP_CONTROLS",
    "PublicAccessBlock": "PUBLIC_ACCESS_BLOCK", "Replication": "REPLICATION", "RequestPayment": "REQUEST_PAYMENT",
    "ObjectRetention": "RETENTION", "Tagging": "TAGGING", "Versioning": "VERSIONING", "Website": "WEBSITE",
}  # fmt: skip


@lru_cache(maxsize=1024)
def operation_of(action: str, method: str, keyed: bool) -> str:
    """`REST.GET.OBJECT` and the like."""
    if action == "CopyObject":
        return "REST.COPY.OBJECT"
    if action == "UploadPartCopy":
        return "REST.COPY.PART"
    resource = _RESOURCES.get(action)
    if resource is None:
        found = (name for end, name in _SUBRESOURCES.items() if action.endswith(end))
        resource = next(found, "OBJECT" if keyed or action == "PostObject" else "BUCKET")
    return f"REST.{method}.{resource}"


def line(
    owner: str,
    bucket: str,
    key: str | None,
    operation: str,
    identity: Identity,
    incoming: Incoming,
    outgoing: Outgoing,
    error: ApiError | None,
    now: float,
) -> str:
    """The line of a request that was answered at `now`, without a newline. `owner`: of the bucket, a canonical id."""
    took_ms = max(0, round((now - incoming.now) * 1000))
    headers = incoming.headers
    version, _, where = identity.mechanism.partition("-")
    signature = {"v4": "SigV4", "v2": "SigV2"}.get(version, "-")
    auth = {"header": "AuthHeader", "query": "QueryString", "post": "QueryString"}.get(where, "-")
    target = incoming.path + (f"?{incoming.query}" if incoming.query else "")
    fields = (
        owner,
        bucket,
        time.strftime("[%d/%b/%Y:%H:%M:%S +0000]", time.gmtime(incoming.now)),
        incoming.remote or "-",
        _requester(identity),
        incoming.request_id,
        operation,
        quote(key, safe="/-_.~", errors="surrogateescape") if key else "-",
        _quoted(f"{incoming.method} {target} HTTP/1.1"),
        str(outgoing.status),
        error.code if error is not None else "-",
        str(_length(outgoing) or "-"),
        str(_object_size(incoming, outgoing, operation)),
        str(took_ms),
        str(took_ms),
        _quoted(headers.get("referer")),
        _quoted(headers.get("user-agent")),
        outgoing.headers.get("x-amz-version-id", "-"),
        host_id(incoming.request_id),
        signature,
        "-",
        auth,
        headers.get("host", "-"),
        "-",
        "-",
        "-",
    )
    return " ".join(fields)


def _requester(identity: Identity) -> str:
    principal = identity.principal
    if identity.anonymous or not isinstance(principal, Principal):
        return "-"
    return principal.canonical_id if principal.arn.endswith(":root") else principal.arn


def _quoted(text: str | None) -> str:
    return '"' + text.replace('"', "%22") + '"' if text else '"-"'


def _length(outgoing: Outgoing) -> int | None:
    return len(outgoing.body) if isinstance(outgoing.body, bytes | bytearray) else outgoing.body.length


def _object_size(incoming: Incoming, outgoing: Outgoing, operation: str) -> str:
    if outgoing.status >= 400 or not operation.endswith((".OBJECT", ".PART")):
        return "-"
    if incoming.method == "PUT":
        said = incoming.headers.get("x-amz-decoded-content-length") or incoming.headers.get("content-length")
        return said or "-"
    _, _, total = outgoing.headers.get("Content-Range", "").rpartition("/")
    return total or outgoing.headers.get("Content-Length") or str(_length(outgoing) or "-")


def log_key(logging: Logging, account: str, region: str, source: str, event_s: float, now: float, unique: str) -> str:
    """The key of an object of lines, of which `event_s` is the first one's time."""
    name = time.strftime("%Y-%m-%d-%H-%M-%S-", time.gmtime(now))
    if logging.partition is None:
        return f"{logging.prefix}{name}{unique}"
    day = time.gmtime(now if logging.partition == DELIVERY_TIME else event_s)
    if logging.partition == EVENT_TIME:
        name = time.strftime("%Y-%m-%d-00-00-00-", day)
    folder = time.strftime("%Y/%m/%d", day)
    return f"{logging.prefix}{account}/{region}/{source}/{folder}/{name}{unique}"
