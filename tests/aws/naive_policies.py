"""A second evaluator of policies, for tests: documents as they were written, nothing compiled, nothing kept, every rule
spelled out in the order of AWS's documentation, and no line shared with the engine. Slow, and meant to be read."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

Document = Mapping[str, Any]
Context = Mapping[str, Any]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# --- patterns: a list of characters, and the marks ANY and ONE ---------------------------------------------------------

ANY, ONE = "<any>", "<one>"


@lru_cache(maxsize=10_000)
def marks(pattern: str) -> tuple[str, ...]:
    return tuple({"*": ANY, "?": ONE}.get(each, each) for each in pattern)


def characters(pattern: str, context: Context, variables: bool) -> tuple[str, ...] | None:
    """None: a variable has no value."""
    if "${" not in pattern or not variables:
        return marks(pattern)
    found: list[str] = []
    while pattern:
        variable = re.match(r"\$\{([^}]*)\}", pattern)
        if variable is None:
            found.append({"*": ANY, "?": ONE}.get(pattern[0], pattern[0]))
            pattern = pattern[1:]
            continue
        pattern = pattern[variable.end() :]
        name, _, default = variable.group(1).partition(",")
        value = context.get(name.strip().lower())
        if name in ("*", "?", "$"):
            found.append(name)
        elif isinstance(value, str):
            found.extend(value)
        elif default:
            found.extend(default.strip().strip("'"))
        else:
            return None
    return tuple(found)


@lru_cache(maxsize=200_000)
def like(text: str, pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not text
    if pattern[0] == ANY:
        return any(like(text[at:], pattern[1:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in (ONE, text[0]) and like(text[1:], pattern[1:])


def matches(text: str, pattern: str, context: Context, variables: bool) -> bool:
    found = characters(pattern, context, variables)
    return found is not None and like(text, found)


def arn_matches(text: str, pattern: str, context: Context, variables: bool) -> bool:
    if not pattern.startswith("arn:"):
        return matches(text, pattern, context, variables)
    wanted, ours = segments(pattern, variables), text.split(":", 5)
    return len(ours) == 6 and all(matches(a, w, context, variables) for a, w in zip(ours, wanted, strict=True))


@lru_cache(maxsize=10_000)
def segments(pattern: str, variables: bool) -> list[str]:
    """Six of them; the colon of a variable is not one between segments."""
    guarded = re.sub(r"\$\{[^}]*\}", lambda found: found.group(0).replace(":", "\0"), pattern) if variables else pattern
    found = [segment.replace("\0", ":") for segment in guarded.split(":", 5)]
    return found + ["*"] * (6 - len(found))


# --- conditions -------------------------------------------------------------------------------------------------------


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def meets(kind: str, actual: str, wanted: str, context: Context, variables: bool) -> bool:
    if kind in ("StringEquals", "StringEqualsIgnoreCase"):
        found = characters(wanted, context, variables)
        text = None if found is None else "".join({ANY: "*", ONE: "?"}.get(each, each) for each in found)
        if text is None:
            return False
        return actual == text if kind == "StringEquals" else actual.lower() == text.lower()
    if kind == "StringLike":
        return matches(actual, wanted, context, variables)
    if kind.startswith("Arn"):
        return arn_matches(actual, wanted, context, variables)
    if kind.startswith(("Numeric", "Date")):
        read: Any = number if kind.startswith("Numeric") else moment
        a, w = read(actual), read(wanted)
        if a is None or w is None:
            return False
        compared = {"Equals": a == w, "LessThan": a < w, "LessThanEquals": a <= w}
        compared |= {"GreaterThan": a > w, "GreaterThanEquals": a >= w}
        return bool(compared[kind.removeprefix("Numeric").removeprefix("Date")])
    if kind == "Bool":
        return actual.lower() == wanted.lower()
    if kind == "BinaryEquals":
        return base64.b64decode(actual) == base64.b64decode(wanted)
    assert kind == "IpAddress"
    return ipaddress.ip_address(actual) in ipaddress.ip_network(wanted)


def holds(operator: str, key: str, wanted: list[str], context: Context, variables: bool) -> bool:
    quantifier, _, kind = operator.rpartition(":")
    present = key.lower() in context and context[key.lower()] != []
    if kind == "Null":
        return any((value == "true") != present for value in wanted)
    if kind.endswith("IfExists"):
        if not present:
            return True
        kind = kind.removesuffix("IfExists")
    negated = kind.startswith("Not") or "Not" in kind
    kind = kind.replace("Not", "")
    if not present:
        return quantifier == "ForAllValues" or (negated and quantifier == "")
    results = []
    for actual in listed(context[key.lower()]):
        found = any(meets(kind, actual, value, context, variables) for value in wanted)
        results.append(not found if negated else found)
    if quantifier == "ForAllValues":
        return all(results)
    if quantifier == "ForAnyValue":
        return any(results)
    return all(results) if negated else any(results)


# --- statements -------------------------------------------------------------------------------------------------------


def speaks(statement: Document, asked: Mapping[str, Any], variables: bool) -> bool:
    """Whether action, resource and conditions are those of the request."""
    context = asked["context"]
    actions = listed(statement.get("Action", statement.get("NotAction")))
    found = any(matches(asked["action"].lower(), each.lower(), {}, False) for each in actions)
    if found == ("NotAction" in statement):
        return False
    resources = listed(statement.get("Resource", statement.get("NotResource")))
    found = any(arn_matches(asked["resource"], each, context, variables) for each in resources)
    if found == ("NotResource" in statement):
        return False
    return all(
        holds(operator, key, listed(values), context, variables)
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def names(statement: Document, asked: Mapping[str, Any]) -> str:
    """How it names the caller: "self", "parent" (whose session it is), "account", or "" for not at all."""
    account_arn = f"arn:aws:iam::{asked['account']}:root"
    named = statement.get("Principal", statement.get("NotPrincipal"))
    arns = ["*"] if named == "*" else [str(each) for each in listed(named["AWS"])]
    arns = [f"arn:aws:iam::{each}:root" if each.isdigit() else each for each in arns]
    myself = "*" in arns or asked["arn"] in arns
    if "NotPrincipal" in statement:
        return "" if myself else "self"
    if myself:
        return "self"
    if asked["parent"] in arns:
        return "parent"
    return "account" if account_arn in arns else ""


def said(document: Document | None, asked: Mapping[str, Any], *, of_resource: bool = False) -> set[str]:
    """What a policy says: "Deny", and "Allow" (of a resource's: "Allow self", "Allow parent", "Allow account")."""
    found = set()
    for statement in () if document is None else listed(document["Statement"]):
        if not speaks(statement, asked, document is not None and document["Version"] == "2012-10-17"):
            continue
        who = names(statement, asked) if of_resource else "self"
        if who and statement["Effect"] == "Deny":
            found.add("Deny")
        elif who:
            found.add(f"Allow {who}" if of_resource else "Allow")
    return found


def allowed(
    identity: list[Document],
    boundary: Document | None,
    session: list[Document] | None,
    resource: Document | None,
    asked: Mapping[str, Any],
    owner: str,
) -> bool:
    """`owner`: the account that the resource is of."""
    by_identity = [said(each, asked) for each in identity]
    by_boundary = said(boundary, asked)
    by_session = [said(each, asked) for each in session or []]
    by_resource = said(resource, asked, of_resource=True)
    if any("Deny" in each for each in (*by_identity, by_boundary, *by_session, by_resource)):
        return False
    identity_allows = any("Allow" in each for each in by_identity)
    boundary_allows = boundary is None or "Allow" in by_boundary
    session_allows = session is None or any("Allow" in each for each in by_session)
    if owner != asked["account"]:
        return bool(by_resource) and identity_allows and boundary_allows and session_allows
    if "Allow self" in by_resource:
        return True
    if "Allow parent" in by_resource:
        return boundary_allows and session_allows
    return identity_allows and boundary_allows and session_allows
