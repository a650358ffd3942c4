"""The contract over real HTTPS: only a component of this cloud, in the right role, is listened to."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from eucapy import pki
from eucapy.wire.agent import SpecKeeper, StatusBoard
from eucapy.wire.client import AgentClient, Caller
from eucapy.wire.contract import Ack, Cursor, Refused, Unreachable
from eucapy.wire.node import NodeSpec, NodeStatus
from eucapy.wire.server import Listener, application


class SmallAgent:
    """The two halves of every agent, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.woken = 0
        self.keeper = SpecKeeper(folder / "spec.json", NodeSpec, self._wake)
        self.board = StatusBoard(NodeStatus(boot="", revision=0, generation=0, node="n1"))

    def _wake(self) -> None:
        self.woken += 1

    async def put_spec(self, spec: NodeSpec) -> Ack:
        return self.keeper.accept(spec)

    async def get_status(self, since: Cursor, wait_s: float) -> NodeStatus:
        return await self.board.wait(since, wait_s)


class Served:
    """The agent behind HTTPS."""

    def __init__(self, folder: Path) -> None:
        self.pki = folder / "pki"
        authority = pki.Authority.ensure(self.pki)
        for role in ("nc", "cc", "sc"):
            authority.issue(role)
        self.agent = SmallAgent(folder)
        self.url = ""

    def client(self, role: str) -> tuple[Caller, AgentClient[NodeSpec, NodeStatus]]:
        caller = Caller(pki.client_context(self.pki, role), timeout_s=5)
        return caller, AgentClient(caller, self.url, NodeStatus)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    tls = pki.server_context(made.pki, "nc")
    listener = Listener(application(made.agent, NodeSpec, frozenset({"cc"})), "127.0.0.1", 0, tls)
    made.url = f"https://127.0.0.1:{await listener.start()}"
    yield made
    await listener.stop()


async def test_a_spec_goes_down_and_a_status_comes_up(served: Served) -> None:
    caller, client = served.client("cc")
    assert await client.put_spec(NodeSpec(generation=1, node="n1")) == Ack(generation=1)
    assert (await client.put_spec(NodeSpec(generation=0, node="n1"))).refused is Refused.STALE
    assert served.agent.woken == 1
    status = await client.get_status(Cursor(), 0)
    assert (status.node, status.revision) == ("n1", 1)
    await caller.close()


async def test_a_long_poll_sleeps_until_there_is_news(served: Served) -> None:
    caller, client = served.client("cc")
    first = await client.get_status(Cursor(), 0)
    waiting = asyncio.create_task(client.get_status(first.cursor, 30))
    await client.put_spec(NodeSpec(generation=1, node="n1"))
    assert not waiting.done()
    served.agent.board.publish(NodeStatus(boot="", revision=0, generation=1, node="n1"))
    assert (await waiting).generation == 1
    await caller.close()


async def test_another_role_is_refused(served: Served) -> None:
    caller, client = served.client("sc")
    with pytest.raises(Unreachable, match="403"):
        await client.put_spec(NodeSpec(generation=1, node="n1"))
    assert served.agent.keeper.spec is None
    await caller.close()


async def test_a_stranger_without_a_certificate_does_not_get_through(served: Served) -> None:
    context = ssl.create_default_context(cafile=str(served.pki / "ca.pem"))
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises((aiohttp.ClientError, OSError)):
            async with session.get(f"{served.url}/v1/status") as answer:
                await answer.read()


async def test_a_certificate_of_another_cloud_does_not_count(served: Served, tmp_path: Path) -> None:
    other = tmp_path / "other"
    pki.Authority.ensure(other).issue("cc")
    caller = Caller(pki.client_context(other, "cc"), timeout_s=5)
    with pytest.raises(Unreachable):
        await AgentClient(caller, served.url, NodeStatus).get_status(Cursor(), 0)
    await caller.close()


async def test_a_message_with_an_unknown_member_is_refused(served: Served) -> None:
    caller, _client = served.client("cc")
    with pytest.raises(Unreachable, match="400"):
        await caller.call("PUT", f"{served.url}/v1/spec", Ack, b'{"generation":1,"node":"n","surprise":1}')
    await caller.close()


async def test_the_spec_is_on_disk_before_it_is_acknowledged(served: Served, tmp_path: Path) -> None:
    caller, client = served.client("cc")
    await client.put_spec(NodeSpec(generation=4, node="n1"))
    assert SmallAgent(tmp_path).keeper.generation == 4
    await caller.close()


class FullDisk(SmallAgent):
    """Its ledger cannot be written."""

    async def put_spec(self, spec: NodeSpec) -> Ack:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("kind", ["something else", "an agent whose disk is full"])
async def test_whoever_cannot_take_a_spec_is_unreachable_and_no_error_of_ours(tmp_path: Path, kind: str) -> None:
    """What answers at the address is not an agent, or cannot write its ledger: one such node keeps no other."""
    agent = application(FullDisk(tmp_path), NodeSpec, frozenset({"cc"}))
    listener = Listener(web.Application() if kind == "something else" else agent, "127.0.0.1", 0)
    caller = Caller(timeout_s=5)
    client = AgentClient(caller, f"http://127.0.0.1:{await listener.start()}", NodeStatus)
    with pytest.raises(Unreachable):
        await client.put_spec(NodeSpec(generation=1, node="n1"))
    if kind == "something else":
        with pytest.raises(Unreachable):
            await client.get_status(Cursor(), 0)
    else:
        assert (await client.get_status(Cursor(), 0)).generation == 0
    await caller.close()
    await listener.stop()
