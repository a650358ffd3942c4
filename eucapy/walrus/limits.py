"""Quotas of an account in the object store: how many buckets, how many objects and how much in each and in all.

What there is is read once and counted on in memory, each write before it begins, so that many at once do not slip through;
it is read anew after a while, and before anything is refused (then no more often than a tenth of the time,
unless the account has removed something). Accounts without quotas, nearly all, cost nothing. A write into
another account's bucket is that account's, and is not counted for the writer. Set by account policies: `clc/limits.py`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from eucapy.aws.chain import Request
from eucapy.aws.errors import ApiError
from eucapy.walrus import errors
from eucapy.walrus.context import Walrus
from eucapy.walrus.identity import Principal
from eucapy.walrus.store import buckets
from eucapy.walrus.store.usage import of_account

BUCKETS, OBJECTS, BUCKET_MIB, TOTAL_MIB = (
    "s3:quota-bucketnumber",
    "s3:quota-bucketobjectnumber",
    "s3:quota-bucketsize",
    "s3:quota-buckettotalsize",
)
_BRINGING = frozenset(
    {
        "CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload", "PostObject", "PutObject", "UploadPart",
        "UploadPartCopy",
    }
)  # fmt: skip
_NEW_OBJECTS = frozenset({"CopyObject", "CreateMultipartUpload", "PostObject", "PutObject"})
_REMOVING = ("Delete", "Abort")
KEPT_S = 5.0
"""How long what was read is counted on; fifty times as long as reading took, where that is more."""
MIB = 1 << 20


class QuotaExceeded(ApiError):
    """AWS has no such quotas; other object stores call it so."""

    status = 403
    message = "The account has reached its quota {key} of {most}."


class _Held:
    """What an account has, by bucket: objects and bytes."""

    def __init__(self, found: Mapping[str, tuple[int, int]], took_s: float) -> None:
        self.objects = {name: objects for name, (objects, _) in found.items()}
        self.bytes = {name: size for name, (_, size) in found.items()}
        self.read_s, self.took_s = time.monotonic(), took_s


class Quotas:
    """Asked before every request of an account that has quotas."""

    def __init__(self, walrus: Walrus) -> None:
        self._walrus = walrus
        self._held: dict[str, _Held] = {}
        self._shrunk: set[str] = set()
        """Accounts that have removed something since what they have was read."""

    async def check(self, principal: Principal, request: Request) -> None:
        """Raises TooManyBuckets, QuotaExceeded."""
        name = str(request.params.get("Bucket") or "")
        if request.action == "CreateBucket" and BUCKETS in principal.limits:
            if await self._walrus.db.read(lambda tx: buckets.by_name(tx, name)) is None:
                held = await self._walrus.db.read(lambda tx: buckets.count(tx, principal.canonical_id))
                if held >= principal.limits[BUCKETS]:
                    raise errors.TooManyBuckets()
        elif request.action in _BRINGING and principal.limits.keys() - {BUCKETS}:
            await self._bring(principal, name, _length(request), int(request.action in _NEW_OBJECTS))
        elif request.action.startswith(_REMOVING):
            self._shrunk.add(principal.account)

    async def _bring(self, principal: Principal, bucket: str, size: int, new: int) -> None:
        held = await self._usage(principal.account, KEPT_S, 50)
        if bucket not in held.bytes:  # made since, or another account's
            held = await self._usage(principal.account, 0, 10)
        if bucket not in held.bytes:
            return
        if _over(held, principal.limits, bucket, size, new) is not None:
            held = await self._usage(principal.account, 0, 0 if principal.account in self._shrunk else 10)
            over = _over(held, principal.limits, bucket, size, new)
            if over is not None:
                raise QuotaExceeded(key=over, most=principal.limits[over])
        held.objects[bucket] += new
        held.bytes[bucket] += size

    async def _usage(self, account: str, least_s: float, times: int) -> _Held:
        """As it was read no longer ago than `least_s`, or `times` as long as that took."""
        held = self._held.get(account)
        if held is not None and time.monotonic() - held.read_s <= max(least_s, times * held.took_s):
            return held
        began = time.monotonic()
        self._shrunk.discard(account)
        found = await self._walrus.db.read(lambda tx: of_account(tx, account))
        self._held[account] = _Held(found, time.monotonic() - began)
        return self._held[account]


def _over(held: _Held, limits: Mapping[str, int], bucket: str, size: int, new: int) -> str | None:
    """The quota that would be exceeded."""
    for key, after, unit in (
        (OBJECTS, held.objects[bucket] + new, 1),
        (BUCKET_MIB, held.bytes[bucket] + size, MIB),
        (TOTAL_MIB, sum(held.bytes.values()) + size, MIB),
    ):
        if key in limits and after > limits[key] * unit:
            return key
    return None


def _length(request: Request) -> int:
    """How many bytes a request brings; one without a length at least none."""
    headers: Mapping[str, Any] = request.http.headers
    if request.action in ("CompleteMultipartUpload", "CreateMultipartUpload"):
        return 0
    text = headers.get("x-amz-decoded-content-length") or headers.get("content-length") or "0"
    return int(text) if text.isascii() and text.isdigit() else 0
