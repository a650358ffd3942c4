"""The default encryption of a bucket: put, get, delete. What it means: `walrus/encryption.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.aws.errors import InvalidArgument, MalformedXML, NotImplementedS3
from eucapy.aws.message import Result
from eucapy.aws.validate import MissingRequestBodyError
from eucapy.database import Tx
from eucapy.walrus import encryption, errors
from eucapy.walrus.context import Call
from eucapy.walrus.encryption import Default
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets

_CONFIGURATION = ("ServerSideEncryptionConfiguration",)


@s3.action("PutBucketEncryption", unchecked=_CONFIGURATION, worded=_CONFIGURATION)
async def put_bucket_encryption(call: Call, p: dict[str, Any]) -> None:
    """A bucket that is not there is said before what is wrong with the configuration."""

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        default = _default(p.get("ServerSideEncryptionConfiguration"))
        await buckets.set_encryption(tx, bucket, encryption.dump_default(default))

    await call.write(work)


def _default(configuration: Mapping[str, Any] | None) -> Default:
    """Raises MissingRequestBodyError, MalformedXML, InvalidArgument, NotImplemented."""
    if configuration is None:
        raise MissingRequestBodyError()
    rules = configuration.get("Rules") or []
    if len(rules) != 1:
        raise MalformedXML()
    rule = rules[0]
    said = rule.get("ApplyServerSideEncryptionByDefault")
    if said is None:
        return Default(bucket_key=rule.get("BucketKeyEnabled"))
    kind, kms = said.get("SSEAlgorithm"), said.get("KMSMasterKeyID")
    if kind == encryption.DSSE:
        raise NotImplementedS3()
    if kind not in (encryption.S3, encryption.KMS):
        raise MalformedXML()
    if kms is not None and kind != encryption.KMS:
        raise InvalidArgument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            fields={"ArgumentName": "ApplyServerSideEncryptionByDefault"},
        )
    return Default(kind, kms or None, rule.get("BucketKeyEnabled"))


@s3.action("GetBucketEncryption")
async def get_bucket_encryption(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    default = encryption.default_of(bucket.encryption)
    if default is None:
        raise errors.ServerSideEncryptionConfigurationNotFoundError(fields={"BucketName": bucket.name})
    by_default: dict[str, Any] = {"SSEAlgorithm": default.kind}
    if default.kms is not None:
        by_default["KMSMasterKeyID"] = default.kms
    rule = {"ApplyServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": bool(default.bucket_key)}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


@s3.action("DeleteBucketEncryption")
async def delete_bucket_encryption(call: Call, p: dict[str, Any]) -> Result:
    """Back to what new buckets have."""

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        await buckets.set_encryption(tx, bucket, call.walrus.default_encryption)

    await call.write(work)
    return Result({}, status=204)
