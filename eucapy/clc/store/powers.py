"""What a principal brings along: the texts of all policies that speak of it, in one place for authorization.

A managed policy of AWS comes as its ARN in the place of its text: `clc/iam/managed.py` has the documents. A managed policy
of the account comes as the text of its default version.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from eucapy.clc.store.accounts import users
from eucapy.clc.store.iam_groups import groups, members
from eucapy.clc.store.iam_inline import inline_policies
from eucapy.clc.store.iam_policies import ADMINISTRATOR_ACCESS, attachments, version
from eucapy.clc.store.iam_policies import by_arn as policy_by_arn
from eucapy.clc.store.roles import roles
from eucapy.database import Tx

OF_AWS = "arn:aws:iam::aws:policy/"


class PowersTexts(msgspec.Struct, frozen=True):
    """`identity` are (source, text): the source is the policy's ARN or "inline NAME", the text the document, or again the
    ARN where the policy is one of AWS's. `boundary` likewise. `root`: the account's root user, whom none of this limits."""

    identity: tuple[tuple[str, str], ...] = ()
    boundary: tuple[str, str] | None = None
    root: bool = False


async def of_user(tx: Tx, user_id: str) -> PowersTexts | None:
    """A user's, those of its groups included; None: there is no such user."""
    row = await tx.first(sa.select(users.c.boundary, users.c.root).where(users.c.id == user_id))
    if row is None:
        return None
    joined = members.join(groups, groups.c.id == members.c.group_id)
    found = await tx.all(sa.select(groups.c.id).select_from(joined).where(members.c.user_id == user_id))
    identity = await _identity(tx, [user_id, *(str(one.id) for one in found)])
    return PowersTexts(identity, await _boundary(tx, row.boundary), bool(row.root))


async def administers(tx: Tx, user_id: str) -> bool:
    """Whether the user may do all: it is the root user, or AdministratorAccess is attached to it or to one of its groups."""
    row = await tx.first(sa.select(users.c.root).where(users.c.id == user_id))
    if row is not None and row.root:
        return True
    mine = sa.or_(
        attachments.c.principal_id == user_id,
        attachments.c.principal_id.in_(sa.select(members.c.group_id).where(members.c.user_id == user_id)),
    )
    held = sa.select(attachments.c.principal_id).where(attachments.c.policy_arn == ADMINISTRATOR_ACCESS, mine)
    return await tx.first(held.limit(1)) is not None


async def of_role(tx: Tx, role_id: str) -> PowersTexts | None:
    """A role's; None: there is no such role."""
    row = await tx.first(sa.select(roles.c.boundary).where(roles.c.id == role_id))
    if row is None:
        return None
    return PowersTexts(await _identity(tx, [role_id]), await _boundary(tx, row.boundary))


async def managed_text(tx: Tx, policy_arn: str) -> str | None:
    """The text of a managed policy's default version, or the ARN itself of one of AWS's; None: there is none."""
    if policy_arn.startswith(OF_AWS):
        return policy_arn
    row = await policy_by_arn(tx, policy_arn)
    held = await version(tx, row.id, row.default_version) if row is not None else None
    return str(held.document) if held is not None else None


async def _identity(tx: Tx, principals: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    inline = sa.select(inline_policies).where(inline_policies.c.principal_id.in_(principals))
    texts = [(f"inline {row.name}", str(row.document)) for row in await tx.all(inline)]
    attached = sa.select(attachments.c.policy_arn).where(attachments.c.principal_id.in_(principals)).distinct()
    for row in await tx.all(attached):
        text = await managed_text(tx, str(row.policy_arn))
        if text is not None:
            found[str(row.policy_arn)] = text
    return (*sorted(texts), *sorted(found.items()))


async def _boundary(tx: Tx, policy_arn: str | None) -> tuple[str, str] | None:
    """A boundary whose policy is gone allows nothing: it comes as an empty text."""
    if policy_arn is None:
        return None
    return policy_arn, await managed_text(tx, policy_arn) or ""
