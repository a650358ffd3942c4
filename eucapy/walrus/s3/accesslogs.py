"""Server access logging of a bucket: PutBucketLogging, GetBucketLogging. What is logged: `walrus/accesslog.py`.

Source and target have one owner and one region, so that who configures it may have the lines; a Deny in the target's policy
keeps them out all the same (`workers/log_delivery.py`).
"""

from __future__ import annotations

from typing import Any

from eucapy.aws.errors import InvalidArgument
from eucapy.database import Tx
from eucapy.walrus import accesslog, errors
from eucapy.walrus.access import ENFORCED
from eucapy.walrus.context import Call
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets
from eucapy.walrus.store.buckets import Bucket

SETTING = "logging"
DEFAULT_REGION = "us-east-1"


def _check_target(source: Bucket, target: Bucket | None, wanted: accesslog.Logging) -> None:
    """Raises InvalidTargetBucketForLogging, CrossLocationLoggingProhibitted, InvalidArgument."""
    if target is None:
        raise errors.InvalidTargetBucketForLogging(fields={"TargetBucket": wanted.bucket})
    if target.region != source.region:
        fields = {} if source.region == DEFAULT_REGION else {"SourceBucketLocation": source.region}
        raise errors.CrossLocationLoggingProhibitted(fields={**fields, "TargetBucketLocation": target.region})
    if target.owner != source.owner:
        raise errors.InvalidTargetBucketForLogging(
            "The owner for the bucket to be logged and the target bucket must be the same.",
            fields={"TargetBucket": wanted.bucket},
        )
    if wanted.grants and target.ownership == ENFORCED:
        raise InvalidArgument(
            "The target grants are not supported for a target bucket with the bucket owner enforced setting",
            fields={"ArgumentName": "TargetGrants", "ArgumentValue": wanted.bucket},
        )


@s3.action("PutBucketLogging", unchecked=("BucketLoggingStatus",))
async def put_bucket_logging(call: Call, p: dict[str, Any]) -> None:
    given = (p.get("BucketLoggingStatus") or {}).get("LoggingEnabled")
    wanted = accesslog.of_configuration(given) if given is not None else None

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        if wanted is not None:
            _check_target(bucket, await buckets.by_name(tx, wanted.bucket), wanted)
        await buckets.set_setting(tx, bucket, SETTING, accesslog.dump(wanted) if wanted is not None else None)

    await call.write(work)


@s3.action("GetBucketLogging")
async def get_bucket_logging(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    async def work(tx: Tx) -> str | None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        return await buckets.setting(tx, bucket, SETTING)

    document = await call.read(work)
    return {} if document is None else {"LoggingEnabled": accesslog.view(accesslog.load(document))}
