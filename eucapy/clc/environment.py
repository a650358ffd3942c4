"""What surrounds a handler: its transaction, DryRun, ClientToken. The chain's `Environment` for the cloud controller.

DryRun        the handler runs, the transaction is rolled back, the answer is DryRunOperation
ClientToken   the answer is stored in the same transaction; a repetition gets it again (other parameters under the
              same token: IdempotentParameterMismatch); after a day the token is free again
reads         Describe…, Get…, List… run on a snapshot and cannot write
asides        what takes long (a password's hash) is found between two transactions, of which the first is rolled back
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Hashable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from eucapy.aws.chain import AuditRecord, Request
from eucapy.aws.credentials import Credential, Identity
from eucapy.aws.evaluation import Powers
from eucapy.aws.paging import Pager
from eucapy.aws.refusals import Refused
from eucapy.aws.service import Handler
from eucapy.aws.xml import Rendered
from eucapy.clc import request_keys, session_reach
from eucapy.clc.audit import AuditTrail
from eucapy.clc.authenticate import Keys
from eucapy.clc.authorize import Authority, Effective
from eucapy.clc.config import Config
from eucapy.clc.context import Aside, Call, Later, Principal
from eucapy.clc.instance_types import Catalogue
from eucapy.clc.limits import Limits, hold
from eucapy.clc.oidc import Issuers
from eucapy.clc.refusing import Messages
from eucapy.clc.seal import Seal
from eucapy.clc.sessions import Sessions
from eucapy.clc.standing import Standings
from eucapy.clc.store import client_tokens
from eucapy.clock import Clock
from eucapy.database import Database, Tx
from eucapy.errors import ApiError

READS = ("Assume", "Decode", "Describe", "Get", "List")


class DryRunOperation(ApiError):
    status = 412
    message = "Request would have succeeded, but DryRun flag is set."


Merge = Callable[[Call, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
LONGEST_TOKEN = 64
LONGER_TOKENS = {
    **dict.fromkeys(("CreateLaunchTemplate", "CreateLaunchTemplateVersion", "ModifyLaunchTemplate"), 128),
    "StartSnapshot": 255,
}
"""By action. Source: their reference, "ClientToken"."""


class InvalidParameterValue(ApiError):
    """A ClientToken that is too long. Source: "Ensuring idempotency in Amazon EC2 API requests"."""

    message = "Invalid value for parameter clientToken: a client token has at most {most} ASCII characters."


class IdempotentParameterMismatch(ApiError):
    message = "Request with the same token, but different parameters, has already been made."


class ConflictException(ApiError):
    status = 409
    message = "The request uses the same client token as a previous, but non-identical request."


MISMATCHES: dict[str, type[ApiError]] = {"ec2": IdempotentParameterMismatch, "ebs": ConflictException}
"""Services whose requests carry client tokens, and what they say of one that is used for something else."""


class CloudEnvironment:
    """Implements `eucapy.aws.chain.Environment`."""

    def __init__(
        self,
        *,
        config: Config,
        database: Database,
        keys: Keys,
        standings: Standings,
        messages: Messages,
        limits: Limits,
        seal: Seal,
        pager: Pager,
        types: Catalogue,
        clock: Clock,
        audit: AuditTrail,
        fire: Callable[[str], None],
        reads: Any,
        blocks: Any,
        buckets: Callable[[str], Awaitable[int]],
        stored: Any,
        destinations: Any,
        sessions: Sessions,
        issuers: Issuers,
        served: Callable[[], None],
        used: Callable[[Identity, str, str, float], None],
        effective: Mapping[str, Merge],
    ) -> None:
        """`effective`: the parameters that a request has in the end, by "service:operation", where it does not say all."""
        self._config, self._database, self._keys, self._seal = config, database, keys, seal
        self._pager, self._types, self._clock, self._audit = pager, types, clock, audit
        self._fire, self._served, self._used = fire, served, used
        self._reads, self._blocks, self._stored = reads, blocks, stored
        self._destinations = destinations
        self._sessions, self._issuers = sessions, issuers
        self._buckets = buckets
        self._standings, self._messages, self._limits = standings, messages, limits
        merges = {name: self._merging(merge) for name, merge in effective.items()}
        self._authority = Authority(database, standings, messages, clock.time, merges)

    async def credential(self, access_key_id: str, session_token: str | None) -> Credential | None:
        found = await self._keys.find(access_key_id, session_token)
        if found is not None and found.expires is not None and self._clock.time() >= found.expires:
            raise Refused("expired token")
        return found

    async def authorize(self, request: Request) -> None:
        session_reach.check(request)
        await self._authority.authorize(request)

    def audit(self, record: AuditRecord) -> None:
        self._audit.note(record)
        if record.identity.access_key_id:
            self._used(record.identity, record.service, record.action, record.started)
        self._served()

    async def invoke(self, request: Request, handler: Handler) -> Any:
        """The handler's answer, its transaction committed."""
        params = request.params
        dry_run = bool(params.get("DryRun"))
        mismatch = MISMATCHES.get(request.service.name)
        token = str(params.get("ClientToken") or "") if mismatch is not None else ""
        most = LONGER_TOKENS.get(request.action, LONGEST_TOKEN)
        if len(token) > most or not token.isascii():
            raise InvalidParameterValue(most=most)
        if len(token) > LONGEST_TOKEN:
            token = hashlib.sha256(token.encode()).hexdigest()

        reads = request.action.startswith(READS) and not params.get("TokenCode")  # a code is used up
        limits = () if reads or request.identity.anonymous else await self._limits.of(request.identity.account)

        answers: dict[Hashable, Any] = {}

        async def work(tx: Tx) -> Any:
            call = self._call(request, tx, answers)
            digest = ""
            if token:
                digest = _digest(params)
                held = await client_tokens.find(tx, call.account, request.action, token)
                if held is not None:
                    if held.digest != digest:
                        assert mismatch is not None
                        raise mismatch
                    return msgspec.msgpack.decode(held.answer, ext_hook=_rendered)
            await self._authority.confirm(tx, request)
            answer = await handler.function(call, params)
            if limits:
                await hold(tx, call.account, limits, f"{request.service.name}:{request.action}")
            if dry_run:
                raise DryRunOperation
            if token and isinstance(answer, Mapping):
                stored = msgspec.msgpack.encode(answer, enc_hook=_plain)
                await client_tokens.insert(tx, call.account, request.action, token, digest, stored, call.now)
            return answer

        run = self._database.read if reads else self._database.write
        while True:
            try:
                answer = await run(work)
            except Aside as asked:
                answers[asked.question] = await asked.work()
            else:
                return await answer.work() if isinstance(answer, Later) else answer

    async def _powers(self, request: Request) -> Powers:
        principal = request.identity.principal
        return (await self._standings.of(principal)).powers if isinstance(principal, Principal) else Powers()

    def _merging(self, merge: Merge) -> Effective:
        return lambda tx, request: merge(self._call(request, tx), request.params)

    def _call(self, request: Request, tx: Tx, answers: Mapping[Hashable, Any] | None = None) -> Call:
        purpose = f"{request.service.name}:{request.action}"
        account = request.identity.account
        return Call(
            tx=tx,
            service=request.service.name,
            action=request.action,
            identity=request.identity,
            region=request.region,
            request_id=request.request_id,
            now=self._clock.time(),
            config=self._config,
            types=self._types,
            seal=self._seal.seal,
            unseal=self._seal.unseal,
            fire=self._fire,
            reads=self._reads,
            blocks=self._blocks,
            buckets=self._buckets,
            stored=self._stored,
            destinations=self._destinations,
            sessions=self._sessions,
            issuers=self._issuers,
            powers=lambda: self._powers(request),
            keys=lambda: request_keys.of(request, self._clock.time()),
            decoded=lambda message: self._messages.decoded(account, message),
            token=lambda position: self._pager.seal(purpose, account, position),
            position=lambda token: str(self._pager.open(purpose, account, token)),
            source_ip=request.http.remote,
            user_agent=request.http.headers.get("user-agent", ""),
            answers={} if answers is None else answers,
        )


def _digest(params: Mapping[str, Any]) -> str:
    """A fingerprint of the parameters, the order of members aside."""
    return hashlib.sha256(msgspec.json.encode(params, enc_hook=_plain, order="sorted")).hexdigest()


RENDERED = 1
"""Marks XML that is finished already in a stored answer."""


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, Rendered):
        return msgspec.msgpack.Ext(RENDERED, value.encode())
    raise TypeError(f"{type(value).__name__} in a stored answer")


def _rendered(code: int, content: memoryview) -> Any:
    assert code == RENDERED, code
    return Rendered(bytes(content).decode())
