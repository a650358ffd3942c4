"""No client holds a server up: whoever says nothing, half a head, half a body, takes no answer or comes too often."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from eucapy import http, pki
from eucapy.http import Limits, Server, Site
from tests.harness.waiting import until

ANSWER = b"HTTP/1.1 200"
LARGE = bytes(64 << 20)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/large":
        return web.Response(body=LARGE)
    return web.Response(text="hello")


@contextlib.asynccontextmanager
async def served(limits: Limits, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Server, int]]:
    server = Server(hello, limits)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = Site(runner, "127.0.0.1", 0, limits, tls)
    await site.start()
    try:
        yield server, site.port
    finally:
        await runner.cleanup()


class Client:
    """A connection that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, what: bytes = GET) -> bytes:
        """The beginning of the answer; b"" when the server hung up."""
        self.writer.write(what)
        try:
            return await self.reader.read(len(ANSWER))
        except ConnectionError:
            return b""

    async def ended(self) -> bool:
        """Returns when the server has hung up."""
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass
        return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    made = Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_head_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    async with served(Limits(idle_s=0.2)) as (server, port), client(port) as slow:
        slow.writer.write(sent)
        assert await slow.ended()
        await until(lambda: server.open_connections == 0)


async def test_a_head_that_trickles_in_ends_the_connection_too() -> None:
    async with served(Limits(idle_s=0.3)) as (_server, port), client(port) as slow:

        async def trickle() -> None:
            slow.writer.write(b"GET / HTTP/1.1\r\n")
            while True:
                slow.writer.write(b"X-Slow: 1\r\n")
                await asyncio.sleep(0.02)

        trickling = asyncio.create_task(trickle())
        assert await slow.ended()
        trickling.cancel()


async def test_a_connection_that_was_used_is_kept_for_a_while_and_then_ended() -> None:
    async with served(Limits(idle_s=0.3)) as (_server, port), client(port) as one:
        assert await one.ask() == ANSWER
        assert await one.ended()


async def test_who_does_not_take_the_answer_is_let_go() -> None:
    async with served(Limits(untaken_s=0.5)) as (server, port):
        with socket.socket() as greedy:
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            greedy.connect(("127.0.0.1", port))
            greedy.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: server.requests_count == 1, limit_s=60)
            await until(lambda: server.open_connections == 0, limit_s=60)


async def test_past_the_limit_the_one_that_waits_makes_room_and_who_is_served_stays() -> None:
    async with served(Limits(most=2)) as (server, port), contextlib.AsyncExitStack() as stack:
        silent = await stack.enter_async_context(client(port))
        await until(lambda: server.open_connections == 1)
        for _ in range(5):
            assert await (await stack.enter_async_context(client(port))).ask() == ANSWER
        assert await silent.ended()
        assert server.open_connections == 2


async def test_one_address_has_no_more_than_its_share() -> None:
    async with served(Limits(most_of_one=2)) as (server, port), contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(client(port))
        second = await stack.enter_async_context(client(port))
        assert [await one.ask() for one in (first, second)] == [ANSWER, ANSWER]
        assert await (await stack.enter_async_context(client(port))).ask() == b""
        await first.close()
        await until(lambda: server.open_connections == 1)
        assert await (await stack.enter_async_context(client(port))).ask() == ANSWER


async def test_a_handshake_that_does_not_go_on_ends_the_connection(tmp_path: Path) -> None:
    authority = pki.Authority.ensure(tmp_path)
    authority.issue("clc", "clc", ["127.0.0.1"])
    tls = pki.server_context(tmp_path, "clc")
    async with served(Limits(handshake_s=0.2), tls) as (_server, port), client(port) as silent:
        assert await silent.ended()


async def test_a_head_too_large_is_refused_and_another_is_answered() -> None:
    async with served(Limits()) as (_server, port):
        long_line = b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n"
        long_header = b"GET / HTTP/1.1\r\nX-A: " + b"a" * 20000 + b"\r\n\r\n"
        many_headers = b"GET / HTTP/1.1\r\n" + b"X-A: 1\r\n" * 5000 + b"\r\n"
        for head in (long_line, long_header, many_headers):
            async with client(port) as rude:
                assert (await rude.ask(head)).split(b" ")[1] == b"400"
        async with client(port) as polite:
            assert await polite.ask() == ANSWER


def test_a_process_may_open_as_many_files_as_the_system_lets_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        http.allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, http.OPEN_FILES) or hard == -1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
