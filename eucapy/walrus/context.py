"""Call: what a handler of an S3 operation gets beside its parameters.

`Walrus` is the store as a whole: metadata, blobs, the collector, and what the configuration decides. A Call adds one
request: who asks, with which headers. Handlers reach everything through it and know nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from eucapy.aws.errors import AccessDenied
from eucapy.aws.message import Incoming
from eucapy.aws.policyconditions import Context
from eucapy.clock import Clock
from eucapy.database import Database, Tx
from eucapy.drivers.blob.base import BlobDriver
from eucapy.walrus import access, errors, grants, policycontext
from eucapy.walrus.identity import Keys, Principal
from eucapy.walrus.keyring import Keyring
from eucapy.walrus.room import Room
from eucapy.walrus.store import buckets
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.engine import StoreFull
from eucapy.walrus.store.objects import Version
from eucapy.walrus.workers.collector import Collector
from eucapy.walrus.workers.notifier import Notifier

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Walrus:
    """The object store. `inline_bytes`: objects up to this size are kept beside their metadata. `old_defaults`: new buckets
    have ACLs and no public access block. `accounts`: all there are by canonical id, where that is known. `keys`: for
    forms, whose signature is a field.
    `default_encryption`: the `encryption` of new buckets. `to_replicate`: set when there is work
    for the replicator. `notifier`: None where nobody is told of events. `room`: what
    of the disk is not given to objects."""

    db: Database
    blobs: BlobDriver
    collector: Collector
    clock: Clock
    region: str
    inline_bytes: int
    keyring: Keyring
    most_buckets: int = 10_000
    old_defaults: bool = False
    accounts: Mapping[str, str] | None = None
    keys: Keys | None = None
    to_replicate: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    default_encryption: str = ""
    notifier: Notifier | None = None
    room: Room = dataclasses.field(default_factory=Room)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, authenticated. `operation` and `params` as the chain found them: they decide what is asked for."""

    walrus: Walrus
    principal: Principal
    incoming: Incoming
    operation: str
    params: Mapping[str, Any]
    mechanism: str = ""

    @property
    def now_ms(self) -> int:
        return int(self.walrus.clock.time() * 1000)

    async def read(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` on a snapshot of the metadata."""
        return await self.walrus.db.read(work)

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` in a transaction; returns when it is on disk. Raises InsufficientStorage."""
        try:
            return await self.walrus.db.write(work)
        except StoreFull as error:
            raise errors.InsufficientStorage() from error

    async def bucket(
        self, tx: Tx, name: str, expected_owner: str | None = None, *, key: str | None = None, action: str | None = None
    ) -> Bucket:
        """The bucket, to which the caller may do what it asks for. Raises NoSuchBucket, AccessDenied."""
        return self.check_bucket(await buckets.by_name(tx, name), name, expected_owner, key=key, action=action)

    def check_bucket(
        self,
        bucket: Bucket | None,
        name: str,
        expected_owner: str | None,
        *,
        key: str | None = None,
        action: str | None = None,
    ) -> Bucket:
        """`bucket` as it was found under `name`. Raises NoSuchBucket, AccessDenied."""
        found = self.existing(bucket, name, expected_owner)
        self.allow(found, key=key, action=action)
        return found

    def existing(self, bucket: Bucket | None, name: str, expected_owner: str | None) -> Bucket:
        """`bucket` as it was found under `name`; whether the caller may is still to be asked. Raises NoSuchBucket."""
        if bucket is None:
            raise errors.NoSuchBucket(fields={"BucketName": name})
        if expected_owner and expected_owner != bucket.account:
            if not (len(expected_owner) == 12 and expected_owner.isascii() and expected_owner.isdigit()):
                raise errors.InvalidBucketOwnerAWSAccountID(
                    f"The value of the expected bucket owner parameter must be an AWS Account ID... [{expected_owner}]"
                )
            raise AccessDenied()
        return bucket

    def allow(
        self, bucket: Bucket, version: Version | None = None, *, key: str | None = None, action: str | None = None
    ) -> None:
        """Raises AccessDenied where the caller may not do `action` to the bucket or, with a key, to the object.

        By default the action is the request's own and the key the one that it names.
        """
        if not self.may(bucket, version, key=key, action=action):
            raise AccessDenied(self._why(bucket, version, key, action) or None)

    def may_list(self, bucket: Bucket, key: str) -> bool:
        """Whether the caller may list the bucket where `key` would stand: who may not does not learn what is not there."""
        if access.is_plainly_owners(bucket, None, self.principal):
            return True
        here = dataclasses.replace(self, params={"Prefix": key})
        return here.may(bucket, action="ListBucket")

    def may(
        self, bucket: Bucket, version: Version | None = None, *, key: str | None = None, action: str | None = None
    ) -> bool:
        """`allow` as a question. `action` of a bucket, given by name, has no key."""
        if access.is_plainly_owners(bucket, version, self.principal):
            return True
        (own, *more), key = self._asked(key, action)
        principal = self.principal

        def keys() -> Context:
            return self._keys(bucket, version)

        return access.may(bucket, key, version, principal, own, keys, pays=self.pays) and (
            principal.allow_all or all(access.own_verdict(bucket, key, principal, each, keys).allowed for each in more)
        )

    def _asked(self, key: str | None, action: str | None) -> tuple[list[str], str | None]:
        """(actions, key): those given, or the request's own."""
        if action is not None:
            return [action], key
        own = access.action_of(self.operation, version=self.params.get("VersionId") is not None)
        return [own, *access.also_asked(self.operation, self.params)], self.params.get("Key") if key is None else key

    def _keys(self, bucket: Bucket, version: Version | None) -> Context:
        return {
            **policycontext.of(self, version),
            "aws:resourceaccount": bucket.account,
            "s3:resourceaccount": bucket.account,
        }

    def _why(self, bucket: Bucket, version: Version | None, key: str | None, action: str | None) -> str:
        """AWS's words for one whose own policies keep it from what its account may; "" where others have the say."""
        if self.principal.allow_all or bucket.account != self.principal.account:
            return ""
        actions, key = self._asked(key, action)
        for each in actions:
            verdict = access.own_verdict(bucket, key, self.principal, each, lambda: self._keys(bucket, version))
            if not verdict.allowed:
                resource = f"arn:aws:s3:::{bucket.name}" + ("" if key is None else f"/{key}")
                return access.worded(self.principal, each, resource, verdict)
        return ""

    def allow_in_account(self) -> None:
        """Raises AccessDenied where the caller's policies do not let it list its account's buckets, or make this one."""
        if self.principal.allow_all:
            return
        for action, resource in access.of_account(self.operation, self.params):
            verdict = access.in_account(self.principal, action, resource, policycontext.of(self, None))
            if not verdict.allowed:
                raise AccessDenied(access.worded(self.principal, action, resource, verdict))

    @property
    def pays(self) -> bool:
        """Whether the request says, by header or in a presigned URL, that its sender pays for it."""
        said = self.params.get("RequestPayer") == "requester"
        return said or "x-amz-request-payer=requester" in self.incoming.query

    def is_account(self, canonical_id: str) -> bool:
        """Whether there is an account of that canonical id, as far as that can be known here."""
        accounts = self.walrus.accounts
        return canonical_id in accounts if accounts is not None else grants.is_canonical_id(canonical_id)

    def person(self, canonical_id: str) -> dict[str, str]:
        """Owner or grantee as a member of an answer. Where all accounts are known, with the number as the name: AWS gave
        names until 2025, and older tools look at them."""
        account = (self.walrus.accounts or {}).get(canonical_id)
        return {"ID": canonical_id} | ({"DisplayName": account} if account is not None else {})
