"""When access keys and roles were last used: noted in memory at each request, written now and then.

A request pays for one entry in a dict; a busy key is one row's change a period. Uses on the object store are told by it, now
and then too (`operator.py`). What was noted when the process dies is lost, as it is with AWS's own figure a matter of minutes.
Shown by GetAccessKeyLastUsed, GetRole, the credential report and the access advisor.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from eucapy.aws.credentials import Identity
from eucapy.clc.actions import declared
from eucapy.clc.context import ASSUMED_ROLE, Principal
from eucapy.clc.store import accounts, roles, service_uses
from eucapy.clc.store.service_uses import TOLD_APART
from eucapy.database import Database, Tx

WRITTEN_S = 30.0
OBJECT_STORE = "s3"


class Use(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A use of a key on the object store, as walrus tells it. `holder` is the user or role behind the key, by its unique
    id, `role` whether it is a role, `at` in seconds since the epoch."""

    key: str
    holder: str
    role: bool
    at: float


class KeyUse:
    """An activation writes what was noted since the last one."""

    def __init__(self, database: Database, region: str) -> None:
        self._database, self._region = database, region
        self._keys: dict[str, tuple[float, str]] = {}
        self._roles: dict[str, float] = {}
        self._services: dict[tuple[str, str, str], float] = {}

    def note(self, identity: Identity, service: str, action: str, at: float) -> None:
        """A request of that service, signed by `identity`; `at` is in seconds since the epoch. `action` may be anything that
        a client made up."""
        principal = identity.principal
        if isinstance(principal, Principal):
            role = principal.kind == ASSUMED_ROLE
            known = action if service in TOLD_APART and declared(service, action) is not None else ""
            self._note(Use(identity.access_key_id, principal.user_id, role, at), service, known)

    def told(self, uses: Iterable[Use]) -> None:
        """What the object store saw since it told last."""
        for use in uses:
            self._note(use, OBJECT_STORE, "")

    def _note(self, use: Use, service: str, action: str) -> None:
        self._keys[use.key] = max(self._keys.get(use.key, (0.0, "")), (use.at, service))
        if use.role:
            self._roles[use.holder] = max(self._roles.get(use.holder, 0.0), use.at)
        what = (use.holder, service, action)
        self._services[what] = max(self._services.get(what, 0.0), use.at)

    async def __call__(self) -> bool:
        keys, used_roles, services = self._keys, self._roles, self._services
        if not services:
            return False
        self._keys, self._roles, self._services = {}, {}, {}

        async def work(tx: Tx) -> None:
            for key_id, (at, service) in sorted(keys.items()):
                await accounts.note_use(tx, key_id, service, self._region, at)
            for role_id, at in sorted(used_roles.items()):
                await roles.note_use(tx, role_id, self._region, at)
            noted = [service_uses.Use(*what, at) for what, at in sorted(services.items())]
            await service_uses.note(tx, noted, self._region)

        await self._database.write(work)
        return True
