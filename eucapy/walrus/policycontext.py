"""The condition keys that a request has for bucket policies: aws:SourceIp, s3:prefix, s3:ExistingObjectTag/… and so on.

Source: "Condition keys for Amazon S3" and "AWS global condition context keys".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from eucapy.aws.policyconditions import Context
from eucapy.walrus import headers
from eucapy.walrus.store.objects import Version

if TYPE_CHECKING:
    from eucapy.walrus.context import Call

_MEMBERS = {
    "s3:prefix": "Prefix", "s3:delimiter": "Delimiter", "s3:max-keys": "MaxKeys", "s3:versionid": "VersionId",
    "s3:x-amz-acl": "ACL", "s3:x-amz-copy-source": "CopySource", "s3:x-amz-metadata-directive": "MetadataDirective",
    "s3:x-amz-storage-class": "StorageClass", "s3:x-amz-grant-read": "GrantRead", "s3:x-amz-grant-write": "GrantWrite",
    "s3:x-amz-grant-read-acp": "GrantReadACP", "s3:x-amz-grant-write-acp": "GrantWriteACP",
    "s3:x-amz-grant-full-control": "GrantFullControl", "s3:x-amz-server-side-encryption": "ServerSideEncryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
    "s3:x-amz-server-side-encryption-customer-algorithm": "SSECustomerAlgorithm",
    "s3:x-amz-website-redirect-location": "WebsiteRedirectLocation", "s3:x-amz-object-ownership": "ObjectOwnership",
    "s3:object-lock-mode": "ObjectLockMode", "s3:object-lock-legal-hold": "ObjectLockLegalHoldStatus",
    "s3:if-match": "IfMatch", "s3:if-none-match": "IfNoneMatch",
}  # fmt: skip
_MECHANISMS = {"header": "REST-HEADER", "query": "REST-QUERY-STRING", "post": "POST"}


def of(call: Call, version: Version | None) -> Context:
    """The context of a request; `version` is the object as it is, where the action is about one."""
    incoming, principal = call.incoming, call.principal
    now = datetime.fromtimestamp(call.walrus.clock.time(), UTC)
    context: dict[str, str | list[str]] = {
        "aws:sourceip": incoming.remote,
        "aws:securetransport": "true" if incoming.scheme == "https" else "false",
        "aws:currenttime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:epochtime": str(int(now.timestamp())),
        "aws:requestedregion": call.walrus.region,
        "aws:principaltype": "Anonymous" if principal.is_anonymous else "Account",
    }
    if not principal.is_anonymous:
        context["aws:principalarn"] = principal.lasting_arn or principal.arn
        context["aws:principalaccount"] = principal.account
        if ":user/" in principal.arn:
            context["aws:principaltype"] = "User"
            context["aws:username"] = principal.arn.rpartition("/")[2]
        context.update(principal.facts)
        if principal.mfa_at is not None:
            context["aws:multifactorauthage"] = str(max(0, int(now.timestamp() - principal.mfa_at)))
    _add(context, "aws:useragent", incoming.headers.get("user-agent"))
    _add(context, "aws:referer", incoming.headers.get("referer"))
    version_number, _, where = call.mechanism.partition("-")
    if where in _MECHANISMS:
        context["s3:authtype"] = _MECHANISMS[where]
        context["s3:signatureversion"] = "AWS4-HMAC-SHA256" if version_number == "v4" else "AWS"
    _add(context, "s3:x-amz-content-sha256", incoming.headers.get("x-amz-content-sha256"))
    for name, member in _MEMBERS.items():
        _add(context, name, call.params.get(member))
    _add_lock(context, call)
    _add_tags(context, "requestobjecttag", _request_tags(call.params))
    if version is not None:
        _add_tags(context, "existingobjecttag", dict(headers.decode_tags(version.tags)))
    return context


def _add(context: dict[str, str | list[str]], name: str, value: Any) -> None:
    if value is not None:
        context[name] = str(value)


def _add_lock(context: dict[str, str | list[str]], call: Call) -> None:
    """The retention that a request asks for, in its headers or its body."""
    params = call.params
    retention = params.get("Retention") or {}
    _add(context, "s3:object-lock-mode", retention.get("Mode"))
    _add(context, "s3:object-lock-legal-hold", (params.get("LegalHold") or {}).get("Status"))
    until = params.get("ObjectLockRetainUntilDate") or retention.get("RetainUntilDate")
    if until is not None:
        context["s3:object-lock-retain-until-date"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
        days = (until.timestamp() - call.walrus.clock.time()) / 86400
        context["s3:object-lock-remaining-retention-days"] = str(max(0, ceil(days)))


def _request_tags(params: Mapping[str, Any]) -> dict[str, str]:
    tagging = params.get("Tagging")
    if isinstance(tagging, str):
        return dict(parse_qsl(tagging, keep_blank_values=True))
    given = (tagging or {}).get("TagSet") or ()
    return {tag["Key"]: tag["Value"] for tag in given if "Key" in tag and "Value" in tag}


def _add_tags(context: dict[str, str | list[str]], kind: str, tags: Mapping[str, str]) -> None:
    for name, value in tags.items():
        context[f"s3:{kind}/{name}".lower()] = value
    if tags and kind == "requestobjecttag":
        context["s3:requestobjecttagkeys"] = list(tags)
