"""Access keys in memory: found without touching the database, forgotten in the commit that changes them.

Long-lived keys are rows; a temporary key (`ASIA…`) is whatever its session token says (`sessions.py`), for as long as the
role or the user that it stands for is there. The changes are counted, and whoever keeps keys elsewhere (walrus) waits for
the next count (`changed`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping

from eucapy.aws.credentials import Credential
from eucapy.aws.refusals import Refused
from eucapy.clc.context import ASSUMED_ROLE, ROOT, USER, Principal
from eucapy.clc.seal import Seal
from eucapy.clc.sessions import BadToken, Session, Sessions, is_temporary
from eucapy.clc.store import accounts, iam_tags, roles
from eucapy.database import Database, Row, Tx
from eucapy.wire.contract import Cursor

MOST_KEPT = 100_000


class Keys:
    """The credentials of this cloud. A key that does not exist is asked for each time: it may be made elsewhere."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database, self._seal = database, seal
        self._sessions = Sessions(seal)
        self._kept: dict[tuple[str, str | None], Credential] = {}
        self._cursor = Cursor(boot=secrets.token_hex(8), revision=1)
        self._forgotten = asyncio.Event()

    async def find(self, access_key_id: str, session_token: str | None = None) -> Credential | None:
        """The credential, with a `Principal` as its principal, expired ones too; None when there is no such key, or nobody
        whom it would stand for. Raises Refused for a session token that is none of this cloud's, or another key's."""
        name = (access_key_id, session_token if is_temporary(access_key_id) else None)
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        before = self._cursor
        if name[1] is not None:
            credential = await self._temporary(access_key_id, name[1])
        else:
            credential = await self._lasting(access_key_id)
        if credential is not None and before is self._cursor:  # else it may be from before the change
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name] = credential
        return credential

    async def _lasting(self, access_key_id: str) -> Credential | None:
        async def look(tx: Tx) -> tuple[Row | None, dict[str, str]]:
            row = await accounts.key(tx, access_key_id)
            return row, await iam_tags.of(tx, row.user_id) if row is not None else {}

        row, tags = await self._database.read(look)
        if row is None:
            return None
        return Credential(
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
                kind=ROOT if row.root else USER,
                tags=tags,
            ),
            active=row.active,
        )

    async def _temporary(self, access_key_id: str, token: str) -> Credential | None:
        try:
            session, secret = self._sessions.open(access_key_id, token)
        except BadToken as error:
            raise Refused("bad token", **{"Token-0": token}) from error
        principal = await self._database.read(lambda tx: of_session(tx, session))
        if principal is None:
            return None
        return Credential(
            access_key_id=access_key_id,
            secret=secret,
            account=session.account,
            principal=principal,
            session_token=token,
            expires=session.expires_at,
        )

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


async def of_session(tx: Tx, session: Session) -> Principal | None:
    """Whom a session stands for, as they are now; None when its role, user or account is gone."""
    account = await accounts.by_id(tx, session.account)
    if account is None:
        return None
    of_role = session.kind == ASSUMED_ROLE
    holder = await (roles.by_id(tx, session.holder) if of_role else accounts.user_by_id(tx, session.holder))
    if holder is None or holder.account != session.account:
        return None
    return Principal(
        account=account.id,
        account_name=account.name,
        canonical_id=account.canonical_id,
        user_id=holder.id,
        user_name=holder.name,
        path=holder.path,
        kind=session.kind,
        tags=_with_session_tags(await iam_tags.of(tx, holder.id), session),
        session=session,
    )


def _with_session_tags(own: Mapping[str, str], session: Session) -> dict[str, str]:
    """A session's tags take the place of the role's or user's of the same key, whatever its case."""
    replaced = {key.lower() for key, _ in session.tags}
    return {**{key: value for key, value in own.items() if key.lower() not in replaced}, **dict(session.tags)}
