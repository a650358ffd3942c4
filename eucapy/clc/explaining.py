"""Why may somebody do something, or why not: the decision with every statement that had a part in it. For `eucapy explain`.

The question is put as it stands: with the resource and the condition keys that are given, those that tell of the principal
added. It is the identity's side; what a bucket's policy says beside it, S3's refusals tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.aws.evaluation import Matched
from eucapy.aws.evaluation import explain as explained
from eucapy.clc import request_keys
from eucapy.clc.context import ASSUMED_ROLE, ROOT, USER, Principal
from eucapy.clc.operations import Refused
from eucapy.clc.sessions import Session
from eucapy.clc.standing import Standings, question
from eucapy.clc.store import accounts, iam_tags, roles
from eucapy.database import Row, Tx


async def explain(tx: Tx, standings: Standings, body: Mapping[str, Any]) -> dict[str, Any]:
    """`body`: who (a user's name or ARN, `role/NAME`, a role's ARN, `root`), account (a name), action, resource, keys.

    Raises Refused.
    """
    who, account, action = (str(body.get(member) or "") for member in ("who", "account", "action"))
    if ":" not in action:
        raise Refused(400, "an action is written as service:Operation")
    principal = await _principal(tx, account, who)
    standing = await standings.read(tx, principal)
    given = body.get("keys") or {}
    keys = {**request_keys.of_principal(principal), **{str(key).lower(): value for key, value in given.items()}}
    asked = question(principal, action, str(body.get("resource") or "*"), keys)
    verdict, spoke = explained(standing.powers, asked)
    sources = [source for source, _ in standing.texts.identity]
    return {
        "principal": principal.lasting_arn,
        "action": action,
        "resource": asked.resource,
        "decision": "allowed" if verdict.allowed else "denied",
        "because": verdict.because or _why(verdict.matched, root=standing.powers.root),
        "statements": [_statement(each) for each in spoke],
        "policies": sources,
        "boundary": standing.texts.boundary[0] if standing.texts.boundary is not None else None,
        "keys_asked_for": sorted(standing.powers.keys(action)),
    }


def _why(matched: tuple[Matched, ...], *, root: bool) -> str:
    if not matched:
        return "the root user may do everything in its account" if root else ""
    return "; ".join(f"{_where(each)} allows it" for each in matched)


def _where(each: Matched) -> str:
    return f"statement {each.sid or each.index + 1} of {each.source or 'the resource'} ({each.kind})"


def _statement(each: Matched) -> dict[str, Any]:
    return {
        "effect": each.effect,
        "policy": each.source,
        "statement": each.index + 1,
        "sid": each.sid,
        "kind": each.kind,
    }


async def _principal(tx: Tx, account_name: str, who: str) -> Principal:
    account = await _account(tx, account_name, who)
    kind, _, name = who.rpartition(":")[2].partition("/")
    if not name:
        kind, name = "user" if who != ROOT and not who.endswith(":root") else ROOT, kind
    if kind == ROOT:
        return Principal(account.id, account.name, account.canonical_id, account.id, "", kind=ROOT)
    found = name.rpartition("/")[2]
    row = await (roles.role if kind == "role" else accounts.user)(tx, account.id, found)
    if row is None or kind not in ("user", "role"):
        raise Refused(404, f"the account {account.name} has no {kind} {found}")
    session = Session(ASSUMED_ROLE, account.id, row.id, "explained", 0, 0) if kind == "role" else None
    return Principal(
        account.id,
        account.name,
        account.canonical_id,
        row.id,
        row.name,
        row.path,
        kind=ASSUMED_ROLE if kind == "role" else USER,
        tags=await iam_tags.of(tx, row.id),
        session=session,
    )


async def _account(tx: Tx, name: str, who: str) -> Row:
    number = who.split(":")[4] if who.startswith("arn:") and who.count(":") >= 5 else ""
    row = await accounts.by_id(tx, number) if number else await accounts.by_name(tx, name)
    if row is None:
        raise Refused(404, f"there is no account {number or name}")
    return row
