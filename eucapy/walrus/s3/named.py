"""Configurations of which a bucket has many, each under an id: inventory, metrics. One setting holds all of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from eucapy.aws.message import Result
from eucapy.database import Tx
from eucapy.errors import ApiError
from eucapy.walrus import errors
from eucapy.walrus.context import Call
from eucapy.walrus.store import buckets
from eucapy.walrus.store.buckets import Bucket

MOST = 1000
PAGE = 100


class TooManyConfigurations(ApiError):
    message = "You are attempting to create a new configuration but have already reached the 1,000-configuration limit."


def load(document: str | None) -> dict[str, dict[str, Any]]:
    """The configurations by id."""
    return msgspec.json.decode(document, type=dict[str, dict[str, Any]]) if document else {}


async def put(call: Call, p: Mapping[str, Any], setting: str, configuration: Mapping[str, Any]) -> Result:
    """Keep it under the id that the request names, in place of what was there. Raises TooManyConfigurations."""

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        kept = load(await buckets.setting(tx, bucket, setting))
        if p["Id"] not in kept and len(kept) >= MOST:
            raise TooManyConfigurations()
        kept[p["Id"]] = dict(configuration)
        await _keep(tx, bucket, setting, kept)

    await call.write(work)
    return Result({}, status=204)


async def get(call: Call, p: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """Raises NoSuchConfiguration."""
    found = (await _all(call, p, setting)).get(p["Id"])
    if found is None:
        raise errors.NoSuchConfiguration()
    return found


async def page(call: Call, p: Mapping[str, Any], setting: str, member: str) -> dict[str, Any]:
    """Up to PAGE of them in order of their ids, as `member` of the answer; the token is the last id of the page before."""
    after = p.get("ContinuationToken") or ""
    rest = [(name, each) for name, each in sorted((await _all(call, p, setting)).items()) if name > after]
    answer: dict[str, Any] = {member: [each for _, each in rest[:PAGE]], "IsTruncated": len(rest) > PAGE}
    if after:
        answer["ContinuationToken"] = after
    if len(rest) > PAGE:
        answer["NextContinuationToken"] = rest[PAGE - 1][0]
    return answer


async def delete(call: Call, p: Mapping[str, Any], setting: str) -> Result:
    """Raises NoSuchConfiguration."""

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        kept = load(await buckets.setting(tx, bucket, setting))
        if kept.pop(p["Id"], None) is None:
            raise errors.NoSuchConfiguration()
        await _keep(tx, bucket, setting, kept)

    await call.write(work)
    return Result({}, status=204)


async def _all(call: Call, p: Mapping[str, Any], setting: str) -> dict[str, dict[str, Any]]:
    async def work(tx: Tx) -> dict[str, dict[str, Any]]:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        return load(await buckets.setting(tx, bucket, setting))

    return await call.read(work)


async def _keep(tx: Tx, bucket: Bucket, setting: str, kept: Mapping[str, Any]) -> None:
    document = msgspec.json.encode(dict(sorted(kept.items()))).decode() if kept else None
    await buckets.set_setting(tx, bucket, setting, document)
