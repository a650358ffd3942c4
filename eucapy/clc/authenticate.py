"""Access keys in memory: found without touching the database, forgotten in the commit that changes them.

The changes are counted, and whoever keeps keys elsewhere (walrus) waits for the next count (`changed`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets

from eucapy.aws.credentials import Credential
from eucapy.clc.context import Principal
from eucapy.clc.seal import Seal
from eucapy.clc.store import accounts
from eucapy.database import Database
from eucapy.wire.contract import Cursor

MOST_KEPT = 100_000


class Keys:
    """The credentials of this cloud. A key that does not exist is asked for each time: it may be made elsewhere."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database, self._seal = database, seal
        self._kept: dict[str, Credential] = {}
        self._cursor = Cursor(boot=secrets.token_hex(8), revision=1)
        self._forgotten = asyncio.Event()

    async def find(self, access_key_id: str) -> Credential | None:
        """The credential, with a `Principal` as its principal; None when there is no such key."""
        kept = self._kept.get(access_key_id)
        if kept is not None:
            return kept
        before = self._cursor
        row = await self._database.read(lambda tx: accounts.key(tx, access_key_id))
        if row is None:
            return None
        credential = Credential(
            access_key_id=access_key_id,
            secret=self._seal.unseal(row.sealed_secret).decode(),
            account=row.account,
            principal=Principal(
                account=row.account,
                account_name=row.account_name,
                canonical_id=row.canonical_id,
                user_id=row.user_id,
                user_name=row.user_name,
                path=row.path,
                rights=row.rights,
            ),
            active=row.active,
        )
        if before is self._cursor:  # else it may be from before the change
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[access_key_id] = credential
        return credential

    def forget(self) -> None:
        """Something about users or keys changed: read anew."""
        self._kept.clear()
        self._cursor = Cursor(boot=self._cursor.boot, revision=self._cursor.revision + 1)
        self._forgotten.set()
        self._forgotten = asyncio.Event()

    async def changed(self, since: Cursor, wait_s: float) -> Cursor:
        """How often keys changed in this life: at once if not `since`, else after the next change or `wait_s` seconds."""
        if since == self._cursor and wait_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._forgotten.wait()
        return self._cursor
