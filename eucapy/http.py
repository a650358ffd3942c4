"""HTTP servers that no client can hold up: every port of every program listens through here.

What a client may not do, and who sees to it:

    connect and say nothing, or send a head byte by byte     `idle_s`: from the connection's begin, or the last answer, on
    begin a TLS handshake and leave it                       `handshake_s`
    stop in the middle of a body                             whoever reads it, with `BODY_S`
    not take the answer                                      `untaken_s`: the kernel ends the connection
    open connections without end                             `most` in all, `most_of_one` of one address

Past the number of connections the one that has waited longest for a request of its own makes room; when all are being
served the new one is turned away. aiohttp itself limits the size of request lines and headers (8 KiB each, 128 headers).
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

log = logging.getLogger(__name__)

BODY_S = 60.0
"""How long a body may come to a standstill."""
BACKLOG = 1024
OPEN_FILES = 65536


class Limits(msgspec.Struct, frozen=True):
    """What a port puts up with; times in seconds."""

    idle_s: float = 75.0
    handshake_s: float = 15.0
    untaken_s: float = 300.0
    most: int = 10_000
    most_of_one: int = 0
    """Of one address; 0: as many as of all, for behind one address may be many users."""


class Server(web.Server):
    """aiohttp's server, with bounds. `options` go to its protocol."""

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        limits: Limits = Limits(),  # noqa: B008 - immutable
        **options: Any,
    ) -> None:
        super().__init__(self._serve, access_log=None, keepalive_timeout=limits.idle_s, **options)
        self._handle = handle
        self._most = min(limits.most, max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
        self._most_of_one = limits.most_of_one
        self._open: dict[RequestHandler, str] = {}
        self._of_one: Counter[str] = Counter()
        self._served: set[RequestHandler] = set()

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        peer = transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else ""
        turned_away = self._most_of_one and self._of_one[address] >= self._most_of_one
        if turned_away or (len(self._open) >= self._most and not self._make_room()):
            log.warning("connection turned away", extra={"data": {"from": address, "open": len(self._open)}})
            transport.abort()
            return
        self._open[handler] = address
        self._of_one[address] += 1

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._forget(handler)

    def _forget(self, handler: RequestHandler) -> None:
        address = self._open.pop(handler, None)
        if address is not None:
            self._of_one[address] -= 1
            if not self._of_one[address]:
                del self._of_one[address]

    def _make_room(self) -> bool:
        """End the oldest connection that is not being served."""
        for handler in self._open:
            if handler not in self._served:
                self._forget(handler)
                if handler.transport is not None:
                    handler.transport.abort()
                return True
        return False

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = request.protocol
        self._served.add(handler)
        try:
            return await self._handle(request)
        finally:
            self._served.discard(handler)


def listening_socket(host: str, port: int, limits: Limits) -> socket.socket:
    """A bound TCP socket whose connections end when the other side takes nothing for `untaken_s`. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound_by(listener, limits)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


def bound_by(listener: socket.socket, limits: Limits) -> None:
    """Give a socket that will listen the kernel's part of the limits."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.untaken_s * 1000))


class Site(web.BaseSite):
    """A runner's place on the network: `await start()`, then `port` is the one bound."""

    def __init__(
        self, runner: web.BaseRunner, host: str, port: int, limits: Limits, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(runner, ssl_context=tls, backlog=BACKLOG)
        self._host, self._limits = host, limits
        self.port = port

    @property
    def name(self) -> str:
        return f"{'http' if self._ssl_context is None else 'https'}://{self._host}:{self.port}"

    async def start(self) -> None:
        """Raises OSError where the address cannot be had."""
        await super().start()
        server = self._runner.server
        assert server is not None
        listener = listening_socket(self._host, self.port, self._limits)
        self.port = int(listener.getsockname()[1])
        self._server = await listen(server, listener, self._limits, self._ssl_context)


async def listen(
    server: web.Server, listener: socket.socket, limits: Limits, tls: ssl.SSLContext | None = None
) -> asyncio.Server:
    """Serve the connections of `listener`, which is ours from now on."""
    return await asyncio.get_running_loop().create_server(
        server,
        sock=listener,
        ssl=tls,
        backlog=BACKLOG,
        ssl_handshake_timeout=limits.handshake_s if tls is not None else None,
    )


def allow_open_files() -> None:
    """As many open files as the system lets this process have: a connection is one, a shell's limit is a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
