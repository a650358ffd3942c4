"""The object store's view of the cloud's access keys, inside one process."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from eucapy.aws.credentials import Credential, Identity
from eucapy.clc import request_keys
from eucapy.clc.authenticate import Keys
from eucapy.clc.context import ASSUMED_ROLE, Principal
from eucapy.clc.limits import Limits, told
from eucapy.clc.reconcilers.key_use import KeyUse, Use
from eucapy.clc.standing import Standings, parent_of
from eucapy.walrus import identity as identity_of


class StoreKeys:
    """Implements `walrus.identity.Keys` over the cloud controller's keys, once it has them."""

    def __init__(self) -> None:
        self.keys: Keys | None = None
        self.standings: Standings | None = None
        self.limits: Limits | None = None
        self.key_use: KeyUse | None = None

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        if self.keys is None or self.standings is None or self.limits is None:
            return None
        credential = await self.keys.find(access_key_id, session_token)
        if credential is None or not isinstance(credential.principal, Principal):
            return None
        principal = credential.principal
        standing = await self.standings.of(principal)
        seen = identity_of.Principal(
            principal.account,
            principal.canonical_id,
            principal.arn,
            allow_all=standing.unlimited,
            kind=principal.kind,
            lasting_arn=principal.lasting_arn,
            unique_id=principal.unique_id,
            holder=principal.user_id,
            parent=parent_of(principal),
            powers=standing.powers,
            facts=request_keys.of_principal(principal),
            limits=told(await self.limits.of(principal.account)),
            mfa_at=principal.session.mfa_at if principal.session is not None else None,
        )
        return msgspec.structs.replace(credential, principal=seen)

    def accounts(self) -> Mapping[str, str] | None:
        return None

    def used(self, identity: Identity, at: float) -> None:
        seen = identity.principal
        if self.key_use is not None and isinstance(seen, identity_of.Principal):
            self.key_use.told([Use(identity.access_key_id, seen.holder, seen.kind == ASSUMED_ROLE, at)])
