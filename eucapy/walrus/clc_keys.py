"""Access keys from the cloud controller, kept in memory, and refused in the moment in which they are revoked.

A temporary key is asked for together with its session token, and kept under both; when it expires is in the answer.

The cloud controller counts the changes of users and keys. A watch (a long poll of that count) is told at once; what was
asked for before is then asked for anew, and the answer waited for. So a key that was deactivated or deleted, or whose user
lost his rights, is refused as soon as the news has travelled.

The cloud controller is told, now and then, when keys were used here; nothing waits for that.

While nothing is heard from the cloud controller (it is being restarted, or cannot be reached), what is known goes on
working for `outage_s`, so that objects stay reachable; then every request is refused until it is heard again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from eucapy.aws import policytexts
from eucapy.aws.credentials import Credential, Identity
from eucapy.aws.evaluation import Powers
from eucapy.aws.policytexts import Text
from eucapy.aws.refusals import Refused
from eucapy.clock import Clock
from eucapy.walrus.errors import ServiceUnavailable
from eucapy.walrus.identity import Principal
from eucapy.wire.contract import Cursor

log = logging.getLogger(__name__)

T = TypeVar("T")

WAIT_S = 20.0
"""How long the cloud controller holds a poll when nothing changes."""
LIMIT_S = 5.0
"""How long an answer may take beyond that."""
TOLD_S = 30.0
"""How often the cloud controller is told of uses."""
MOST_TOLD = 1000
"""Uses in one message."""
_TEMPORARY, _ROLE = "ASIA", "assumed-role"
_TOKEN_HEADER = "X-Amz-Security-Token"  # noqa: S105 - a header's name

Name = tuple[str, str]
"""(access key id, session token); the token is "" for a long-lived key, whatever token came with it."""


class Policies(msgspec.Struct, frozen=True):
    """The texts of the policies that say what a principal may, each with where it is from."""

    identity: tuple[Text, ...] = ()
    boundary: Text | None = None
    session: tuple[Text, ...] | None = None
    root: bool = False


class Answer(msgspec.Struct, frozen=True):
    """`GET /internal/credentials/<access key>` of the cloud controller."""

    secret: str = ""
    account_id: str = ""
    user_arn: str = ""
    canonical_id: str = ""
    allow_all: bool = False
    active: bool = True
    kind: str = "user"
    lasting_arn: str = ""
    unique_id: str = ""
    holder: str = ""
    expires: float | None = None
    policies: Policies | None = None
    """None where all is allowed (`allow_all`), or nothing."""
    facts: dict[str, str | list[str]] = {}
    mfa_at: float | None = None
    parent: str = ""
    limits: dict[str, int] = {}
    refused: str = ""
    """Why the session token is none of this key's, in the words of `aws/refusals.py`; then there is nothing else."""


class Use(msgspec.Struct, frozen=True):
    """When a key was last used, in seconds since the epoch, and who is behind it: `POST /internal/uses`."""

    key: str
    holder: str
    role: bool
    at: float


class Unknown(Exception):
    """The cloud controller did not answer."""


class _Entry(msgspec.Struct, frozen=True):
    credential: Credential | None
    epoch: int
    asked_at: float
    refused: str = ""


