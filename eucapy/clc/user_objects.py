"""Objects of the store, read in a user's name: with a role's credentials or by a presigned URL.

    look = await objects.look(AsRole(role_id, account, name), "bucket", "key")     # ETag, size, first bytes

The request goes to the object store's S3 port like anybody's, so that bucket policies, the role's own policies and limits
on its session decide, and nothing of that is decided twice. Who wants the whole object later names it by its ETag.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from eucapy.clc.context import ASSUMED_ROLE
from eucapy.clc.places import Place
from eucapy.clc.sessions import Session, Sessions
from eucapy.clock import Clock
from eucapy.wire.contract import Unreachable

PATIENCE_S = 20.0
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
    """Reads at the object store's S3 port."""

    def __init__(self, url: str, region: str, sessions: Sessions, clock: Clock) -> None:
        self._url, self._region = url.rstrip("/"), region
        self._sessions, self._clock = sessions, clock
        self._limit = aiohttp.ClientTimeout(total=PATIENCE_S)

    async def look(self, who: AsRole, place: Place, start: int = 0, length: int = FIRST_BYTES) -> Look:
        """Some bytes of the object, read with the role's rights. Raises Refused, Unreachable."""
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

    def _credentials(self, who: AsRole) -> Credentials:
        now = int(self._clock.time())
        session = Session(
            kind=ASSUMED_ROLE,
            account=who.account,
            holder=who.role_id,
            name=who.session,
            issued_at=now,
            expires_at=now + SESSION_S,
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
