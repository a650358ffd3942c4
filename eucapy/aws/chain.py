"""The chain: what happens to every request, one visible step after the other.

    route ─► authenticate ─► parse ─► authorize ─► validate ─► invoke ─► serialize
      │           │            │          │            │          │
      └───────────┴────────────┴── any ApiError ───────┴──────────┴────► the error, in the client's protocol ─► audit

Each step gets values and hands values on; nothing is stored on a shared request. The chain knows AWS's wire and nothing of
our cloud: what an access key is, who may do what, and what surrounds a handler (its transaction, DryRun, idempotency,
retries) is the Environment's, which the cloud controller and Walrus implement.

Authentication comes before parsing: a stranger learns nothing about parameters, and costs little.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from eucapy.aws import errors, presigned, protocols, validate
from eucapy.aws.authenticate import Authenticator
from eucapy.aws.bodies import INFLATED_LIMIT, BodyReader, RawReader, inflated
from eucapy.aws.credentials import LINKS, NOBODY, Credential, Identity
from eucapy.aws.errors import ApiError, BadValue, InternalError
from eucapy.aws.message import Incoming, Outgoing, Reader
from eucapy.aws.models import Operation
from eucapy.aws.refusals import Refused, refusal
from eucapy.aws.route import Claim, Route, Router, Unrouted
from eucapy.aws.service import Handler, Service

log = logging.getLogger(__name__)


class Request(msgspec.Struct, frozen=True):
    """A request that has passed authentication and parsing; what `authorize` and `invoke` get.

    `params` are under the model's member names: str, int, float, bool, bytes, aware datetimes, lists, dicts. For an
    operation that streams, the payload member is a `bodies.BodyReader`. `operation` is None on raw routes.
    """

    service: Service
    operation: Operation | None
    action: str
    params: dict[str, Any]
    identity: Identity
    http: Incoming
    region: str
    version: str
    protocol: str

    @property
    def request_id(self) -> str:
        return self.http.request_id


class AuditRecord(msgspec.Struct, frozen=True):
    """One line of the audit trail. `params` is None when the request did not get as far as parsing, `result` what the handler
    answered, None when it did not."""

    service: str
    action: str
    request_id: str
    identity: Identity
    remote: str
    agent: str
    started: float
    duration_s: float
    status: int
    error_code: str | None
    error_message: str | None
    params: dict[str, Any] | None
    result: Any = None


class Exchange(msgspec.Struct, frozen=True):
    """A request and the answer that it is about to get; `route` and `request` are None where it did not get so far."""

    claim: Claim
    route: Route | None
    request: Request | None
    identity: Identity
    incoming: Incoming
    outgoing: Outgoing
    error: ApiError | None


Finish = Callable[[Exchange], Awaitable[Outgoing]]
"""Has the last word about an answer, an error too (cross-origin headers, access logs). Must not raise."""


class Environment(Protocol):
    """What the chain needs of the program that it runs in."""

    async def credential(self, access_key_id: str, session_token: str | None) -> Credential | None:
        """The credential, or None when there is none of that id. Called for every request: keep it in memory."""
        ...

    async def authorize(self, request: Request) -> None:
        """Raise an ApiError when `request.identity` may not do this. Anonymous requests come here too."""
        ...

    async def invoke(self, request: Request, handler: Handler) -> Any:
        """Run `handler.function` with whatever it takes as its first argument, and `request.params`."""
        ...

    def audit(self, record: AuditRecord) -> None:
        """Called once for every request, last. Must not raise."""
        ...


class Chain:
    """Answers requests for the services of a Router."""

    def __init__(
        self,
        router: Router,
        environment: Environment,
        *,
        region: str,
        clock: Callable[[], float] = time.time,
        finish: Finish | None = None,
    ) -> None:
        self.router, self.region, self.clock = router, region, clock
        self._environment = environment
        self._finish = finish
        scopes = {scope for service in router.services.values() for scope in (service.model.scope, *service.aliases)}
        self.authenticator = Authenticator(environment.credential, region, scopes | router.foreign)

    async def answer(self, claim: Claim, incoming: Incoming) -> Outgoing:
        """The answer to a request, whatever happens."""
        route: Route | None = None
        request: Request | None = None
        identity = NOBODY
        error: ApiError | None = None
        result: Any = None
        try:
            route = self.router.route(claim, incoming)
            handler = route.handler
            if handler is None or not handler.unsigned:
                identity, incoming = await self.authenticator.authenticate(incoming, route, claim)
                if identity.mechanism in LINKS and route.service.family == "s3":
                    incoming = presigned.with_headers(incoming)
            if handler is None:
                raise route.service.no_such_action(route.action, route.protocol, route.version)
            if identity.anonymous and not handler.anonymous and route.service.family != "s3":
                raise Refused("missing")
            request = await self._parse(route, identity, incoming)
            await self._environment.authorize(request)
            if route.operation is not None:
                validate.check(route.service, route.operation, request.params, handler.unchecked, handler.worded)
            result = await self._environment.invoke(request, handler)
            outgoing = self._serialize(route, result, incoming)
        except Unrouted as unrouted:
            error = unrouted.error
            family = unrouted.service.family if unrouted.service is not None else _family(unrouted.protocol)
            outgoing = self._refuse(error, unrouted.protocol, family, unrouted.service, incoming)
        except (ApiError, BadValue, Refused) as failure:
            protocol, family, service = _tongue(claim, route)
            error = _as_api_error(failure, family)
            outgoing = self._refuse(error, protocol, family, service, incoming)
        except Exception:
            action = f"{route.service.name}:{route.action}" if route is not None else incoming.path
            log.exception("request %s failed inside: %s", incoming.request_id, action)
            protocol, family, service = _tongue(claim, route)
            error = InternalError()
            outgoing = self._refuse(error, protocol, family, service, incoming)
        if self._finish is not None:
            exchange = Exchange(claim, route, request, identity, incoming, outgoing, error)
            outgoing = await self._finish(exchange)
        self._audit(claim, route, request, identity, incoming, outgoing, error, result)
        return outgoing

    async def _parse(self, route: Route, identity: Identity, incoming: Incoming) -> Request:
        operation = route.operation
        if operation is None:
            params: dict[str, Any] = {**route.labels}
        else:
            if _is_empty(incoming.stream):
                pass
            elif isinstance(incoming.stream, BodyReader) and not operation.streams_input:
                incoming = _with_body(incoming, await incoming.stream.read_all(route.service.body_limit))
            elif incoming.body and "content-encoding" in incoming.headers:
                coding = incoming.headers["content-encoding"]
                incoming = _with_body(incoming, inflated(incoming.body, coding, INFLATED_LIMIT))
            params = protocols.codec(operation, route.protocol).parse(incoming, route.form, route.labels)
        return Request(
            route.service,
            operation,
            route.action,
            params,
            identity,
            incoming,
            self.region,
            route.version,
            route.protocol,
        )

    def _serialize(self, route: Route, result: Any, incoming: Incoming) -> Outgoing:
        if isinstance(result, Outgoing):
            return result
        assert route.operation is not None, "a raw route answers with an Outgoing"
        codec = protocols.codec(route.operation, route.protocol)
        return codec.serialize(result, incoming.request_id, route.version)

    def _refuse(
        self, error: ApiError, protocol: str, family: str, service: Service | None, incoming: Incoming
    ) -> Outgoing:
        return errors.render(
            error, protocol, family, service.model if service is not None else None, incoming.request_id,
            host_id(incoming.request_id), incoming.method == "HEAD",
        )  # fmt: skip

    def _audit(
        self, claim: Claim, route: Route | None, request: Request | None, identity: Identity, incoming: Incoming,
        outgoing: Outgoing, error: ApiError | None, result: Any,
    ) -> None:  # fmt: skip
        self._environment.audit(
            AuditRecord(
                route.service.name if route is not None else claim.service or "",
                route.action if route is not None else "",
                incoming.request_id, identity, incoming.remote, incoming.headers.get("user-agent", ""), incoming.now,
                self.clock() - incoming.now, outgoing.status,
                error.code if error is not None else None, error.text if error is not None else None,
                request.params if request is not None else None, result,
            )
        )  # fmt: skip


def host_id(request_id: str) -> str:
    """S3's second request id, x-amz-id-2: opaque, and derived from the first so that a log needs only one."""
    return base64.b64encode(hashlib.blake2b(request_id.encode(), digest_size=48).digest()).decode("ascii")


