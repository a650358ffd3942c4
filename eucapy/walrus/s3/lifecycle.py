"""The lifecycle configuration of a bucket: put, get, delete. What rules mean: `walrus/lifecycle.py`."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from eucapy.aws.errors import InvalidArgument, InvalidRequest, MalformedXML
from eucapy.aws.message import Result
from eucapy.database import Tx
from eucapy.walrus import errors, headers, lifecycle
from eucapy.walrus.context import Call
from eucapy.walrus.lifecycle import Document
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets

MOST_RULES = 1000
MOST_ID = 255
MOST_NEWER = 100
DAY_S = 86_400
_ACTIONS = (
    "Expiration", "Transitions", "NoncurrentVersionExpiration", "NoncurrentVersionTransitions",
    "AbortIncompleteMultipartUpload",
)  # fmt: skip
_CLASSES = headers.STORAGE_CLASSES - {"STANDARD", "REDUCED_REDUNDANCY"}
_INFREQUENT = ("STANDARD_IA", "ONEZONE_IA")


@s3.action(
    "PutBucketLifecycleConfiguration", unchecked=("LifecycleConfiguration", "TransitionDefaultMinimumObjectSize")
)
async def put_bucket_lifecycle_configuration(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    smallest = p.get("TransitionDefaultMinimumObjectSize") or lifecycle.ALL_CLASSES
    if smallest not in (lifecycle.ALL_CLASSES, lifecycle.VARIES):
        raise InvalidRequest(f"Invalid TransitionDefaultMinimumObjectSize found: {smallest}")
    rules = checked((p.get("LifecycleConfiguration") or {}).get("Rules") or [])
    document = msgspec.json.encode(Document(rules, smallest)).decode()

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        await buckets.set_lifecycle(tx, bucket, document)

    await call.write(work)
    return {"TransitionDefaultMinimumObjectSize": smallest}


@s3.action("GetBucketLifecycleConfiguration")
async def get_bucket_lifecycle_configuration(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    document = lifecycle.load(bucket.lifecycle)
    if document is None:
        raise errors.NoSuchLifecycleConfiguration(fields={"BucketName": bucket.name})
    return {"Rules": document.rules, "TransitionDefaultMinimumObjectSize": document.smallest}


@s3.action("DeleteBucketLifecycle")
async def delete_bucket_lifecycle(call: Call, p: dict[str, Any]) -> Result:
    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        await buckets.set_lifecycle(tx, bucket, "")

    await call.write(work)
    return Result({}, status=204)


def checked(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rules as they are kept: all with an id, dates in seconds.

    Raises MalformedXML, InvalidArgument, InvalidRequest. Where AWS wants And around several conditions of a filter, they
    are taken without it too, as Ceph takes them.
    """
    if not 1 <= len(rules) <= MOST_RULES:
        raise MalformedXML()
    seen: set[str] = set()
    kept = []
    for rule in rules:
        name = rule.get("ID") or base64.b64encode(os.urandom(36)).decode()
        if len(name) > MOST_ID:
            raise _invalid("ID", name, f"ID length should not exceed allowed limit of {MOST_ID}")
        if name in seen:
            raise _invalid("ID", name, "Rule ID must be unique. Found same ID for more than one rule")
        seen.add(name)
        kept.append(_checked(rule) | {"ID": name})
    return kept


def _invalid(name: str, value: Any, message: str) -> InvalidArgument:
    return InvalidArgument(message, fields={"ArgumentName": name, "ArgumentValue": value})


def _checked(rule: Mapping[str, Any]) -> dict[str, Any]:
    if rule.get("Status") not in ("Enabled", "Disabled"):
        raise MalformedXML()
    if (rule.get("Prefix") is None) == (rule.get("Filter") is None):
        raise MalformedXML()
    if not any(rule.get(action) is not None for action in _ACTIONS):
        raise InvalidRequest("At least one action needs to be specified in a rule")
    tagged = _check_filter(rule)
    kept = dict(rule)
    if rule.get("Expiration") is not None:
        kept["Expiration"] = _expiration(rule["Expiration"], tagged)
    if rule.get("NoncurrentVersionExpiration") is not None:
        _check_noncurrent(rule["NoncurrentVersionExpiration"], "NoncurrentVersionExpiration")
    if rule.get("AbortIncompleteMultipartUpload") is not None:
        _check_abort(rule["AbortIncompleteMultipartUpload"], rule, tagged)
    if rule.get("Transitions"):
        kept["Transitions"] = [_transition(each) for each in rule["Transitions"]]
        _check_order(kept)
    for each in rule.get("NoncurrentVersionTransitions") or ():
        if each.get("StorageClass") not in _CLASSES:
            raise MalformedXML()
        _check_noncurrent(each, "NoncurrentVersionTransition", least=0)
    return kept


