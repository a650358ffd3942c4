"""Objects of the store, read and written in a user's name: with a role's credentials, or by a presigned URL.

    look = await objects.look(AsRole(role_id, account, name), "bucket", "key")     # ETag, size, first bytes

The request goes to the object store's S3 port like anybody's, so that bucket policies, the role's own policies and limits
on its session decide, and nothing of that is decided twice. Who wants the whole object later names it by its ETag. What is
large is written by the cloud's storage (`wire/uploads.py`), into an upload that is begun and completed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from eucapy.clc.actors import Actor
from eucapy.clc.context import ASSUMED_ROLE
from eucapy.clc.places import Place
from eucapy.clc.sessions import Session, Sessions
from eucapy.clock import Clock
from eucapy.wire.contract import Unreachable

PATIENCE_S = 20.0
COMPLETION_S = 120.0
"""An upload of many parts is put together within this."""
SESSION_S = 3600
FIRST_BYTES = 64 * 1024


class Refused(Exception):
    """The store does not give it: `status` 403, 404 and the like."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(f"Reason {status} {reason}")


@dataclass(frozen=True)
class Look:
    """`head` is what was asked for: by default the first 64 KiB."""

    etag: str
    size_bytes: int
    head: bytes


@dataclass(frozen=True)
class AsRole:
    """The role that reads, and the name of its session."""

    role_id: str
    account: str
    session: str


class UserObjects:
    """Reads and writes at the object store's S3 port."""

    def __init__(self, url: str, region: str, sessions: Sessions, clock: Clock) -> None:
        self._url, self._region = url.rstrip("/"), region
        self._sessions, self._clock = sessions, clock
        self._limit = aiohttp.ClientTimeout(total=PATIENCE_S)

    async def look(self, who: AsRole, place: Place, start: int = 0, length: int = FIRST_BYTES) -> Look:
        """Some bytes of the object, read with the role's rights. Raises Refused, Unreachable."""
        return await self.read(Actor(ASSUMED_ROLE, who.account, who.role_id, who.session), place, start, length)

    async def read(self, who: Actor, place: Place, start: int = 0, length: int = FIRST_BYTES) -> Look:
        """The same in anybody's name. Raises Refused, Unreachable."""
        path = f"/{quote(place.bucket, safe='')}/{quote(place.key, safe='/~')}"
        request = AWSRequest("GET", self._url + path, headers={"Range": _span(start, length)})
        S3SigV4Auth(self._credentials(who), "s3", self._region).add_auth(request)
        return await self._get(self._url + path, dict(request.headers.items()))

    async def look_presigned(self, url: str, start: int = 0, length: int = FIRST_BYTES) -> Look:
        """The same by a URL that is signed already, whoever's host it names. Raises Refused, Unreachable."""
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        headers = {"Range": _span(start, length), "Host": parts.netloc}
        return await self._get(f"{self._url}{parts.path}{query}", headers)

    async def begin_upload(self, who: Actor, place: Place, headers: Mapping[str, str] | None = None) -> str:
        """The id of a new multipart upload. Raises Refused, Unreachable."""
        answer = await self._ask("POST", who, place, "uploads=", headers=headers)
        found = re.search(rb"<UploadId>([^<]+)</UploadId>", answer)
        if found is None:
            raise Unreachable("the object store: no UploadId")
        return found[1].decode()

    async def put_part(self, who: Actor, place: Place, upload_id: str, number: int, content: bytes) -> str:
        """A part of the upload; its ETag. Raises Refused, Unreachable."""
        query = f"partNumber={number}&uploadId={quote(upload_id, safe='')}"
        return (await self._ask("PUT", who, place, query, content, wants="ETag")).decode().strip('"')

    async def complete_upload(self, who: Actor, place: Place, upload_id: str, etags: Sequence[str]) -> None:
        """Make the object of parts 1, 2, …; one that was completed already stays so. Raises Refused, Unreachable."""
        parts = "".join(
            f'<Part><PartNumber>{number}</PartNumber><ETag>"{etag}"</ETag></Part>'
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        await self._ask("POST", who, place, f"uploadId={quote(upload_id, safe='')}", body)

    async def bucket_policy(self, who: Actor, bucket: str) -> str | None:
        """The bucket's policy, if it has one. Raises Refused, Unreachable."""
        try:
            return (await self._ask("GET", who, Place(bucket, ""), "policy=")).decode()
        except Refused as error:
            if error.status == 404 and "NoSuchBucketPolicy" in str(error):
                return None
            raise

    async def put_bucket_policy(self, who: Actor, bucket: str, policy: str) -> None:
        """Raises Refused, Unreachable."""
        await self._ask("PUT", who, Place(bucket, ""), "policy=", policy.encode())

    async def _ask(
        self,
        method: str,
        who: Actor,
        place: Place,
        query: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        wants: str = "",
    ) -> bytes:
        """The body of the answer, or the header that is wanted of it."""
        url = f"{self._url}/{quote(place.bucket, safe='')}/{quote(place.key, safe='/~')}?{query}"
        request = AWSRequest(method, url, headers=dict(headers or {}), data=body)
        S3SigV4Auth(self._credentials(who), "s3", self._region).add_auth(request)
        limit = aiohttp.ClientTimeout(total=COMPLETION_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.request(
                    method,
                    URL(url, encoded=True),
                    headers=dict(request.headers.items()),
                    data=body,
                    allow_redirects=False,
                ) as answer,
            ):
                said = await answer.read()
                if answer.status >= 500:
                    raise Unreachable(f"the object store: HTTP {answer.status}")
                if answer.status not in (200, 204) or b"<Error>" in said:
                    code = re.search(rb"<Code>([^<]+)</Code>", said)
                    raise Refused(answer.status, code[1].decode() if code is not None else answer.reason or "")
                return answer.headers.get(wants, "").encode() if wants else said
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"the object store: {type(error).__name__} {error}") from error

    def _credentials(self, who: Actor) -> Credentials:
        now = int(self._clock.time())
        session = Session(
            kind=who.kind,
            account=who.account,
            holder=who.holder,
            name=who.name,
            issued_at=now,
            expires_at=now + SESSION_S,
            policies=who.policies,
            policy_arns=who.policy_arns,
            tags=who.tags,
        )
        issued = self._sessions.issue(session)
        return Credentials(issued.access_key_id, issued.secret, issued.token)

    async def _get(self, url: str, headers: dict[str, str]) -> Look:
        try:
            async with (
                aiohttp.ClientSession(timeout=self._limit, auto_decompress=False) as session,
                session.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as answer,
            ):
                if answer.status == 416:  # an empty object has no first byte
                    return Look("", 0, b"")
                if answer.status >= 500:
                    raise Unreachable(f"the object store: HTTP {answer.status}")
                if answer.status not in (200, 206):
                    raise Refused(answer.status, answer.reason or "")
                head = await answer.read()
                whole = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
                etag = answer.headers.get("ETag", "").strip('"')
                return Look(etag, int(whole[1]) if whole else len(head), head)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"the object store: {type(error).__name__} {error}") from error


def _span(start: int, length: int) -> str:
    return f"bytes={start}-{start + length - 1}"
