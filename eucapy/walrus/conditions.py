"""Conditional requests: which answer the If-headers ask for. Pure.

Reads (RFC 9110, section 13.2.2): If-Match decides over If-Unmodified-Since, If-None-Match over If-Modified-Since.
Copies fail where a read would answer 304. Writes know If-None-Match and If-Match.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from eucapy.aws.errors import NotImplementedS3
from eucapy.aws.timestamps import http_date
from eucapy.walrus.errors import ConditionalRequestConflict, NoSuchKey, NotModified, PreconditionFailed
from eucapy.walrus.store.objects import Version


def check_read(version: Version, p: Mapping[str, Any], now_ms: int) -> None:
    """Raises PreconditionFailed or NotModified. A time that is still to come is no condition (RFC 9110, section 13.1.3)."""
    failed = _failed_match(version, p.get("IfMatch"), p.get("IfUnmodifiedSince"), "If-Match", "If-Unmodified-Since")
    if failed:
        raise PreconditionFailed(fields={"Condition": failed})
    if _failed_none(version, p.get("IfNoneMatch"), p.get("IfModifiedSince"), now_ms):
        raise NotModified(
            headers={"ETag": f'"{version.etag}"', "Last-Modified": http_date(version.modified_ms // 1000)}
        )


def check_copy_source(version: Version, p: Mapping[str, Any], now_ms: int) -> None:
    """Raises PreconditionFailed. A time that is still to come is no condition (RFC 9110, section 13.1.3)."""
    match = _failed_match(
        version,
        p.get("CopySourceIfMatch"),
        p.get("CopySourceIfUnmodifiedSince"),
        "x-amz-copy-source-If-Match",
        "x-amz-copy-source-If-Unmodified-Since",
    )
    if_none, since = p.get("CopySourceIfNoneMatch"), p.get("CopySourceIfModifiedSince")
    none = ""
    if _failed_none(version, if_none, since, now_ms):
        none = f"x-amz-copy-source-{'If-Modified-Since' if if_none is None else 'If-None-Match'}"
    if match or none:
        raise PreconditionFailed(fields={"Condition": match or none})


def write_check(p: Mapping[str, Any]) -> Callable[[Version | None], None] | None:
    """What a conditional write asks of the version that it replaces; None where it asks nothing.

    Source: "Conditional writes", S3 user guide: If-Match on a missing key is 404. AWS takes `*` only for If-None-Match and
    answers 501 to an entity tag; here that has the meaning that HTTP gives it, as in Ceph and MinIO. Raises NotImplemented
    for both at once.
    """
    if_none, if_match = p.get("IfNoneMatch"), p.get("IfMatch")
    if if_none is None and if_match is None:
        return None
    if if_none is not None and if_match is not None:
        raise NotImplementedS3(
            fields={
                "Header": "If-Match,If-None-Match",
                "additionalMessage": "Multiple conditional request headers present in the request",
            }
        )

    def check(current: Version | None) -> None:
        if if_none is not None and current is not None and _matches(if_none, current.etag):
            raise PreconditionFailed(fields={"Condition": "If-None-Match"})
        if if_match is not None:
            if current is None:
                raise NoSuchKey(fields={"Key": p.get("Key", "")})
            if not _matches(if_match, current.etag):
                raise PreconditionFailed(fields={"Condition": "If-Match"})

    return check


def completion_check(
    p: Mapping[str, Any], initiated_ms: int, removed_ms: int
) -> Callable[[Version | None], None] | None:
    """`write_check` for the end of an upload, which what became of its key meanwhile comes before: `removed_ms` is when the
    key was last deleted (0: not since the upload began). Source: "Conditional writes": 409, start the upload anew."""
    check = write_check(p)
    if check is None:
        return None

    def check_both(current: Version | None) -> None:
        check(current)
        written_ms = 0 if current is None else current.modified_ms
        if max(written_ms, removed_ms) > initiated_ms:
            name = "If-Match" if p.get("IfMatch") is not None else "If-None-Match"
            raise ConditionalRequestConflict(fields={"Condition": name, "Key": p["Key"]})

    return check_both


def _failed_match(version: Version, match: str | None, since: datetime | None, name: str, since_name: str) -> str:
    if match is not None:
        return "" if _matches(match, version.etag) else name
    if since is not None and version.modified_ms // 1000 > since.timestamp():
        return since_name
    return ""


def _failed_none(version: Version, none: str | None, since: datetime | None, now_ms: int) -> bool:
    if none is not None:
        return _matches(none, version.etag)
    return since is not None and version.modified_ms // 1000 <= since.timestamp() <= now_ms / 1000


def _matches(header: str, etag: str) -> bool:
    for candidate in header.split(","):
        text = candidate.strip().removeprefix("W/")
        if text == "*" or text.strip('"') == etag:
            return True
    return False