def _check_filter(rule: Mapping[str, Any]) -> bool:
    """Whether the rule asks for tags."""
    given = rule.get("Filter") or {}
    if given.get("And") is not None and any(value is not None for name, value in given.items() if name != "And"):
        raise MalformedXML()
    tags = list((given.get("And") or {}).get("Tags") or ())
    if given.get("Tag") is not None:
        tags.append(given["Tag"])
    if any(tag.get("Key") is None or tag.get("Value") is None for tag in tags):
        raise MalformedXML()
    pairs = [(tag["Key"], tag["Value"]) for tag in tags]
    if len({name for name, _ in pairs}) != len(pairs):
        raise InvalidRequest("Duplicate Tag Keys are not allowed.")
    headers.encode_tags(pairs, headers.MOST_BUCKET_TAGS)
    _, _, larger, smaller = lifecycle.filter_of(rule)
    if larger is not None and larger < 0:
        raise _invalid("ObjectSizeGreaterThan", larger, "'ObjectSizeGreaterThan' should be a value greater than or equal to 0.")  # fmt: skip  # noqa: E501
    if smaller is not None and smaller <= (larger or 0):
        raise InvalidRequest("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
    return bool(pairs)


def _expiration(given: Mapping[str, Any], tagged: bool) -> dict[str, Any]:
    said = {name: value for name, value in given.items() if value is not None}
    if len(said) != 1:
        raise MalformedXML()
    if "Days" in said:
        _check_positive(said["Days"], "'Days' for Expiration action")
    if "Date" in said:
        said["Date"] = _midnight(said["Date"])
    if said.get("ExpiredObjectDeleteMarker") and tagged:
        raise InvalidRequest("ExpiredObjectDeleteMarker cannot be specified with Tags.")
    return said


def _check_positive(value: int, what: str, least: int = 1) -> None:
    if value < least:
        number = "a positive" if least else "a nonnegative"
        raise InvalidArgument(
            f"{what} must be {number} integer", fields={"ArgumentName": "Days", "ArgumentValue": value}
        )


def _midnight(date: datetime) -> int:
    seconds = int(date.timestamp())
    if seconds % DAY_S:
        raise _invalid("Date", date.isoformat(), "'Date' must be at midnight GMT")
    return seconds


def _check_noncurrent(given: Mapping[str, Any], action: str, least: int = 1) -> None:
    if given.get("NoncurrentDays") is None:
        raise MalformedXML()
    _check_positive(given["NoncurrentDays"], f"'NoncurrentDays' for {action} action", least)
    newer = given.get("NewerNoncurrentVersions")
    if newer is not None:
        _check_positive(newer, f"'NewerNoncurrentVersions' for {action} action")
        if newer > MOST_NEWER:
            raise _invalid(
                "NewerNoncurrentVersions",
                newer,
                f"'NewerNoncurrentVersions' for {action} action must be less than or equal to {MOST_NEWER}",
            )


def _check_abort(given: Mapping[str, Any], rule: Mapping[str, Any], tagged: bool) -> None:
    days = given.get("DaysAfterInitiation")
    if days is None:
        raise MalformedXML()
    _check_positive(days, "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action")
    if tagged:
        raise InvalidRequest("AbortIncompleteMultipartUpload cannot be specified with Tags.")
    _, _, larger, smaller = lifecycle.filter_of(rule)
    if larger is not None or smaller is not None:
        raise InvalidRequest("AbortIncompleteMultipartUpload cannot be specified with Object Size.")


def _transition(given: Mapping[str, Any]) -> dict[str, Any]:
    days, date, label = given.get("Days"), given.get("Date"), given.get("StorageClass")
    if (days is None) == (date is None) or label not in _CLASSES:
        raise MalformedXML()
    if days is not None:
        _check_positive(days, "'Days' in Transition action", least=0)
        if label in _INFREQUENT and days < 30:
            raise _invalid(
                "Days", days,
                f"'Days' in Transition action must be greater than or equal to 30 for storageClass '{label}'",
            )  # fmt: skip
        return {"Days": days, "StorageClass": label}
    assert date is not None
    return {"Date": _midnight(date), "StorageClass": label}


def _check_order(rule: Mapping[str, Any]) -> None:
    """Expiration comes after every transition, and both count in the same way."""
    expiration = rule.get("Expiration") or {}
    prefix = lifecycle.filter_of(rule)[0]
    for transition in rule["Transitions"]:
        units = {name for name in ("Days", "Date") if name in transition or name in expiration}
        if len(units) > 1:
            raise InvalidRequest(
                "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for prefix "
                f"'{prefix}'"
            )
        for unit in units:
            if unit in expiration and expiration[unit] <= transition[unit]:
                raise InvalidArgument(
                    f"'{unit}' in the Expiration action for prefix '{prefix}' must be greater than '{unit}' in the "
                    "Transition action"
                )
