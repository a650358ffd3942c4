"""Where flow logs go: a folder of a bucket, to which the service that delivers logs writes. Pure.

    <prefix>/AWSLogs/<account>/vpcflowlogs/<region>/<yyyy>/<mm>/<dd>[/<HH>]/<file>
    <prefix>/AWSLogs/aws-account-id=<account>/aws-service=vpcflowlogs/aws-region=<region>/year=…/month=…/day=…[/hour=…]/<file>

The bucket's policy decides, as it would about `delivery.logs.amazonaws.com`. Source: "Flow log files", VPC user guide.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

SERVICE = "delivery.logs.amazonaws.com"


@dataclass(frozen=True)
class Destination:
    """A folder ("": the bucket itself); `hive`: its folders say what they are."""

    bucket: str
    prefix: str
    hive: bool = False

    def folder(self, account: str) -> str:
        """What all of an account's logs are below, with a slash at the end."""
        start = f"{self.prefix}/" if self.prefix else ""
        return f"{start}AWSLogs/{f'aws-account-id={account}' if self.hive else account}/"

    def key(self, account: str, region: str, flow_log: str, begin: int, node: str, per_hour: bool) -> str:
        """The key of the file of what a node saw from `begin` on, in seconds since the epoch: always the same."""
        at = time.gmtime(begin)
        parts = ["year", "month", "day", "hour"] if per_hour else ["year", "month", "day"]
        values = time.strftime("%Y %m %d %H", at).split()
        dates = [f"{name}={value}" if self.hive else value for name, value in zip(parts, values, strict=False)]
        service = ["aws-service=vpcflowlogs", f"aws-region={region}"] if self.hive else ["vpcflowlogs", region]
        moment = time.strftime("%Y%m%dT%H%MZ", time.gmtime(begin - begin % 300))
        unique = hashlib.sha256(f"{flow_log} {node} {begin}".encode()).hexdigest()[:8]
        name = f"{account}_vpcflowlogs_{region}_{flow_log}_{moment}_{unique}.log.gz"
        return self.folder(account) + "/".join([*service, *dates, name])


def source_arn(region: str, account: str, what: str = "flow-logs") -> str:
    """What aws:SourceArn says of a delivery."""
    return f"arn:aws:logs:{region}:{account}:{what}"


class Standing(msgspec.Struct, frozen=True):
    """A bucket as it is for the delivery of logs: whose it is, and whether its policy lets them in."""

    account: str
    lets_in: bool


class Standings(Protocol):
    """What can look at a destination (`flow_delivery.py`)."""

    async def standing(self, destination: Destination, account: str) -> Standing | None:
        """For logs of the account; None where there is no such bucket. Raises an error where the object
        store does not answer."""
        ...


def statements(destination: Destination, account: str, region: str) -> list[dict[str, Any]]:
    """What a bucket's policy says to let the account's logs in, as AWS adds it."""
    bucket = f"arn:aws:s3:::{destination.bucket}"
    principal = {"Service": SERVICE}
    source = {"ArnLike": {"aws:SourceArn": f"arn:aws:logs:{region}:{account}:*"}}
    return [
        {
            "Sid": "AWSLogDeliveryWrite",
            "Effect": "Allow",
            "Principal": principal,
            "Action": "s3:PutObject",
            "Resource": f"{bucket}/{destination.folder(account)}*",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": account, "s3:x-amz-acl": "bucket-owner-full-control"},
                **source,
            },
        },
        {
            "Sid": "AWSLogDeliveryAclCheck",
            "Effect": "Allow",
            "Principal": principal,
            "Action": "s3:GetBucketAcl",
            "Resource": bucket,
            "Condition": {"StringEquals": {"aws:SourceAccount": account}, **source},
        },
    ]


def with_statements(policy: str | None, added: list[dict[str, Any]]) -> str:
    """The policy with these at its end, under names that are free in it."""
    document: dict[str, Any] = msgspec.json.decode(policy) if policy else {"Version": "2012-10-17", "Statement": []}
    held = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    taken = {each.get("Sid") for each in held}
    named = []
    for each in added:
        sid, number = each["Sid"], 1
        while sid in taken:
            sid, number = f"{each['Sid']}{number}", number + 1
        taken.add(sid)
        named.append({**each, "Sid": sid})
    return msgspec.json.encode({**document, "Statement": [*held, *named]}).decode()
