"""Credential and Identity: what the environment knows of an access key, and who a request turned out to be from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

ANONYMOUS = "anonymous"


class Credential(msgspec.Struct, frozen=True):
    """An access key as `Environment.credential` finds it.

    `principal` is the environment's own notion of who it is (the chain hands it on unseen), `expires` in seconds since the
    epoch, for temporary credentials. An inactive key is known but refused.
    """

    access_key_id: str
    secret: str = msgspec.field(default="")
    account: str = ""
    principal: Any = None
    session_token: str | None = None
    expires: float | None = None
    active: bool = True
    context: Mapping[str, Any] = {}

    def __repr__(self) -> str:
        return f"Credential({self.access_key_id}, account {self.account})"


LINKS = frozenset({"v4-query", "v2-query"})
"""Mechanisms whose signature is in the URL."""


class Identity(msgspec.Struct, frozen=True):
    """Who asks. `mechanism` is "v4-header", "v4-query", "v4-post", "v2-header", "v2-query", "v2-post" or "anonymous"."""

    access_key_id: str = ""
    account: str = ""
    principal: Any = None
    mechanism: str = ANONYMOUS
    expires: float | None = None  # of a temporary credential
    context: Mapping[str, Any] = {}

    @property
    def anonymous(self) -> bool:
        return self.mechanism == ANONYMOUS


NOBODY = Identity()


def identity(credential: Credential, mechanism: str) -> Identity:
    return Identity(
        credential.access_key_id, credential.account, credential.principal, mechanism, credential.expires,
        credential.context,
    )  # fmt: skip
