"""Snapshots by blocks, as the storage controller gives and takes them: over HTTP, before its spec, after deaths."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eucapy.drivers.block.base import BLOCK_BYTES
from eucapy.sc.app import CALLERS
from eucapy.wire import blocks
from eucapy.wire.blocks import BlockList, Denied
from eucapy.wire.client import Caller, StorageClient
from eucapy.wire.contract import Unreachable
from eucapy.wire.server import Listener, application
from eucapy.wire.storage import Presence, SnapshotSpec, StorageSpec, WrittenSpec
from tests.sc.conftest import Zone

S1, S2 = "snap-0000000000000001", "snap-0000000000000002"


def block(seed: int) -> bytes:
    return random.Random(seed).randbytes(BLOCK_BYTES)


@asynccontextmanager
async def client(zone: Zone) -> AsyncIterator[StorageClient]:
    """A cloud controller's client of the zone, over the network."""
    face = application(zone.agent, StorageSpec, CALLERS)
    blocks.add_routes(face, zone.agent)
    listener, caller = Listener(face, "127.0.0.1", 0), Caller()
    port = await listener.start()
    try:
        yield StorageClient(caller, f"http://127.0.0.1:{port}")
    finally:
        await caller.close()
        await listener.stop()


def sealed(snapshot_id: str, **given: object) -> SnapshotSpec:
    return SnapshotSpec(snapshot_id=snapshot_id, size_gib=1, written=WrittenSpec(sealed=True, **given))  # type: ignore[arg-type]


async def test_blocks_go_over_the_network_and_come_back(zone: Zone) -> None:
    async with client(zone) as storage:
        for index in (0, 1, 300):
            await storage.put_block(S1, index, block(index))
        await zone.want(sealed(S1, blocks=3))
        assert (await zone.settle()).snapshots[S1].presence is Presence.READY
        assert await storage.list_blocks(S1, 0, 2) == BlockList(indexes=(0, 1), next=300)
        assert await storage.read_block(S1, 300) == block(300)
        await storage.put_block(S2, 1, block(9))
        await zone.want(sealed(S1, blocks=3), sealed(S2, parent=S1))
        await zone.settle()
        assert await storage.list_blocks(S2, 0, 100, S1) == BlockList(indexes=(1,), before=(1,))


async def test_what_goes_wrong_is_told_apart(zone: Zone) -> None:
    async with client(zone) as storage:
        for call in (storage.read_block(S1, 0), storage.list_blocks(S1, 0, 1)):
            with pytest.raises(LookupError):
                await call
        with pytest.raises(Denied) as denied:
            await storage.put_block(S1, 0, b"short")
        assert denied.value.code == "InvalidRequest"
        await zone.want(sealed(S1), sealed(S2))
        await zone.settle()
        with pytest.raises(Denied) as denied:
            await storage.put_block(S1, 0, block(0))
        assert denied.value.code == "SnapshotSealed"
        with pytest.raises(Denied) as denied:
            await storage.list_blocks(S1, 0, 1, S2)
        assert denied.value.code == "UnrelatedSnapshots"
    caller = Caller()
    with pytest.raises(Unreachable):
        await StorageClient(caller, "http://127.0.0.1:1").read_block(S1, 0)
    await caller.close()


async def test_a_draft_waits_for_its_spec_and_outlives_the_process(zone: Zone) -> None:
    await zone.agent.put_block(S1, 5, block(5))
    await zone.want()
    status = await zone.settle()
    assert status.strangers == (S1,)
    await zone.kill()
    open_ = SnapshotSpec(snapshot_id=S1, size_gib=1, written=WrittenSpec())
    await zone.want(open_)
    status = await zone.settle()
    assert (status.snapshots[S1].presence, status.strangers) == (Presence.CREATING, ())
    await zone.want(sealed(S1, blocks=1))
    assert (await zone.settle()).snapshots[S1].presence is Presence.READY
    assert await zone.agent.read_block(S1, 5) == block(5)


async def test_a_draft_is_gone_when_the_status_says_so(zone: Zone) -> None:
    await zone.agent.put_block(S1, 5, block(5))
    zone.driver.fail_at(0)
    await zone.want(SnapshotSpec(snapshot_id=S1, written=WrittenSpec(), gone=True))
    await zone.agent.loop.activate()
    seen = await zone.driver.observe()
    assert seen.drafts == {S1}
    status = await zone.settle()
    assert (status.snapshots[S1].presence, (await zone.driver.observe()).drafts) == (Presence.GONE, frozenset())
    with pytest.raises(Denied):
        await zone.agent.put_block(S1, 5, block(5))


async def test_what_was_written_otherwise_fails_for_good_and_an_abandoned_draft_goes(zone: Zone) -> None:
    await zone.agent.put_block(S1, 5, block(5))
    await zone.want(sealed(S1, blocks=2))
    status = await zone.settle()
    fault = status.snapshots[S1].fault
    assert fault is not None
    assert (status.snapshots[S1].presence, fault.code, fault.final) == (Presence.FAILED, "ChecksumMismatch", True)
    await zone.want(sealed(S1, blocks=2, abandoned=True))
    await zone.settle()
    assert (await zone.driver.observe()).drafts == frozenset()


async def test_nothing_is_put_into_another_pool(zone: Zone) -> None:
    await zone.want(sealed(S2))
    await zone.settle()
    (zone.folder / "pool" / "pool.json").unlink()
    await zone.kill()
    await zone.agent.loop.activate()
    with pytest.raises(Unreachable, match="is it mounted"):
        await zone.agent.put_block(S1, 0, block(0))
