"""What ImportSnapshot and ImportImage have in common: the disks of a request, and the service role that reads them.

A role of the account, `vmimport` unless another is named, reads the object: its trust policy must let VM Import take it on
(`vmie.amazonaws.com`, with the external id `vmimport`), which is asked here; what it may read is asked of the object store,
by `reconcilers/imports.py`. Source: "Required permissions for VM Import/Export", VM Import/Export User Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.aws import evaluation, policygrammar
from eucapy.aws.policy import MalformedPolicy, Question
from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameter, InvalidParameterValue
from eucapy.clc.places import Place, place_of
from eucapy.clc.store import roles
from eucapy.database import Row
from eucapy.lifecycle import import_task as life

ROLE, SERVICE, EXTERNAL_ID = "vmimport", "vmie.amazonaws.com", "vmimport"
LONGEST_DESCRIPTION = 255


async def service_role(call: Call, name: str | None) -> Row:
    """The role, if VM Import may take it on. Raises InvalidParameter in AWS's words."""
    name = name or ROLE
    row = await roles.role(call.tx, call.account, name.rpartition("/")[2])
    if row is not None:
        context: dict[str, str | list[str]] = {**call.keys(), "sts:externalid": EXTERNAL_ID}
        question = Question("", "", frozenset(), "sts:AssumeRole", roles.arn(row), context)
        if _trusts(row.trust, question):
            return row
    raise InvalidParameter(f"The service role {name} provided does not exist or does not have sufficient permissions")


def _trusts(text: str, question: Question) -> bool:
    """A trust policy that cannot be read any more trusts nobody."""
    try:
        return evaluation.trusts(policygrammar.trust(text), question, (("Service", SERVICE),)).allowed
    except MalformedPolicy:
        return False


def disk(call: Call, container: Mapping[str, Any], formats: tuple[str, ...]) -> dict[str, Any]:
    """A container of the request as `store/import_tasks.py` keeps it. Raises InvalidParameter."""
    bucket, url = container.get("UserBucket") or {}, container.get("Url") or ""
    if bool(bucket) == bool(url):
        raise InvalidParameter("A disk container must have either a UserBucket or a Url.")
    if url:
        place = place_of(url, endpoints(call))
        if place is None:
            raise InvalidParameter("The Url of a disk container must be one of this region's Amazon S3.")
    else:
        place = Place(bucket.get("S3Bucket") or "", bucket.get("S3Key") or "")
    if not place.bucket or not place.key:
        raise InvalidParameter("The UserBucket of a disk container must have an S3Bucket and an S3Key.")
    return {
        "format": _format(container.get("Format") or "", place.key, formats),
        "bucket": place.bucket,
        "key": place.key,
        "url": call.seal(url.encode()).hex() if "?" in url else "",
        "shown_url": url.partition("?")[0],
        "description": described(container.get("Description") or ""),
        "device": container.get("DeviceName") or "",
    }


def endpoints(call: Call) -> tuple[str, ...]:
    """URLs under which the object store is known to clients."""
    config = call.config
    return tuple(filter(None, (config.endpoint, f"http://{config.host}:{config.port}", config.walrus_url)))


def described(text: str) -> str:
    if len(text) > LONGEST_DESCRIPTION:
        raise InvalidParameterValue(
            f"Value ({text}) for parameter description is invalid. Up to {LONGEST_DESCRIPTION} characters are allowed."
        )
    return text


def _format(given: str, key: str, formats: tuple[str, ...]) -> str:
    """As the request says, else by the file's name."""
    name = (given or key.rpartition(".")[2]).lower()
    name = {"img": "raw", "vpc": "vhd"}.get(name, name)
    if name not in formats:
        known = ", ".join(one.upper() for one in formats)
        raise InvalidParameter(f"The disk image format {given or name} is not supported. Supported: {known}.")
    return name


def message_of(row: Row) -> str | None:
    """The task's status message, as the API shows it."""
    return row.message or None


def detail(row: Row, one: Mapping[str, Any]) -> dict[str, Any]:
    """The members that SnapshotTaskDetail and SnapshotDetail share, of one disk of the task."""
    out: dict[str, Any] = {
        "Description": one["description"] or None,
        "DiskImageSize": float(one.get("length_bytes") or one["size_bytes"]) if one.get("size_bytes") else None,
        "Format": one["format"].upper(),
        "Url": one["shown_url"] or None,
        "UserBucket": {"S3Bucket": one["bucket"], "S3Key": one["key"]} if not one["shown_url"] else None,
    }
    return {name: value for name, value in out.items() if value is not None}


def made(row: Row, one: Mapping[str, Any]) -> str | None:
    """The snapshot that the disk became, once the task is over."""
    return one.get("snapshot_id") or None if row.state == life.COMPLETED else None
