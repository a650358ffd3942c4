"""What each principal may, ready to decide: its policies compiled, in memory, dropped in the commit that changes any.

    standing = await standings.of(principal)     # the database is asked once for each principal and change
    standing.unlimited                           # an administrator: nothing is asked at all
    standing.powers.keys(action)                 # the condition keys that the answer depends on, to read no more than those

A policy that cannot be read (AWS's own that this version does not have, a document that an older version took) denies all:
of two ways to be wrong this one harms nobody.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from eucapy.aws import policytexts
from eucapy.aws.evaluation import Powers
from eucapy.aws.policy import Question
from eucapy.aws.policytexts import NOTHING, Text
from eucapy.clc.context import ASSUMED_ROLE, FEDERATED_USER, Principal
from eucapy.clc.store import powers as rows
from eucapy.clc.store.powers import OF_AWS, PowersTexts
from eucapy.database import Database, Tx

log = logging.getLogger(__name__)

MOST_KEPT = 20_000
_EVERYTHING = (["*"], "*", ["*:*"], "*:*")


class Standing(msgspec.Struct, frozen=True):
    """A principal's powers. `texts` are the policies as they were written."""

    powers: Powers
    texts: PowersTexts
    session: tuple[Text, ...] | None
    unlimited: bool

    def told(self) -> dict[str, Any]:
        """The policies, for whoever decides elsewhere: the object store."""
        return {
            "identity": self.texts.identity,
            "boundary": self.texts.boundary,
            "session": self.session,
            "root": self.texts.root,
        }


class Standings:
    """All that were asked for. `managed` gives AWS's own policies by their ARN, or None."""

    def __init__(self, database: Database, managed: Callable[[str], str | None]) -> None:
        self._database, self._managed = database, managed
        self._kept: dict[tuple[str, Any], Standing] = {}
        self._change = 0

    async def of(self, principal: Principal) -> Standing:
        """Of a principal that has authenticated itself."""
        name = (principal.user_id, principal.session)
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        before = self._change
        standing = await self._database.read(lambda tx: self.read(tx, principal))
        if before == self._change:  # else it may be from before the change
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name] = standing
        return standing

    async def within(self, tx: Tx, principal: Principal) -> Standing:
        """As `of`, for whoever has a transaction open."""
        return self._kept.get((principal.user_id, principal.session)) or await self.read(tx, principal)

    def forget(self) -> None:
        """Something about users, roles or policies changed."""
        self._kept.clear()
        self._change += 1

    async def read(self, tx: Tx, principal: Principal) -> Standing:
        """As `of`, from the rows of a transaction."""
        of_role = principal.kind == ASSUMED_ROLE
        texts = await (rows.of_role if of_role else rows.of_user)(tx, principal.user_id) or PowersTexts()
        session: tuple[Text, ...] | None = None
        held = principal.session
        if held is not None and (held.limited or principal.kind == FEDERATED_USER):
            found: list[Text] = [("session policy", text) for text in held.policies]
            for arn in held.policy_arns:
                found.append((arn, await rows.managed_text(tx, arn) or NOTHING))
            session = tuple(found)
        return compiled(texts, session, self._managed)


def compiled(texts: PowersTexts, session: tuple[Text, ...] | None, managed: Callable[[str], str | None]) -> Standing:
    """Policies as texts made ready. Pure."""
    whole = PowersTexts(
        tuple(_whole(each, managed) for each in texts.identity),
        None if texts.boundary is None else _whole(texts.boundary, managed),
        texts.root,
    )
    session = None if session is None else tuple(_whole(each, managed) for each in session)
    powers = policytexts.powers(whole.identity, whole.boundary, session, root=whole.root)
    read = [text for _, text in (*whole.identity, *((whole.boundary,) if whole.boundary else ()), *(session or ()))]
    statements = [statement for text in read for statement in _statements(text)]
    unlimited = session is None and (
        whole.root
        or (
            whole.boundary is None
            and any(_allows_all(each) for each in statements)
            and all(each.get("Effect") == "Allow" for each in statements)
        )
    )
    return Standing(powers, whole, session, unlimited)


def question(principal: Principal, action: str, resource: str, keys: Mapping[str, Any]) -> Question:
    """`principal` wants `action` on `resource` ("*" for none); `keys` by lower-case name."""
    ids = frozenset({principal.canonical_id})
    return Question(principal.arn, principal.account, ids, action, resource, keys, parent_of(principal))


def parent_of(principal: Principal) -> str:
    """Whose session a principal is: the ARN of the role, of the user who asked for a federated user's; "" for itself."""
    if principal.kind == ASSUMED_ROLE:
        return principal.lasting_arn
    if principal.kind == FEDERATED_USER and principal.user_name:
        return f"arn:aws:iam::{principal.account}:user{principal.path}{principal.user_name}"
    return ""


def _whole(each: Text, managed: Callable[[str], str | None]) -> Text:
    """AWS's own policies come as their ARNs: their documents instead."""
    source, text = each
    if text.startswith(OF_AWS):
        document = managed(text)
        if document is None:
            log.error("no such managed policy: %s", text)
        text = document or NOTHING
    return source, text or NOTHING


def _statements(text: str) -> list[Mapping[str, Any]]:
    try:
        document = json.loads(text)
    except ValueError:
        return []
    found = document.get("Statement") if isinstance(document, dict) else None
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)]


def _allows_all(statement: Mapping[str, Any]) -> bool:
    return (
        statement.get("Effect") == "Allow"
        and statement.get("Action") in _EVERYTHING
        and statement.get("Resource") in (["*"], "*")
        and not statement.get("Condition")
    )
