"""The port for components and the operator: JSON over HTTPS with mutual TLS, the caller's role decides.

GET  /admin/status                                    POST /admin/accounts {name}
GET  /admin/accounts · /admin/users · /admin/components    POST /admin/users {account, name, policy}
POST /admin/accounts/delete {name, recursive}              POST /admin/accounts/limits {account, name, document}
POST /admin/explain {who, account, action, resource, keys}  POST /admin/network/explain {source, target, protocol, port}
POST /admin/network/draw {vpc, protocol, port}
GET  /internal/credentials/<access key> (walrus)      POST /admin/keys {account, user}
GET  /internal/credentials?boot=&revision=&wait=      POST /admin/components {kind, name, zone, url, …}
     (walrus; a long poll of how often keys changed)  POST /internal/uses [{key, holder, role, at}] (walrus)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from eucapy.aws.refusals import Refused as Unaccepted
from eucapy.clc import explaining, reach_facts, reach_picture, request_keys
from eucapy.clc.authenticate import Keys
from eucapy.clc.context import Principal
from eucapy.clc.limits import Limits, told
from eucapy.clc.operations import Operations, Refused
from eucapy.clc.reconcilers.key_use import KeyUse, Use
from eucapy.clc.standing import Standings, parent_of
from eucapy.clc.store import accounts, hosts, snapshots
from eucapy.database import Database, Tx
from eucapy.http import BODY_S
from eucapy.reconcile.loop import Loops
from eucapy.wire.server import caller_role, cursor_of, only_roles

Work = Callable[[Tx], Awaitable[Any]]


class OperatorPort:
    """Makes the application. `changed` is called after changes of what principals may; `buckets` tells how many an account has,
    by its canonical id (LookupError)."""

    def __init__(
        self,
        database: Database,
        operations: Operations,
        keys: Keys,
        standings: Standings,
        limits: Limits,
        key_use: KeyUse,
        buckets: Callable[[str], Awaitable[int]],
        changed: Callable[[], None],
        loops: Loops,
        wake_all: Callable[[], None],
    ) -> None:
        self._database, self._operations, self._keys, self._standings = database, operations, keys, standings
        self._loops, self._wake_all, self._changed, self._limits = loops, wake_all, changed, limits
        self._key_use, self._buckets = key_use, buckets

    def application(self) -> web.Application:
        app = web.Application(middlewares=[only_roles(frozenset({"admin", "walrus"})), _admin_paths, _refusals])
        route = app.router
        route.add_get("/admin/status", self._status)
        route.add_get("/admin/accounts", self._reading("accounts", self._operations.list_accounts))
        route.add_get("/admin/users", self._reading("users", self._operations.list_users))
        route.add_get("/admin/components", self._reading("components", self._operations.list_components))
        route.add_post("/admin/accounts", self._create_account)
        route.add_post("/admin/accounts/delete", self._delete_account)
        route.add_post("/admin/accounts/limits", self._account_limits)
        route.add_post("/admin/explain", self._explain)
        route.add_post("/admin/network/explain", self._explain_way)
        route.add_post("/admin/network/draw", self._draw)
        route.add_post("/admin/users", self._create_user)
        route.add_post("/admin/keys", self._create_key)
        route.add_post("/admin/components", self._register)
        route.add_get("/internal/credentials/{key}", self._credentials)
        route.add_get("/internal/credentials", self._changes)
        route.add_post("/internal/uses", self._uses)
        return app

    def _reading(self, name: str, work: Work) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response({name: await self._database.read(work)})

        return answer

    async def _create_account(self, request: web.Request) -> web.Response:
        body = await _body(request)
        answer = await self._database.write(lambda tx: self._operations.create_account(tx, str(body.get("name") or "")))
        return web.json_response(answer)

    async def _delete_account(self, request: web.Request) -> web.Response:
        body = await _body(request)
        name, recursive = str(body.get("name") or ""), bool(body.get("recursive"))
        await self._refuse_with_buckets(name)
        answer = await self._database.write(lambda tx: self._operations.delete_account(tx, name, recursive))
        self._changed()
        return web.json_response(answer)

    async def _refuse_with_buckets(self, name: str) -> None:
        account = await self._database.read(lambda tx: accounts.by_name(tx, name))
        try:
            held = account is not None and await self._buckets(account.canonical_id)
        except LookupError as error:
            raise Refused(503, f"the object store does not say whether {name} has buckets") from error
        if held:
            raise Refused(409, f"the account {name} still has buckets")

    async def _account_limits(self, request: web.Request) -> web.Response:
        """With a document the account policy is put; with an empty one removed; without a name all are listed."""
        body = await _body(request)
        account, name, document = (str(body.get(m) or "") for m in ("account", "name", "document"))
        answer = await self._database.write(lambda tx: self._operations.account_limits(tx, account, name, document))
        self._changed()
        return web.json_response(answer)

    async def _explain(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return web.json_response(await self._database.read(lambda tx: explaining.explain(tx, self._standings, body)))

    async def _explain_way(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return web.json_response(await self._database.read(lambda tx: reach_facts.explain(tx, body)))

    async def _draw(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return web.json_response(await self._database.read(lambda tx: reach_picture.draw(tx, body)))

    async def _create_user(self, request: web.Request) -> web.Response:
        body = await _body(request)
        account, name, policy = (str(body.get(m) or "") for m in ("account", "name", "policy"))
        return web.json_response(
            await self._database.write(lambda tx: self._operations.create_user(tx, account, name, policy))
        )

    async def _create_key(self, request: web.Request) -> web.Response:
        body = await _body(request)
        account, user = str(body.get("account") or ""), str(body.get("user") or "")
        return web.json_response(await self._database.write(lambda tx: self._operations.create_key(tx, account, user)))

    async def _register(self, request: web.Request) -> web.Response:
        body = await _body(request)
        answer = await self._database.write(lambda tx: self._operations.register(tx, body))
        self._wake_all()
        return web.json_response(answer)

    async def _credentials(self, request: web.Request) -> web.Response:
        """For walrus: the key's secret and whom it belongs to; a temporary key comes with its session token."""
        token = request.headers.get("X-Amz-Security-Token")
        try:
            credential = await self._keys.find(request.match_info["key"], token)
        except Unaccepted as refused:
            return web.json_response({"refused": refused.reason})
        if credential is None or not isinstance(credential.principal, Principal):
            return web.Response(status=404, text="no such key")
        principal = credential.principal
        standing = await self._standings.of(principal)
        return web.json_response(
            {
                "secret": credential.secret,
                "account_id": principal.account,
                "user_arn": principal.arn,
                "canonical_id": principal.canonical_id,
                "allow_all": standing.unlimited,
                "policies": None if standing.unlimited else standing.told(),
                "facts": request_keys.of_principal(principal),
                "mfa_at": principal.session.mfa_at if principal.session is not None else None,
                "parent": parent_of(principal),
                "limits": told(await self._limits.of(principal.account)),
                "active": credential.active,
                "kind": principal.kind,
                "lasting_arn": principal.lasting_arn,
                "unique_id": principal.unique_id,
                "holder": principal.user_id,
                "expires": credential.expires,
            }
        )

    async def _changes(self, request: web.Request) -> web.Response:
        """For walrus: answers when keys have changed since what it has seen."""
        try:
            since, wait_s = cursor_of(request.query)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        found = await self._keys.changed(since, wait_s)
        return web.json_response({"boot": found.boot, "revision": found.revision})

    async def _uses(self, request: web.Request) -> web.Response:
        """From walrus: when keys were used there."""
        try:
            async with asyncio.timeout(BODY_S):
                uses = msgspec.json.decode(await request.read(), type=list[Use])
        except TimeoutError as error:
            raise Refused(408, "the body came too slowly") from error
        except msgspec.MsgspecError as error:
            raise Refused(400, f"the body is no list of uses: {error}") from error
        self._key_use.told(uses)
        return web.Response(status=204)

    async def _status(self, request: web.Request) -> web.Response:
        async def work(tx: Tx) -> dict[str, Any]:
            registered = await self._operations.list_components(tx)
            seen = await hosts.by_names(tx, [c["name"] for c in registered if c["kind"] == "nc"])
            kept = await snapshots.archives(tx)
            return {
                "components": registered,
                "archives": kept,
                "hosts": {name: dict(row._mapping) for name, row in seen.items()},
            }

        found = await self._database.read(work)
        loops = [
            {
                "loop": loop.name,
                "state": "failing" if loop.last is not None and loop.last.error else "well",
                "last": _when(loop.last.at) if loop.last is not None else "never",
                "took_ms": round(loop.last.took_s * 1000, 1) if loop.last is not None else 0.0,
                "error": loop.last.error if loop.last is not None else "",
            }
            for loop in self._loops.all()
        ]
        failing = {str(loop["loop"]): str(loop["error"]) for loop in loops if loop["error"]}
        nodes = [
            {
                "node": name,
                "zone": row["zone"],
                "state": _node_state(row),
                "cpus": row["cpus"],
                "memory_mib": row["memory_mib"],
                "disk_free_gib": row["disk_free_gib"],
                "accelerated": row["accelerated"],
                "fault": row["fault"],
            }
            for name, row in sorted(found["hosts"].items())
        ]
        up = {node["node"]: node["state"] for node in nodes}
        components = [
            {
                "kind": c["kind"],
                "name": c["name"],
                "zone": c["zone"],
                "state": up.get(c["name"], "unknown") if c["kind"] == "nc" else _controller(c, nodes, failing),
                "url": c["url"],
            }
            for c in found["components"]
        ]
        return web.json_response(
            {"components": components, "nodes": nodes, "archives": found["archives"], "loops": loops}
        )


def _node_state(row: dict[str, Any]) -> str:
    """`starting` until the node has said what it has to give: before that nothing can be placed on it."""
    if not row["reachable"] or row["fault_code"]:
        return "down"
    return "up" if row["memory_mib"] else "starting"


def _controller(component: dict[str, Any], nodes: list[dict[str, Any]], failing: dict[str, str]) -> str:
    """A cluster controller is up when it was last heard of without error; so is a storage controller."""
    loop = "cluster_sync" if component["kind"] == "cc" else "storage_sync"
    return "down" if component["zone"] in failing.get(loop, "") or failing.get(loop) else "up"


@web.middleware
async def _admin_paths(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """`/admin/` is the operator's alone, `/internal/` walrus's."""
    role = caller_role(request)
    wanted = "walrus" if request.path.startswith("/internal/") else "admin"
    if role is not None and role != wanted:
        return web.Response(status=403, text=f"{role} may not call this")
    return await handler(request)


@web.middleware
async def _refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return web.json_response({"message": str(refused)}, status=refused.status)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        async with asyncio.timeout(BODY_S):
            body = await request.json()
    except TimeoutError as error:
        raise Refused(408, "the body came too slowly") from error
    except ValueError as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused(400, "the body is not a JSON object")
    return body


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
