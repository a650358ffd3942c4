"""What a bucket can be asked for and, here, never has: acceleration, analytics, intelligent tiering.

Setting any of these answers 501. Reading or deleting one says, as AWS does for a bucket where it was not set, that it is not
there, or what holds then: tools (Terraform, s3cmd) read them all of every bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.errors import ApiError
from eucapy.walrus import errors
from eucapy.walrus.context import Call
from eucapy.walrus.s3.service import s3

ABSENT: dict[str, type[ApiError]] = {
    "DeleteBucketAnalyticsConfiguration": errors.NoSuchConfiguration,
    "DeleteBucketIntelligentTieringConfiguration": errors.NoSuchConfiguration,
    "GetBucketAnalyticsConfiguration": errors.NoSuchConfiguration,
    "GetBucketIntelligentTieringConfiguration": errors.NoSuchConfiguration,
}
HOLDS: dict[str, Mapping[str, Any]] = {
    "GetBucketAccelerateConfiguration": {},
    "ListBucketAnalyticsConfigurations": {"IsTruncated": False},
    "ListBucketIntelligentTieringConfigurations": {"IsTruncated": False},
}


def _absent(operation: str, error: type[ApiError]) -> None:
    @s3.action(operation)
    async def read(call: Call, p: dict[str, Any]) -> None:
        await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
        raise error()


def _holds(operation: str, answer: Mapping[str, Any]) -> None:
    @s3.action(operation)
    async def read(call: Call, p: dict[str, Any]) -> Mapping[str, Any]:
        await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
        return answer


for _operation, _error in ABSENT.items():
    _absent(_operation, _error)
for _operation, _answer in HOLDS.items():
    _holds(_operation, _answer)
