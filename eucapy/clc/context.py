"""`Call`: what a handler is given. One request, one transaction, no machine in sight.

A handler reads and writes rows through `call.tx` and asks for loops with `call.wake(name)`, which fires after the commit.
It has no commit, no try, no DryRun and no XML: the chain and `environment.py` see to them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eucapy.aws.credentials import Identity
from eucapy.aws.evaluation import Powers
from eucapy.clc.config import Config
from eucapy.clc.instance_types import Catalogue
from eucapy.clc.oidc import Issuers
from eucapy.clc.sessions import Session, Sessions
from eucapy.database import Tx

USER, ROOT, ASSUMED_ROLE, FEDERATED_USER = "user", "root", "assumed-role", "federated-user"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a user, an account's root user, a role's session or a federated user's, as `kind` says.

    `user_id`, `user_name` and `path` are those of whoever the powers come from: the user (for a federated user the one who
    asked for its credentials), the role; the root user has its account's id and no name. `session` is there with temporary
    credentials, a user's own (GetSessionToken) too. `tags` are the user's or the role's with the session's over them.
    """

    account: str
    account_name: str
    canonical_id: str
    user_id: str
    user_name: str
    path: str = "/"
    kind: str = USER
    tags: Mapping[str, str] = field(default_factory=dict)
    session: Session | None = None

    @property
    def arn(self) -> str:
        """As GetCallerIdentity shows it. Source: "IAM identifiers", IAM guide."""
        if self.kind == ASSUMED_ROLE and self.session is not None:
            return f"arn:aws:sts::{self.account}:assumed-role/{self.user_name}/{self.session.name}"
        return self.lasting_arn

    @property
    def lasting_arn(self) -> str:
        """What aws:PrincipalArn says: as `arn`, but a role's session goes by its role."""
        if self.kind == ROOT:
            return f"arn:aws:iam::{self.account}:root"
        if self.kind == FEDERATED_USER and self.session is not None:
            return f"arn:aws:sts::{self.account}:federated-user/{self.session.name}"
        what = "role" if self.kind == ASSUMED_ROLE else "user"
        return f"arn:aws:iam::{self.account}:{what}{self.path}{self.user_name}"

    @property
    def unique_id(self) -> str:
        """What aws:userid says: `AIDA…`, the account for its root user, `AROA…:session`, `account:federated name`."""
        if self.session is not None and self.kind == ASSUMED_ROLE:
            return f"{self.user_id}:{self.session.name}"
        if self.session is not None and self.kind == FEDERATED_USER:
            return f"{self.account}:{self.session.name}"
        return self.account if self.kind == ROOT else self.user_id


@dataclass(frozen=True, slots=True)
class Later:
    """A handler's answer that needs a plain read of an agent: it is awaited when the transaction is over."""

    work: Callable[[], Awaitable[Mapping[str, Any]]]


class Aside(Exception):
    """Ends a transaction that needs to know what takes long to find: `work` is awaited while nobody waits for the
    transaction, which then begins anew. `question` may hold a secret, so that it is in no message."""

    def __init__(self, question: Hashable, work: Callable[[], Awaitable[Any]]) -> None:
        super().__init__()
        self.question, self.work = question, work


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
    sessions: Sessions = field(repr=False)
    """Makes temporary credentials."""
    issuers: Issuers = field(repr=False)
    """Checks ID tokens; it may ask their issuers, so it is for use in `Later` alone."""
    powers: Callable[[], Awaitable[Powers]] = field(repr=False)
    """What the caller's own policies allow."""
    keys: Callable[[], Mapping[str, str | list[str]]] = field(repr=False)
    """The condition keys that every request has."""
    decoded: Callable[[str], str] = field(repr=False)
    """Opens an authorization failure message of the caller's account (`refusing.UnreadableMessage`)."""
    buckets: Callable[[str], Awaitable[int]] = field(repr=False)
    """How many buckets the account of a canonical id has; asks the object store, so it is for use in `aside` alone. Raises
    LookupError."""
    reads: Any = None
    """The plain reads of instances (`wire.node.NodeReads`), for use in `Later` alone: never inside the transaction."""
    blocks: Any = None
    """The blocks of snapshots (`clc.blocks.Blocks`), for use in `Later` alone."""
    stored: Any = None
    """Reads stored images (`clc.stored_image_reader.StoredImageReader`), for use in `aside` alone."""
    destinations: Any = None
    """Looks at where flow logs go (`clc.flow_destinations.Standings`), for use in `aside` alone."""
    token: Callable[[str], str] = field(default=str, repr=False)
    """Makes an opaque paging token of a position; `position` takes it back (InvalidNextToken)."""
    position: Callable[[str], str] = field(default=str, repr=False)
    source_ip: str = ""
    user_agent: str = ""
    answers: Mapping[Hashable, Any] = field(default_factory=dict, repr=False)
    """What was found aside for this request."""

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

    async def aside(self, question: Hashable, work: Callable[[], Awaitable[Any]]) -> Any:
        """What `work` answers, found outside of the transaction: the handler runs once more when it is known. Whatever
        the answer depends on is part of `question`, so that what changes in between is asked anew. Raises Aside."""
        if question not in self.answers:
            raise Aside(question, work)
        return self.answers[question]

    def wake(self, loop: str) -> None:
        """Run the loop of that name once this transaction is committed."""
        self.tx.on_commit(lambda: self.fire(loop))
