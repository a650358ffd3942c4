"""An access key that is revoked in the cloud controller is refused by the object store, which has it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.aws.credentials import Identity
from eucapy.aws.refusals import Refused
from eucapy.clc.authenticate import Keys
from eucapy.clc.config import Config
from eucapy.clc.context import ASSUMED_ROLE
from eucapy.clc.iam import managed
from eucapy.clc.limits import Limits
from eucapy.clc.operations import Operations
from eucapy.clc.operator import OperatorPort
from eucapy.clc.reconcilers.key_use import KeyUse
from eucapy.clc.seal import Seal
from eucapy.clc.sessions import Session, Sessions
from eucapy.clc.standing import Standings
from eucapy.clc.store import accounts, iam_names, migrating, roles
from eucapy.clock import ManualClock
from eucapy.database import Database, Tx, open_database
from eucapy.reconcile.loop import Loops
from eucapy.walrus.clc_keys import ClcKeys
from eucapy.wire.contract import Cursor
from eucapy.wire.server import Listener

KEY = "AKIAIOSFODNN7EXAMPLE"


async def _no_buckets(_owner: str) -> int:
    return 0


class CloudSide:
    """The cloud controller's keys and the port on which walrus asks for them."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self.database, self.keys = database, keys
        operations = Operations(Config(), bytes, lambda: 0.0)
        self.key_use = KeyUse(database, "us-east-1")
        port = OperatorPort(
            database,
            operations,
            keys,
            Standings(database, managed.document),
            Limits(database),
            self.key_use,
            _no_buckets,
            keys.forget,
            Loops(),
            lambda: None,
        )
        self.listener = Listener(port.application(), "127.0.0.1", 0)

    async def deactivate(self) -> None:
        await self.database.write(lambda tx: accounts.set_active(tx, KEY, False))
        self.keys.forget()  # what the commit of a handler that woke "keys" does


@pytest.fixture
async def cloud_side(tmp_path: Path) -> AsyncIterator[CloudSide]:
    database = open_database(f"sqlite:///{tmp_path}/clc.sqlite")
    await migrating.upgrade(database)
    seal = Seal.ensure(tmp_path / "secret.key")

    async def work(tx: Tx) -> None:
        account = await accounts.insert(tx, "acme", 0.0)
        user = await accounts.insert_user(tx, account.id, "admin", 0.0)
        await accounts.insert_key(tx, account.id, user.id, KEY, seal.seal(b"secret"), 0.0)

    await database.write(work)
    yield CloudSide(database, Keys(database, seal))
    await database.close()


async def test_a_deactivated_key_is_refused_though_the_clock_stands_still(cloud_side: CloudSide) -> None:
    port = await cloud_side.listener.start()
    store = ClcKeys(f"http://127.0.0.1:{port}", None, ManualClock())
    store.start()
    try:
        found = await store.find(KEY, None)
        assert found is not None and found.active
        await cloud_side.deactivate()

        async with asyncio.timeout(20):
            while (now := await store.find(KEY, None)) is not None and now.active:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the news travels
        assert now is not None and not now.active
    finally:
        await store.close()
        await cloud_side.listener.stop()


async def test_a_roles_session_is_known_with_its_token_and_refused_when_the_role_is_gone(
    cloud_side: CloudSide, tmp_path: Path
) -> None:
    async def make(tx: Tx) -> Any:
        (account,) = await accounts.every(tx)
        return await roles.insert(tx, account.id, "builder", "{}", 0.0)

    role = await cloud_side.database.write(make)
    session = Session(ASSUMED_ROLE, role.account, role.id, "s-1", issued_at=0, expires_at=1000)
    issued = Sessions(Seal.ensure(tmp_path / "secret.key")).issue(session)
    port = await cloud_side.listener.start()
    store = ClcKeys(f"http://127.0.0.1:{port}", None, ManualClock())
    store.start()
    try:
        found = await store.find(issued.access_key_id, issued.token)
        assert found is not None
        assert (found.secret, found.expires, found.session_token) == (issued.secret, 1000, issued.token)
        assert found.principal.arn == f"arn:aws:sts::{role.account}:assumed-role/builder/s-1"
        assert found.principal.lasting_arn == f"arn:aws:iam::{role.account}:role/builder"
        assert await store.find(issued.access_key_id, None) is None
        with pytest.raises(Refused, match="bad token"):
            await store.find(issued.access_key_id, "made up")

        await cloud_side.database.write(lambda tx: iam_names.remove(tx, roles.roles, role.id))
        cloud_side.keys.forget()
        async with asyncio.timeout(20):
            while await store.find(issued.access_key_id, issued.token) is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the news travels
    finally:
        await store.close()
        await cloud_side.listener.stop()


async def test_when_a_key_was_used_there_is_known_here(cloud_side: CloudSide) -> None:
    port = await cloud_side.listener.start()
    store = ClcKeys(f"http://127.0.0.1:{port}", None, ManualClock())
    try:
        found = await store.find(KEY, None)
        assert found is not None
        store.used(Identity(KEY, found.account, found.principal), 7.0)
        await store.tell()
        assert await cloud_side.key_use()
        row = await cloud_side.database.read(lambda tx: accounts.key(tx, KEY))
        assert row is not None and (row.last_used_at, row.last_used_service) == (7.0, "s3")
    finally:
        await store.close()
        await cloud_side.listener.stop()


async def test_a_key_read_before_a_change_is_not_kept_after_it(cloud_side: CloudSide) -> None:
    """A reader has the row in hand while the change commits."""
    keys, read = cloud_side.keys, cloud_side.database.read

    async def slowly(work: Any) -> Any:
        row = await read(work)
        await cloud_side.deactivate()
        return row

    cloud_side.database.read = slowly  # type: ignore[method-assign]
    early = await keys.find(KEY)
    cloud_side.database.read = read  # type: ignore[method-assign]
    late = await keys.find(KEY)
    assert early is not None and early.active
    assert late is not None and not late.active


async def test_changes_are_counted_and_waited_for(cloud_side: CloudSide) -> None:
    keys = cloud_side.keys
    first = await keys.changed(Cursor(), 30.0)
    assert await keys.changed(first, 0.0) == first
    keys.forget()
    second = await keys.changed(first, 30.0)
    assert second.boot == first.boot
    assert second.revision > first.revision
