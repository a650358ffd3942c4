"""Who may ask: access keys and the principals behind them, as the object store needs them.

`Keys` is the source: `StaticKeys` for the object store alone, `clc_keys.py` for one inside a cloud, a fake in tests.
A principal is an account's user. S3 knows accounts by their canonical id, 64 hexadecimal digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from eucapy.aws.credentials import Credential, Identity
from eucapy.aws.evaluation import Powers

ROOT_ACCOUNT = "000000000000"


class Principal(msgspec.Struct, frozen=True):
    """A user, a role's session or the root user of an account. `allow_all`: its own policies allow everything; otherwise
    `powers` are asked. `lasting_arn` is the role's where `arn` is its session's, `parent` whose session it is, `unique_id`
    what aws:userid says, `holder` the user or role that the powers are from, by its own unique id. `facts` are the condition
    keys that tell of it (lower-case), `mfa_at` when it showed a code, in seconds since the epoch. `limits`: what its account
    may have at most (`limits.py`)."""

    account: str
    canonical_id: str
    arn: str
    allow_all: bool = True
    kind: str = "user"
    lasting_arn: str = ""
    unique_id: str = ""
    holder: str = ""
    parent: str = ""
    powers: Powers = Powers()
    facts: Mapping[str, str | list[str]] = {}
    mfa_at: float | None = None
    limits: Mapping[str, int] = {}

    @property
    def is_anonymous(self) -> bool:
        return not self.account


ANONYMOUS = Principal("", "65a011a29cdf8ec533ec3d1ccaae921c", "*")
"""Who sent an unsigned request, under the canonical id that AWS gives such a one."""


class Keys(Protocol):
    """Where access keys are known."""

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        """The credential with a Principal, or None for a key that does not exist."""
        ...

    def accounts(self) -> Mapping[str, str] | None:
        """All accounts by canonical id; None where they are known one by one only."""
        ...

    def used(self, identity: Identity, at: float) -> None:
        """A request was signed so, in seconds since the epoch: called for every one, cheap, and never raises."""
        ...


def canonical_id(account: str) -> str:
    """The canonical id of an account where nobody else gives one: derived from its number."""
    return hashlib.sha256(b"eucapy canonical id of account " + account.encode()).hexdigest()


class StaticKeys:
    """Keys given at the start: `AK,SK` or `AK,SK,123456789012`; keys without an account share one."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Raises ValueError for text of another form."""
        self._credentials: dict[str, Credential] = {}
        for text in keys:
            access_key_id, secret, account = _split(text)
            principal = Principal(account, canonical_id(account), f"arn:aws:iam::{account}:root")
            self._credentials[access_key_id] = Credential(access_key_id, secret, account, principal)

    async def find(self, access_key_id: str, session_token: str | None) -> Credential | None:
        return self._credentials.get(access_key_id)

    def accounts(self) -> Mapping[str, str] | None:
        return {canonical_id(credential.account): credential.account for credential in self._credentials.values()}

    def used(self, identity: Identity, at: float) -> None:
        """Nobody asks when keys were used that are given at the start."""


def _split(text: str) -> tuple[str, str, str]:
    fields = text.split(",")
    if len(fields) not in (2, 3) or not all(fields):
        raise ValueError("a key is given as ACCESSKEY,SECRET or ACCESSKEY,SECRET,ACCOUNT")
    account = fields[2] if len(fields) == 3 else ROOT_ACCOUNT
    if len(account) != 12 or not account.isdigit():
        raise ValueError(f"an account has twelve digits: {account!r}")
    return fields[0], fields[1], account
