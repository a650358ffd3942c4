"""In whose name the cloud works in buckets after the request is over: the fields of a session (`sessions.py`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from eucapy.clc.context import ASSUMED_ROLE, Principal


@dataclass(frozen=True)
class Actor:
    """`holder` is the id of the role or the user; `name` the role session's. What limited the session goes on to."""

    kind: str
    account: str
    holder: str
    name: str
    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_role(cls, role: Any, session: str) -> Actor:
        """A service role; `session` is what the audit trail shows."""
        return cls(ASSUMED_ROLE, role.account, role.id, session)

    @classmethod
    def of_principal(cls, principal: Principal) -> Actor:
        """Whoever called."""
        session = principal.session
        if session is None:
            return cls(principal.kind, principal.account, principal.user_id, "")
        return cls(
            principal.kind,
            principal.account,
            session.holder,
            session.name,
            session.policies,
            session.policy_arns,
            session.tags,
        )

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Actor:
        """What `kept` made, from JSON."""
        return cls(
            kept["kind"],
            kept["account"],
            kept["holder"],
            kept["name"],
            tuple(kept.get("policies") or ()),
            tuple(kept.get("policy_arns") or ()),
            tuple((key, value) for key, value in kept.get("tags") or ()),
        )

    def kept(self) -> dict[str, Any]:
        """For a JSON column."""
        return asdict(self)
