"""The policies that a simulation takes from a user, a group or a role, and which of them a request leaves out.

A user's are its groups' too. `simulation.py` decides with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from eucapy.aws.policymatching import like
from eucapy.clc.iam import managed
from eucapy.clc.iam.service import InvalidInput
from eucapy.clc.store import accounts, iam_groups, iam_inline, iam_policies, roles
from eucapy.clc.store import powers as power_rows
from eucapy.database import Row, Tx

_ARN = re.compile(r"arn:aws:iam::(?:aws|\d{12}):policy/[^*]*\*?[^*]*\Z")


class Source(msgspec.Struct, frozen=True):
    """A policy's text and how an answer names it. `arn` is a managed policy's; `inline` (kind and name of who has it, its
    name) another's."""

    id: str
    text: str
    arn: str = ""
    inline: tuple[str, str, str] | None = None


async def sources_of(tx: Tx, account: str, kind: str, name: str) -> tuple[Row, tuple[Source, ...]] | None:
    """The row of the user, group or role, and its policies; None: there is none of that name."""
    find = {"user": accounts.user, "group": iam_groups.by_name, "role": roles.role}[kind]
    row = await find(tx, account, name)
    if row is None:
        return None
    holders = [(kind, row)]
    if kind == "user":
        holders += [("group", group) for group in await iam_groups.groups_of(tx, row.id)]
    found: dict[str, Source] = {}
    for held_as, holder in holders:
        for each in await iam_inline.of(tx, holder.id):
            _add(found, Source(each.name, each.document, inline=(held_as, holder.name, each.name)))
        for arn in await iam_policies.attached_to(tx, holder.id):
            text = await text_of(tx, arn)
            if text is not None and all(each.arn != arn for each in found.values()):
                _add(found, Source(arn.rpartition("/")[2], text, arn=arn))
    return row, tuple(found.values())


async def text_of(tx: Tx, policy_arn: str) -> str | None:
    """The document of a managed policy, the account's or AWS's; None: there is none."""
    if policy_arn.startswith(power_rows.OF_AWS):
        return managed.document(policy_arn)
    return await power_rows.managed_text(tx, policy_arn)


def _add(found: dict[str, Source], source: Source) -> None:
    """Of two policies of one name the second is called after its holder too, or by its ARN."""
    if source.id in found:
        source = msgspec.structs.replace(source, id=source.arn or "_".join(source.inline or ()))
    found[source.id] = source


def exclude(
    identifier: Mapping[str, Any], sources: tuple[Source, ...], boundary: Source | None
) -> tuple[tuple[Source, ...], Source | None]:
    """What one entry of PolicyExclusionList leaves. Raises InvalidInput."""
    kind, arn, inline = (identifier.get(name) for name in ("PolicyType", "PolicyArn", "InlinePolicyIdentifier"))
    if kind == "permission-boundary":
        return sources, None
    if arn is not None and not _ARN.match(arn):
        raise InvalidInput(f"ARN {arn} is not valid.")

    def is_meant(source: Source) -> bool:
        if arn is not None:
            return like(source.arn, arn)
        if inline is not None and source.inline is not None:
            held_as, holder, name = source.inline
            named = (inline["AttachmentType"], inline["PolicyName"])
            return (held_as, name) == named and like(holder, inline["AttachmentName"])
        of_aws = source.arn.startswith(power_rows.OF_AWS)
        return kind == ("inline" if source.inline is not None else "aws-managed" if of_aws else "user-managed")

    return tuple(each for each in sources if not is_meant(each)), boundary
