"""Components that stop in the middle: of a handshake, of a head, of a spec. None of them keeps a port from the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eucapy import pki
from eucapy.http import Limits
from eucapy.wire import server
from eucapy.wire.node import NodeSpec
from eucapy.wire.server import Listener, application
from tests.wire.test_https import SmallAgent


@contextlib.asynccontextmanager
async def listening(folder: Path, limits: Limits, *, tls: bool = False) -> AsyncIterator[int]:
    agent = application(SmallAgent(folder), NodeSpec, frozenset({"cc"}))
    if tls:
        pki.Authority.ensure(folder).issue("nc")
    listener = Listener(agent, "127.0.0.1", 0, pki.server_context(folder, "nc") if tls else None, limits)
    try:
        yield await listener.start()
    finally:
        await listener.stop()


async def said(port: int, what: bytes) -> bytes:
    """All that comes back until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(what)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_half_a_handshake_and_half_a_head_are_hung_up_on(tmp_path: Path) -> None:
    async with listening(tmp_path, Limits(handshake_s=0.2), tls=True) as port:
        assert await said(port, b"\x16\x03\x01") == b""
    async with listening(tmp_path, Limits(idle_s=0.2)) as port:
        assert await said(port, b"PUT /v1/spec HT") == b""


async def test_half_a_spec_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SPEC_S", 0.2)
    async with listening(tmp_path, Limits()) as port:
        head = b"PUT /v1/spec HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        assert (await said(port, head + b"{")).startswith(b"HTTP/1.1 408 ")


async def test_a_spec_larger_than_any_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LARGEST_SPEC_BYTES", 1 << 20)
    async with listening(tmp_path, Limits()) as port:
        head = b"PUT /v1/spec HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000000\r\n\r\n"
        assert (await said(port, head + bytes(2_000_000))).startswith(b"HTTP/1.1 413 ")