class ClcKeys:
    """A cache in front of the cloud controller. `start` the watch, or every request asks."""

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext | None,
        clock: Clock,
        *,
        outage_s: float = 600.0,
        unknown_s: float = 2.0,
        retry_s: float = 0.5,
        most: int = 10_000,
        told_s: float = TOLD_S,
    ) -> None:
        """`unknown_s`: how long a key that does not exist is not asked for again."""
        self._url = url.rstrip("/")
        self._tls = tls
        self._clock = clock
        self._outage_s, self._unknown_s, self._retry_s = outage_s, unknown_s, retry_s
        self._most, self._told_s = most, told_s
        self._known: dict[Name, _Entry] = {}
        self._unknown: dict[Name, _Entry] = {}
        self._asking: dict[tuple[Name, int], asyncio.Task[_Entry]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._watch: asyncio.Task[None] | None = None
        self._teller: asyncio.Task[None] | None = None
        self._uses: dict[str, Use] = {}
        self._seen = Cursor()
        self._epoch = 0
        """Grows with every change heard of. What was asked for in an earlier epoch counts no more."""
        self._heard_at = float("-inf")

    def start(self) -> None:
        """Watch for changes, and tell of uses, in the background of the current event loop."""
        self._watch = asyncio.create_task(self._keep_watching(), name="changes of access keys")
        self._teller = asyncio.create_task(self._keep_telling(), name="uses of access keys")

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        """The credential, expired ones too, or None. Raises ServiceUnavailable where nothing is known and nobody answers,
        Refused for a session token that is not this key's."""
        now = self._clock.monotonic()
        name = (access_key_id, session_token or "" if access_key_id.startswith(_TEMPORARY) else "")
        entry = self._known.get(name)
        if entry is not None and entry.epoch == self._epoch and now - self._heard_at <= self._outage_s:
            return entry.credential
        entry = self._unknown.get(name)
        if entry is None or entry.epoch != self._epoch or now - entry.asked_at > self._unknown_s:
            try:
                entry = await asyncio.shield(self._ask(name))
            except Unknown as error:
                log.warning("the cloud controller was not heard", extra={"data": {"reason": str(error)}})
                raise ServiceUnavailable("The access key cannot be checked now. Please try again.") from None
        if entry.refused:
            raise Refused(entry.refused, **{"Token-0": session_token or ""})
        return entry.credential

    def accounts(self) -> Mapping[str, str] | None:
        return None

    def used(self, identity: Identity, at: float) -> None:
        principal = identity.principal
        if isinstance(principal, Principal):
            key, role = identity.access_key_id, principal.kind == _ROLE
            self._uses[key] = Use(key, principal.holder, role, at)

    async def tell(self) -> None:
        """What was used since last time. What cannot be told is kept for the next. Raises Unknown."""
        while self._uses:
            told = dict(list(self._uses.items())[:MOST_TOLD])
            await self._post("/internal/uses", list(told.values()))
            self._uses = {key: use for key, use in self._uses.items() if told.get(key) is not use}

    async def close(self) -> None:
        background = [task for task in (self._watch, self._teller) if task is not None]
        tasks: list[asyncio.Task[Any]] = [*self._asking.values(), *background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await self.tell()
        except Unknown as error:
            log.info("the last uses of access keys are lost", extra={"data": {"reason": str(error)}})
        if self._session is not None:
            await self._session.close()

    async def _keep_watching(self) -> None:
        while True:
            try:
                await self.poll(WAIT_S)
            except Unknown as error:
                log.warning("no news of access keys", extra={"data": {"reason": str(error)}})
                await asyncio.sleep(self._retry_s)

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(self._told_s)
            try:
                await self.tell()
            except Unknown as error:
                log.warning("uses of access keys could not be told", extra={"data": {"reason": str(error)}})
            while len(self._uses) > self._most:
                self._uses.pop(next(iter(self._uses)))

    async def poll(self, wait_s: float) -> None:
        """Ask whether keys have changed since last time, and let the answer come up to `wait_s` late. Raises Unknown."""
        query = urlencode({"boot": self._seen.boot, "revision": self._seen.revision, "wait": wait_s})
        found = await self._get(f"/internal/credentials?{query}", Cursor, wait_s + LIMIT_S)
        if found is None:
            raise Unknown("HTTP 404")
        if found != self._seen:
            self._seen = found
            self._epoch += 1
        self._heard_at = self._clock.monotonic()

    def _ask(self, name: Name) -> asyncio.Task[_Entry]:
        """One question at a time for each key; one that was asked before a change is not waited for."""
        question = (name, self._epoch)
        task = self._asking.get(question)
        if task is None:
            task = self._asking[question] = asyncio.create_task(self._refresh(name, self._epoch))
            task.add_done_callback(lambda done: self._asked(question, done))
        return task

    def _asked(self, question: tuple[Name, int], done: asyncio.Task[_Entry]) -> None:
        self._asking.pop(question, None)
        if not done.cancelled():
            done.exception()  # whoever waits is told; nobody may be left

    async def _refresh(self, name: Name, epoch: int) -> _Entry:
        asked_at = self._clock.monotonic()
        access_key_id, token = name
        path = f"/internal/credentials/{quote(access_key_id, safe='')}"
        answer = await self._get(path, Answer, LIMIT_S, {_TOKEN_HEADER: token} if token else None)
        credential = None if answer is None or answer.refused else _credential(access_key_id, token, answer)
        entry = _Entry(credential, epoch, asked_at, answer.refused if answer is not None else "")
        entries, others = (self._known, self._unknown) if credential is not None else (self._unknown, self._known)
        others.pop(name, None)
        if len(entries) >= self._most:
            entries.pop(next(iter(entries)))
        entries[name] = entry
        return entry

    async def _get(
        self, path: str, kind: type[T], limit_s: float, headers: Mapping[str, str] | None = None
    ) -> T | None:
        """The answer; None for 404. Raises Unknown."""
        try:
            limit = aiohttp.ClientTimeout(total=limit_s)
            async with self._opened().get(self._url + path, timeout=limit, headers=headers) as response:
                if response.status == 404:
                    return None
                if response.status != 200:
                    raise Unknown(f"HTTP {response.status}")
                return msgspec.json.decode(await response.read(), type=kind)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
            raise Unknown(f"{type(error).__name__} {error}") from error

    async def _post(self, path: str, body: Any) -> None:
        """Raises Unknown."""
        try:
            limit, content = aiohttp.ClientTimeout(total=LIMIT_S), msgspec.json.encode(body)
            async with self._opened().post(self._url + path, timeout=limit, data=content) as response:
                if response.status != 204:
                    raise Unknown(f"HTTP {response.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unknown(f"{type(error).__name__} {error}") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session


def _powers(told: Policies | None) -> Powers:
    if told is None:
        return Powers()
    return policytexts.powers(told.identity, told.boundary, told.session, root=told.root)


def _credential(access_key_id: str, token: str, answer: Answer) -> Credential:
    principal = Principal(
        answer.account_id,
        answer.canonical_id,
        answer.user_arn,
        answer.allow_all,
        kind=answer.kind,
        lasting_arn=answer.lasting_arn,
        unique_id=answer.unique_id,
        holder=answer.holder,
        parent=answer.parent,
        powers=_powers(answer.policies),
        facts=answer.facts,
        mfa_at=answer.mfa_at,
        limits=answer.limits,
    )
    return Credential(
        access_key_id,
        answer.secret,
        answer.account_id,
        principal,
        token or None,
        answer.expires,
        answer.active,
    )
