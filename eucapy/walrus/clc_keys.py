"""Access keys from the cloud controller, kept in memory.

An entry is taken as it is for `fresh_s`. After that it still answers, while one request asks the cloud controller again:
a key that was deactivated or deleted stops working within `fresh_s` of its next use but one. Past `stale_s` the answer is
waited for. While the cloud controller is away, what is known goes on working for `outage_s`: objects stay reachable.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from urllib.parse import quote

import aiohttp
import msgspec

from eucapy.aws.credentials import Credential
from eucapy.clock import Clock
from eucapy.walrus.errors import ServiceUnavailable
from eucapy.walrus.identity import Principal

log = logging.getLogger(__name__)


class Answer(msgspec.Struct, frozen=True):
    """`GET /internal/credentials/<access key>` of the cloud controller."""

    secret: str
    account_id: str
    user_arn: str
    canonical_id: str
    allow_all: bool
    active: bool = True
    session_token: str | None = None
    expires: float | None = None


class Unknown(Exception):
    """The cloud controller did not answer."""


class _Entry:
    __slots__ = ("asked_at", "credential")

    def __init__(self, credential: Credential | None, asked_at: float) -> None:
        self.credential = credential
        self.asked_at = asked_at


class ClcKeys:
    """A cache in front of the cloud controller."""

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext | None,
        clock: Clock,
        *,
        fresh_s: float = 2.0,
        stale_s: float = 30.0,
        outage_s: float = 3600.0,
        most: int = 10_000,
    ) -> None:
        self._url = url.rstrip("/")
        self._tls = tls
        self._clock = clock
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._outage_s = outage_s
        self._most = most
        self._entries: dict[str, _Entry] = {}
        self._asking: dict[str, asyncio.Task[Credential | None]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        """The credential, or None. Raises ServiceUnavailable where nothing is known and nobody answers."""
        entry = self._entries.get(access_key_id)
        now = self._clock.monotonic()
        if entry is not None:
            age = now - entry.asked_at
            if age <= self._fresh_s:
                return entry.credential
            if age <= self._stale_s and entry.credential is not None:
                self._ask(access_key_id)
                return entry.credential
        try:
            return await asyncio.shield(self._ask(access_key_id))
        except Unknown:
            if entry is not None and now - entry.asked_at <= self._outage_s:
                return entry.credential
            raise ServiceUnavailable("The access key cannot be checked now. Please try again.") from None

    def accounts(self) -> Mapping[str, str] | None:
        return None

    async def close(self) -> None:
        for task in list(self._asking.values()):
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _ask(self, access_key_id: str) -> asyncio.Task[Credential | None]:
        """One question at a time for each key."""
        task = self._asking.get(access_key_id)
        if task is None:
            task = asyncio.create_task(self._refresh(access_key_id))
            self._asking[access_key_id] = task
            task.add_done_callback(lambda done: self._asked(access_key_id, done))
        return task

    def _asked(self, access_key_id: str, done: asyncio.Task[Credential | None]) -> None:
        self._asking.pop(access_key_id, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            log.warning("the cloud controller was not heard", extra={"data": {"reason": str(error)}})

    async def _refresh(self, access_key_id: str) -> Credential | None:
        answer = await self._fetch(access_key_id)
        credential = None if answer is None else _credential(access_key_id, answer)
        if len(self._entries) >= self._most:
            self._entries.pop(next(iter(self._entries)))
        self._entries[access_key_id] = _Entry(credential, self._clock.monotonic())
        return credential

    async def _fetch(self, access_key_id: str) -> Answer | None:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5.0))
        try:
            async with self._session.get(
                f"{self._url}/internal/credentials/{quote(access_key_id, safe='')}"
            ) as response:
                if response.status == 404:
                    return None
                if response.status != 200:
                    raise Unknown(f"HTTP {response.status}")
                return msgspec.json.decode(await response.read(), type=Answer)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
            raise Unknown(f"{type(error).__name__} {error}") from error


def _credential(access_key_id: str, answer: Answer) -> Credential:
    principal = Principal(answer.account_id, answer.canonical_id, answer.user_arn, answer.allow_all)
    return Credential(
        access_key_id,
        answer.secret,
        answer.account_id,
        principal,
        answer.session_token,
        answer.expires,
        answer.active,
    )