def _with_body(incoming: Incoming, body: bytes) -> Incoming:
    return Incoming(
        incoming.method, incoming.path, incoming.query, incoming.headers, body, None, incoming.host, incoming.scheme,
        incoming.remote, incoming.now, incoming.request_id,
    )  # fmt: skip


def _is_empty(stream: Reader | None) -> bool:
    """Whether there is nothing to read and nothing to check: a body that was never sent, under no hash or that of nothing."""
    return stream.__class__ is RawReader and stream is not None and stream.length == 0


def _family(protocol: str) -> str:
    return {"ec2": "ec2", "query": "query", "rest-xml": "s3"}.get(protocol, "json")


def _tongue(claim: Claim, route: Route | None) -> tuple[str, str, Service | None]:
    """(protocol, family, service) in which an error is to be told."""
    if route is not None:
        family = route.service.family
        # A service that speaks several protocols words its errors as the protocol does.
        if route.protocol in ("json", "smithy-rpc-v2-cbor", "rest-json"):
            family = "json"
        return route.protocol, family, route.service
    return claim.protocol, _family(claim.protocol), None


def _as_api_error(failure: ApiError | BadValue | Refused, family: str) -> ApiError:
    if isinstance(failure, Refused):
        return refusal(failure, family)
    if isinstance(failure, BadValue):
        return errors.reworded(failure, family)
    return failure
