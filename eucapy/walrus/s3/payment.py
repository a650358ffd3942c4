"""Who pays for requests: PutBucketRequestPayment, GetBucketRequestPayment.

Nobody is charged here; what holds is the protection that it gives: of a bucket whose requesters pay, everybody but the owner
must say in each request that he does, and nobody comes in unsigned (`walrus/access.py`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from eucapy.aws.errors import MalformedXML
from eucapy.walrus import access
from eucapy.walrus.context import Call
from eucapy.walrus.s3.acls import change_access
from eucapy.walrus.s3.service import s3


@s3.action("PutBucketRequestPayment", unchecked=("RequestPaymentConfiguration",))
async def put_bucket_request_payment(call: Call, p: dict[str, Any]) -> None:
    payer = (p.get("RequestPaymentConfiguration") or {}).get("Payer")
    if payer not in (access.REQUESTER, access.BUCKET_OWNER):
        raise MalformedXML()
    await change_access(call, p, lambda bucket, current: msgspec.structs.replace(current, payer=payer))


@s3.action("GetBucketRequestPayment")
async def get_bucket_request_payment(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    return {"Payer": access.load(bucket.access).payer}
