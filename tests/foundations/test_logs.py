"""Logs say what went wrong with us, and nobody else decides what is in them."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from eucapy import logs
from eucapy.http import Limits, Server, listen, listening_socket


async def said(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_what_is_no_http_is_refused_and_fills_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    async def fails(request: web.BaseRequest) -> web.StreamResponse:
        raise RuntimeError("a defect")

    logs.setup("test", "warning")
    server = Server(fails, Limits())
    listener = listening_socket("127.0.0.1", 0, Limits())
    port = listener.getsockname()[1]
    serving = await listen(server, listener, Limits())
    try:
        for gibberish in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\nX-Secret: hush\x00hush\r\n\r\n"):
            assert b" 400 " in (await said(port, gibberish)).splitlines()[0]
        assert capsys.readouterr().err == ""
        await said(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        (line,) = capsys.readouterr().err.splitlines()
        assert "a defect" in json.loads(line)["error"], "our own errors are told all the same"
    finally:
        serving.close()
        await server.shutdown()
