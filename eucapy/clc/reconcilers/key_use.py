"""When access keys and roles were last used: noted in memory at each request, written now and then.

A request pays for one entry in a dict; a busy key is one row's change a period. What was noted when the process dies is
lost, as it is with AWS's own figure a matter of minutes. Shown by GetAccessKeyLastUsed, GetRole and the credential report.
"""

from __future__ import annotations

from eucapy.aws.credentials import Identity
from eucapy.clc.context import ASSUMED_ROLE, Principal
from eucapy.clc.store import accounts, roles
from eucapy.database import Database, Tx

WRITTEN_S = 30.0


class KeyUse:
    """An activation writes what was noted since the last one."""

    def __init__(self, database: Database, region: str) -> None:
        self._database, self._region = database, region
        self._keys: dict[str, tuple[str, float]] = {}
        self._roles: dict[str, float] = {}

    def note(self, identity: Identity, service: str, at: float) -> None:
        """A request of that service, signed by `identity`; `at` is in seconds since the epoch."""
        if not identity.access_key_id:
            return
        self._keys[identity.access_key_id] = (service, at)
        principal = identity.principal
        if isinstance(principal, Principal) and principal.kind == ASSUMED_ROLE:
            self._roles[principal.user_id] = at

    async def __call__(self) -> bool:
        keys, used_roles = self._keys, self._roles
        if not keys and not used_roles:
            return False
        self._keys, self._roles = {}, {}

        async def work(tx: Tx) -> None:
            for key_id, (service, at) in sorted(keys.items()):
                await accounts.note_use(tx, key_id, service, self._region, at)
            for role_id, at in sorted(used_roles.items()):
                await roles.note_use(tx, role_id, self._region, at)

        await self._database.write(work)
        return True
