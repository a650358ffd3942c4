"""An agent's two verbs (and its plain reads) as an HTTPS server with mutual TLS.

`PUT /v1/spec` takes a spec, `GET /v1/status?boot=&revision=&wait=` long-polls, `GET /v1/read/<name>/<id>` are the plain
reads. Who may call is decided by the role in the caller's certificate; without TLS (tests on loopback) nobody is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from eucapy.http import Limits, Site
from eucapy.pki import role_of
from eucapy.wire import codec
from eucapy.wire.contract import Agent, Cursor, Spec, Unreachable
from eucapy.wire.flows import FlowReads, ZoneFlowReads
from eucapy.wire.node import NodeReads

LONGEST_WAIT_S = 60.0
LARGEST_SPEC_BYTES = 256 * 1024 * 1024
MOST_CONSOLE_BYTES = 1 << 20
SPEC_S = 120.0
"""How long a spec may be on its way."""

FILES = "/v1/file/"

Read = Callable[[str, Mapping[str, str]], Awaitable[object]]


@dataclass(frozen=True)
class Files:
    """Files that callers of these roles may fetch: `find` tells where the one of this owner and name is, or raises
    LookupError."""

    callers: frozenset[str]
    find: Callable[[str, str], Path]


def application(
    agent: Agent[Any, Any],
    spec_kind: type[Spec],
    callers: frozenset[str],
    reads: Mapping[str, Read] | None = None,
    files: Files | None = None,
) -> web.Application:
    """The HTTP face of an agent. `callers` are the roles that may use it; `reads` its plain calls by name; `files` what it
    gives away whole, to a role of its own."""

    async def put_spec(request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(SPEC_S):
                content = await request.read()
            spec = codec.decode(content, spec_kind)
        except TimeoutError:
            return web.Response(status=408, text="the spec came too slowly", headers={"Connection": "close"})
        except codec.BadMessage as error:
            return web.Response(status=400, text=str(error))
        return _json(await agent.put_spec(spec))

    async def get_status(request: web.Request) -> web.Response:
        try:
            since, wait_s = cursor_of(request.query)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return _json(await agent.get_status(since, wait_s))

    async def read(request: web.Request) -> web.Response:
        call = (reads or {}).get(request.match_info["name"])
        if call is None:
            return web.Response(status=404, text="no such read")
        try:
            return _json(await call(request.match_info["id"], request.query))
        except LookupError as error:
            return web.Response(status=404, text=str(error))
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        except Unreachable as error:
            return web.Response(status=502, text=str(error))

    async def file(request: web.Request) -> web.StreamResponse:
        if files is None:
            return web.Response(status=404, text="no files here")
        try:
            return web.FileResponse(files.find(request.match_info["of"], request.match_info["name"]))
        except LookupError as error:
            return web.Response(status=404, text=str(error))

    others = {FILES: files.callers} if files is not None else {}
    app = web.Application(client_max_size=LARGEST_SPEC_BYTES, middlewares=[only_roles(callers, others)])
    app.router.add_put("/v1/spec", put_spec)
    app.router.add_get("/v1/status", get_status)
    app.router.add_get("/v1/read/{name}/{id}", read)
    app.router.add_get(FILES + "{of}/{name}", file)
    return app


def cursor_of(query: Mapping[str, str]) -> tuple[Cursor, float]:
    """What a long poll has seen, and how long it waits at most, in seconds. Raises ValueError."""
    since = Cursor(boot=query.get("boot", ""), revision=int(query.get("revision", "0")))
    wait_s = float(query.get("wait", "0"))
    if not wait_s >= 0:
        raise ValueError("wait is a number of seconds")
    return since, min(LONGEST_WAIT_S, wait_s)


def console_reads(agent: NodeReads) -> dict[str, Read]:
    """The plain reads of a node, or of a zone's nodes, by name."""

    async def console(instance_id: str, query: Mapping[str, str]) -> object:
        return await agent.console(instance_id, min(MOST_CONSOLE_BYTES, int(query.get("max_bytes", "65536"))))

    async def screenshot(instance_id: str, query: Mapping[str, str]) -> object:
        return await agent.screenshot(instance_id)

    async def sensors(instance_id: str, query: Mapping[str, str]) -> object:
        return await agent.sensors(instance_id)

    return {"console": console, "screenshot": screenshot, "sensors": sensors}


def flow_reads(agent: FlowReads) -> dict[str, Read]:
    """The plain read of a network agent, by name."""

    async def flows(after: str, query: Mapping[str, str]) -> object:
        return await agent.flows(int(after))

    return {"flows": flows}


def zone_flow_reads(agent: ZoneFlowReads) -> dict[str, Read]:
    """The same of a zone's nodes, which are asked by name."""

    async def flows(node: str, query: Mapping[str, str]) -> object:
        return await agent.flows(node, int(query.get("after", "0")))

    return {"flows": flows}


def caller_role(request: web.BaseRequest) -> str | None:
    """The role in the caller's certificate; None on a connection without TLS."""
    transport = request.transport
    if transport is None or transport.get_extra_info("ssl_object") is None:
        return None
    return role_of(transport.get_extra_info("peercert"))


def only_roles(callers: frozenset[str], others: Mapping[str, frozenset[str]] | None = None) -> Any:
    """Middleware: refuse a caller whose certificate has another role (403); `others` are the roles for paths that begin so.
    Plain HTTP carries no roles and passes: it is only ever bound by tests and the one-process cloud."""

    @web.middleware
    async def check(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
        role = caller_role(request)
        allowed = next((roles for path, roles in (others or {}).items() if request.path.startswith(path)), callers)
        if role is not None and role not in allowed:
            return web.Response(status=403, text=f"{role or 'nobody'} may not call this")
        return await handler(request)

    return check


class Listener:
    """A bound HTTP(S) server; `async with` it, or call `start` and `stop`."""

    def __init__(
        self,
        app: web.Application,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        limits: Limits = Limits(),  # noqa: B008 - immutable
    ) -> None:
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0, keepalive_timeout=limits.idle_s
        )
        self._host, self._port, self._tls, self._limits = host, port, tls, limits

    async def start(self) -> int:
        """Returns the port bound (the given one, or the kernel's choice for 0)."""
        await self._runner.setup()
        site = Site(self._runner, self._host, self._port, self._limits, self._tls)
        await site.start()
        self._port = site.port
        return self._port

    async def stop(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._runner.cleanup()


def _json(message: object) -> web.Response:
    return web.Response(body=codec.encode(message), content_type="application/json")
