"""Event notifications of a bucket: put, get. What they mean: `walrus/notifications.py`; delivery: `workers/notifier.py`.

Putting a configuration sends each destination a test event first: what does not take it is no destination, unless the
request says to skip that.
"""

from __future__ import annotations

import base64
import os
from typing import Any

import msgspec

from eucapy.aws.chain import host_id
from eucapy.aws.errors import InvalidArgument
from eucapy.aws.timestamps import milliseconds
from eucapy.database import Tx
from eucapy.walrus import notifications
from eucapy.walrus.context import Call
from eucapy.walrus.notifications import QUEUE, TOPIC, Rules
from eucapy.walrus.s3.service import s3
from eucapy.walrus.store import buckets

MOST_RULES = 100


@s3.action("PutBucketNotificationConfiguration", unchecked=("NotificationConfiguration",))
async def put_bucket_notification_configuration(call: Call, p: dict[str, Any]) -> None:
    new_ids = [base64.urlsafe_b64encode(os.urandom(36)).decode() for _ in range(MOST_RULES)]
    given = p.get("NotificationConfiguration") or {}
    asked = sum(len(value) for value in given.values() if isinstance(value, list))
    if asked > MOST_RULES:
        raise InvalidArgument(f"The number of notification configurations should not exceed {MOST_RULES}.")
    rules = notifications.of_configuration(given, new_ids)
    await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    if not p.get("SkipDestinationValidation"):
        await _validate(call, p["Bucket"], rules)

    async def work(tx: Tx) -> None:
        bucket = await call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner"))
        await buckets.set_notifications(tx, bucket, notifications.dump(rules))

    await call.write(work)


async def _validate(call: Call, bucket: str, rules: Rules) -> None:
    """Send the test event. Raises InvalidArgument, which names every destination that did not take it."""
    request_id = call.incoming.request_id
    when = milliseconds(call.walrus.clock.time())
    body = msgspec.json.encode(notifications.test_event(bucket, when, request_id, host_id(request_id))).decode()
    refused: dict[str, str] = {}
    notifier = call.walrus.notifier
    for arn, kind in {rule.arn: rule.kind for rule in rules}.items():
        if notifier is None or not await notifier.post(arn, body):
            number = len(refused) // 2 + 1
            refused[f"ArgumentName{number}"] = arn
            refused[f"ArgumentValue{number}"] = _complaint(
                arn, kind, known=notifier is not None and notifier.knows(arn)
            )
    if refused:
        raise InvalidArgument("Unable to validate the following destination configurations", fields=refused)


def _complaint(arn: str, kind: str, *, known: bool) -> str:
    if kind not in (QUEUE, TOPIC):
        return f"Not authorized to invoke function [{arn}]"
    what = "queue" if kind == QUEUE else "topic"
    if not known:
        return f"The destination {what} does not exist"
    return f"Permissions on the destination {what} do not allow S3 to publish notifications from this bucket"


@s3.action("GetBucketNotificationConfiguration")
async def get_bucket_notification_configuration(call: Call, p: dict[str, Any]) -> dict[str, Any]:
    bucket = await call.read(lambda tx: call.bucket(tx, p["Bucket"], p.get("ExpectedBucketOwner")))
    return notifications.view(notifications.load(bucket.notifications))
