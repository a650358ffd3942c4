"""The loop `role_credentials`: instances with an instance profile have credentials of its role, and new ones in time.

Credentials are made for the node that the instance is on and sealed to the node's own key (`eucapy/box.py`), so that
neither a database nor a ledger nor a controller on the way holds them open; the row has the sealed text, `cluster_sync` sends
it as a part of the instance's spec, and the metadata service on the node opens it. They last six hours and are replaced
when an hour is left, so that a guest always finds some that last (AWS promises five minutes); at once where the role or the
profile changed, or the instance came to another node. A profile without a role, or one that is gone, has none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from eucapy import box
from eucapy.clc.context import ASSUMED_ROLE
from eucapy.clc.sessions import Session, Sessions
from eucapy.clc.store import hosts, instance_profiles, instances
from eucapy.clock import Clock
from eucapy.database import Database, Row, Tx
from eucapy.wire.node import RoleSecrets

log = logging.getLogger(__name__)

LAST_S = 6 * 3600
RENEWED_BEFORE_S = 3600
AT_ONCE = 100
"""Instances whose credentials one transaction makes."""


class RoleCredentialsLoop:
    """Callable as the loop's activation."""

    def __init__(
        self, database: Database, sessions: Sessions, region: str, clock: Clock, wake: Callable[[str], None]
    ) -> None:
        self._database, self._sessions, self._region = database, sessions, region
        self._clock, self._wake = clock, wake

    async def __call__(self) -> bool:
        changed, after = False, ""
        while True:
            found = await self._database.read(lambda tx, after=after: self._due(tx, after))  # type: ignore[misc]
            if found is None:
                return changed
            after, due = found
            if due:
                changed = await self._database.write(lambda tx, due=due: self._renew(tx, due)) or changed  # type: ignore[misc]

    async def _due(self, tx: Tx, after: str) -> tuple[str, list[str]] | None:
        """(the last instance that was looked at, those that need others); None behind the last one."""
        rows = await instances.with_profiles(tx, after, AT_ONCE)
        if not rows:
            return None
        roles = await instance_profiles.roles_of(tx, [row.profile_id for row in rows])
        known = await hosts.by_names(tx, sorted({row.node for row in rows if row.node}))
        return rows[-1].id, [row.id for row in rows if self._is_due(row, roles.get(row.profile_id), known)]

    def _is_due(self, row: Row, role: Row | None, known: dict[str, Row]) -> bool:
        held = row.credentials
        if not row.profile_id or role is None:
            return held is not None
        if not row.node or row.node not in known or not known[row.node].sealing_key:
            return False
        wanted = (row.node, known[row.node].sealing_key, row.profile_id, role.id)
        return (
            held is None
            or (held["node"], held["key"], held["profile"], held["role_id"]) != wanted
            or held["expires_at"] - self._clock.time() < RENEWED_BEFORE_S
        )

    async def _renew(self, tx: Tx, wanted: list[str]) -> bool:
        rows = await instances.by_ids(tx, wanted)
        roles = await instance_profiles.roles_of(tx, [row.profile_id for row in rows.values()])
        known = await hosts.by_names(tx, sorted({row.node for row in rows.values() if row.node}))
        changed = False
        for row in rows.values():
            role = roles.get(row.profile_id)
            if not self._is_due(row, role, known):
                continue
            made = self._made(row, role, known[row.node].sealing_key) if role is not None and row.profile_id else None
            if made is None and row.credentials is None:
                continue
            await instances.set_values(tx, row.id, credentials=made)
            changed = True
        if changed:
            tx.on_commit(lambda: self._wake("cluster_sync"))
        return changed

    def _made(self, row: Row, role: Row, key: str) -> dict[str, Any] | None:
        now = int(self._clock.time())
        issued = self._sessions.issue(
            Session(
                kind=ASSUMED_ROLE,
                account=role.account,
                holder=role.id,
                name=row.id,
                issued_at=now,
                expires_at=now + LAST_S,
                instance=f"arn:aws:ec2:{self._region}:{row.account}:instance/{row.id}",
            )
        )
        secrets = RoleSecrets(access_key_id=issued.access_key_id, secret=issued.secret, token=issued.token)
        try:
            sealed = box.seal(key, msgspec.json.encode(secrets), row.id)
        except ValueError:
            log.exception("a node's sealing key is no key", extra={"data": {"node": row.node}})
            return None
        return {
            "node": row.node,
            "key": key,
            "profile": row.profile_id,
            "role_id": role.id,
            "role": role.name,
            "sealed": sealed,
            "issued_at": now,
            "expires_at": issued.expires_at,
        }
