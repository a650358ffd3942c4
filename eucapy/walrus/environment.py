"""What the AWS chain needs of the object store: keys, who may ask, and how a handler is called."""

from __future__ import annotations

import logging
from typing import Any

from eucapy.aws.chain import AuditRecord, Request
from eucapy.aws.credentials import Credential
from eucapy.aws.errors import AccessDenied
from eucapy.aws.service import Handler
from eucapy.walrus.context import Call, Walrus
from eucapy.walrus.identity import ANONYMOUS, Keys, Principal
from eucapy.walrus.limits import Quotas
from eucapy.walrus.receiving import check_document

log = logging.getLogger("eucapy.walrus.access")


_OF_ACCOUNTS = frozenset({"ListBuckets", "CreateBucket"})
_SIGNED = _OF_ACCOUNTS | {"DeleteBucket"}


def _principal(request: Request) -> Principal:
    if request.identity.anonymous:
        return ANONYMOUS
    principal = request.identity.principal
    if not isinstance(principal, Principal):
        raise AccessDenied()
    return principal


class Environment:
    """The chain's environment (`eucapy.aws.chain.Environment`)."""

    def __init__(self, walrus: Walrus, keys: Keys, access_log: bool) -> None:
        self._walrus = walrus
        self._keys = keys
        self._access_log = access_log
        self._quotas = Quotas(walrus)

    async def credential(self, access_key_id: str, session_token: str | None) -> Credential | None:
        return await self._keys.find(access_key_id, session_token)

    async def authorize(self, request: Request) -> None:
        """What is about no bucket that is there is asked here; what policies and ACLs say of buckets and objects, the handler
        asks (`Call.allow`)."""
        if request.identity.anonymous and request.action in _SIGNED:
            raise AccessDenied()
        if request.action in _OF_ACCOUNTS:
            self._call(request).allow_in_account()

    def _call(self, request: Request) -> Call:
        mechanism = request.identity.mechanism
        return Call(self._walrus, _principal(request), request.http, request.action, request.params, mechanism)

    async def invoke(self, request: Request, handler: Handler) -> Any:
        call = self._call(request)
        if call.principal.limits:
            await self._quotas.check(call.principal, request)
        if request.http.body and request.operation is not None and request.operation.shape.http_checksum:
            check_document(call)  # CompleteMultipartUpload is none of these: its checksum is the object's
        return await handler.function(call, request.params)

    def audit(self, record: AuditRecord) -> None:
        if record.identity.access_key_id:
            self._keys.used(record.identity, record.started)
        if not self._access_log:
            return
        log.info(
            "%s",
            record.action or "-",
            extra={
                "data": {
                    "request_id": record.request_id,
                    "access_key": record.identity.access_key_id,
                    "account": record.identity.account,
                    "remote": record.remote,
                    "status": record.status,
                    "error": record.error_code,
                    "took_ms": round(record.duration_s * 1000, 3),
                }
            },
        )
