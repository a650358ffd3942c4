"""May this principal do that? Every request to the cloud controller is asked here, before its handler.

    declaration of the operation ─► asks: action on resource ─► rows say which and what they are ─► policies ─► yes, or why not

An administrator (all allowed, nothing denied, no boundary) passes at once. For everybody else each of the declaration's asks
must be allowed, the operation's own first; rows are read only where a policy speaks of what they say. The object store decides
for itself, by the same engine and with the same powers: `eucapy/walrus/access.py`.

`sts:GetCallerIdentity` needs no permission, as in AWS.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from eucapy.aws.chain import Request
from eucapy.aws.evaluation import evaluate
from eucapy.clc import actions, refusing, request_keys, resource_facts
from eucapy.clc.actions import Ask, Scope
from eucapy.clc.context import USER, Principal
from eucapy.clc.refusing import Messages
from eucapy.clc.standing import Standing, Standings, question
from eucapy.database import Database, Tx
from eucapy.errors import ApiError

Effective = Callable[[Tx, Request], Awaitable[Mapping[str, Any]]]
"""The parameters of a request as they will be carried out."""


class Authority:
    """Decides. `effective`: for operations whose parameters are not all in the request, by "service:operation"."""

    def __init__(
        self,
        database: Database,
        standings: Standings,
        messages: Messages,
        now: Callable[[], float],
        effective: Mapping[str, Effective],
    ) -> None:
        self._database, self._standings, self._messages = database, standings, messages
        self._now, self._effective = now, effective

    async def authorize(self, request: Request) -> None:
        """Raises UnauthorizedOperation (EC2) or AccessDenied."""
        service, operation = request.service.name, request.action
        declaration = actions.declared(service, operation)
        if declaration is not None and declaration.free:
            return
        principal = request.identity.principal
        if not isinstance(principal, Principal) or declaration is None:
            raise refusing.refusal(request.service.family, _nobody(request))
        if declaration.decides_itself:
            return
        standing = await self._standings.of(principal)
        if standing.unlimited:
            return
        scope = scope_of(principal, request.region)
        merge = self._effective.get(f"{service}:{operation}")
        asks = declaration.asks(service, operation, request.params, scope)
        if merge is None and all(ask.touched is None for ask in asks):
            keys = request_keys.of(request, self._now())
            for ask in asks:
                self._decide(request, principal, standing, ask, None, {**keys, **ask.facts})
            return

        async def by_rows(tx: Tx) -> None:
            wanted = asks
            if merge is not None:
                wanted = declaration.asks(service, operation, await _merged(tx, request, merge), scope)
            await self._by_rows(tx, request, principal, standing, scope, wanted)

        await self._database.read(by_rows)

    async def confirm(self, tx: Tx, request: Request) -> None:
        """Ask again, in the transaction of the handler, where the parameters are not all in the request: what they come from
        (a launch template) may have changed since. Raises as `authorize`."""
        service, operation = request.service.name, request.action
        merge = self._effective.get(f"{service}:{operation}")
        declaration, principal = actions.declared(service, operation), request.identity.principal
        if merge is None or declaration is None or not isinstance(principal, Principal):
            return
        standing = await self._standings.within(tx, principal)
        if standing.unlimited:
            return
        scope = scope_of(principal, request.region)
        wanted = declaration.asks(service, operation, await _merged(tx, request, merge), scope)
        await self._by_rows(tx, request, principal, standing, scope, wanted)

    async def _by_rows(
        self, tx: Tx, request: Request, principal: Principal, standing: Standing, scope: Scope, asks: list[Ask]
    ) -> None:
        keys = {**request_keys.of(request, self._now()), "aws:resourceaccount": scope.account}
        for ask in asks:
            meant = [None] if ask.touched is None else await resource_facts.resolved(tx, scope, ask.touched)
            for touched in meant:
                found = (
                    {}
                    if touched is None
                    else await resource_facts.of(tx, scope, touched, standing.powers.keys(ask.action))
                )
                resource = None if touched is None else touched.arn(scope)
                said = await resource_facts.completed(tx, scope, {**found, **ask.facts})
                self._decide(request, principal, standing, ask, resource, {**keys, **said})

    def _decide(
        self,
        request: Request,
        principal: Principal,
        standing: Standing,
        ask: Ask,
        resource: str | None,
        keys: Mapping[str, Any],
    ) -> None:
        verdict = evaluate(standing.powers, question(principal, ask.action, resource or "*", keys))
        if verdict.allowed:
            return
        family, encoded = request.service.family, ""
        if family == "ec2" and resource is not None:
            text = refusing.details(
                principal, ask.action, resource, keys, explicit=verdict.explicit,
                matched=[{"statementId": each.sid, "effect": each.effect.upper(), "sourcePolicyId": each.source}
                         for each in verdict.matched],
            )  # fmt: skip
            encoded = self._messages.encoded(principal.account, text)
        named = resource if resource is not None or family == "ec2" else "*"
        raise refusing.refusal(family, refusing.worded(principal.arn, ask.action, named, verdict.because), encoded)


def _nobody(request: Request) -> str:
    """The refusal of an operation that nobody may call, or that needs somebody."""
    principal = request.identity.principal
    action = f"{request.service.name}:{request.action}"
    arn = principal.arn if isinstance(principal, Principal) else "anonymous"
    return refusing.worded(arn, action, None, f"because no identity-based policy allows the {action} action")


async def _merged(tx: Tx, request: Request, merge: Effective) -> Mapping[str, Any]:
    """The request as it will be carried out. Where that cannot be said (a template that is not there) it is asked as it is:
    who is not allowed shall not learn why it would fail; who is, is told by the handler."""
    try:
        return await merge(tx, request)
    except ApiError:
        return request.params


def scope_of(principal: Principal, region: str) -> Scope:
    user = principal.user_name if principal.kind == USER else ""
    return Scope(principal.account, region, user, principal.path)
