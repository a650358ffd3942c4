"""`Call`: what a handler is given. One request, one transaction, no machine in sight.

A handler reads and writes rows through `call.tx` and asks for loops with `call.wake(name)`, which fires after the commit.
It has no commit, no try, no DryRun and no XML: the chain and `environment.py` see to them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eucapy.aws.credentials import Identity
from eucapy.clc.config import Config
from eucapy.clc.instance_types import Catalogue
from eucapy.database import Tx


@dataclass(frozen=True, slots=True)
class Principal:
    """A user of an account. `rights` is `all` or `none` until policies decide."""

    account: str
    account_name: str
    canonical_id: str
    user_id: str
    user_name: str
    path: str = "/"
    rights: str = "none"

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:user{self.path}{self.user_name}"


@dataclass(frozen=True, slots=True)
class Later:
    """A handler's answer that needs a plain read of an agent: it is awaited when the transaction is over."""

    work: Callable[[], Awaitable[Mapping[str, Any]]]


@dataclass(slots=True)
class Call:
    """One API request, inside its transaction. Times are seconds since the epoch."""

    tx: Tx
    service: str
    action: str
    identity: Identity
    region: str
    request_id: str
    now: float
    config: Config
    types: Catalogue
    seal: Callable[[bytes], bytes] = field(repr=False)
    """Encrypts a secret for the database."""
    unseal: Callable[[bytes], bytes] = field(repr=False)
    fire: Callable[[str], None] = field(repr=False)
    """Wakes a loop by name, now; handlers use `wake`."""
    reads: Any = None
    """The plain reads of instances (`wire.node.NodeReads`), for use in `Later` alone: never inside the transaction."""
    token: Callable[[str], str] = field(default=str, repr=False)
    """Makes an opaque paging token of a position; `position` takes it back (InvalidNextToken)."""
    position: Callable[[str], str] = field(default=str, repr=False)
    source_ip: str = ""
    user_agent: str = ""

    @property
    def principal(self) -> Principal:
        """Who calls. Handlers that may be called anonymously look at `identity` instead."""
        principal = self.identity.principal
        assert isinstance(principal, Principal)
        return principal

    @property
    def account(self) -> str:
        """The caller's account: twelve digits."""
        return self.identity.account

    def wake(self, loop: str) -> None:
        """Run the loop of that name once this transaction is committed."""
        self.tx.on_commit(lambda: self.fire(loop))
