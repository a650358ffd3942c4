"""Access control lists: canned ones, headers and documents become grants, and grants become documents. Pure.

A list is kept as JSON, `[["id:<canonical id>", "READ"], ["uri:<group>", "READ"], …]`; a row without one means that its owner
has full control and nobody else anything. Source: "Access control list (ACL) overview", S3 user guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from eucapy.aws.errors import InvalidArgument, InvalidRequest
from eucapy.walrus import errors

Grant = tuple[str, str]
Grants = tuple[Grant, ...]

_GROUPS = "http://acs.amazonaws.com/groups/"
ALL_USERS = f"uri:{_GROUPS}global/AllUsers"
AUTHENTICATED_USERS = f"uri:{_GROUPS}global/AuthenticatedUsers"
LOG_DELIVERY = f"uri:{_GROUPS}s3/LogDelivery"
_EC2 = "id:6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"
_URIS = frozenset({ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY})
PERMISSIONS = frozenset({"FULL_CONTROL", "READ", "WRITE", "READ_ACP", "WRITE_ACP"})
MOST_GRANTS = 100
CANNED: dict[str, Grants] = {
    "private": (),
    "public-read": ((ALL_USERS, "READ"),),
    "public-read-write": ((ALL_USERS, "READ"), (ALL_USERS, "WRITE")),
    "authenticated-read": ((AUTHENTICATED_USERS, "READ"),),
    "aws-exec-read": ((_EC2, "READ"),),
    "log-delivery-write": ((LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
}
_HEADERS = {
    "GrantFullControl": ("x-amz-grant-full-control", "FULL_CONTROL"),
    "GrantRead": ("x-amz-grant-read", "READ"),
    "GrantReadACP": ("x-amz-grant-read-acp", "READ_ACP"),
    "GrantWrite": ("x-amz-grant-write", "WRITE"),
    "GrantWriteACP": ("x-amz-grant-write-acp", "WRITE_ACP"),
}
_GRANTEE = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^",\s]+))\s*\Z')
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}\Z")
_decode = msgspec.json.Decoder(tuple[Grant, ...]).decode

Known = Callable[[str], bool]
"""Whether a canonical id is an account's."""


def is_canonical_id(text: str) -> bool:
    return _CANONICAL_ID.match(text) is not None


def asks_for_acl(p: Mapping[str, Any]) -> bool:
    """Whether a write's headers name an ACL."""
    return p.get("ACL") is not None or any(p.get(name) for name in _HEADERS)


def default(owner: str) -> Grants:
    return ((f"id:{owner}", "FULL_CONTROL"),)


def of_headers(p: Mapping[str, Any], owner: str, bucket_owner: str | None, known: Known) -> Grants:
    """The list that a canned ACL or grant headers ask for. `bucket_owner`: None where the list is a bucket's own.

    Raises InvalidArgument, InvalidRequest, MethodNotAllowed for e-mail addresses.
    """
    canned = p.get("ACL")
    named = [name for name in _HEADERS if p.get(name)]
    if canned is not None and named:
        raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
    if named:
        found = [grant for name in named for grant in _of_header(*_HEADERS[name], str(p[name]), known)]
        return tuple(dict.fromkeys(found))
    if canned is None:
        return default(owner)
    if canned not in CANNED:
        raise InvalidArgument("", fields={"ArgumentName": "x-amz-acl", "ArgumentValue": canned})
    granted = default(owner) + CANNED[canned]
    if bucket_owner is not None and bucket_owner != owner:
        if canned == "bucket-owner-read":
            granted += ((f"id:{bucket_owner}", "READ"),)
        if canned == "bucket-owner-full-control":
            granted += ((f"id:{bucket_owner}", "FULL_CONTROL"),)
    return granted


def _of_header(header: str, permission: str, text: str, known: Known) -> list[Grant]:
    granted = []
    for part in text.split(","):
        found = _GRANTEE.match(part)
        kind = found.group(1).lower() if found else ""
        if found is None or kind not in ("id", "uri", "emailaddress"):
            raise InvalidArgument(
                "Argument format not recognized", fields={"ArgumentName": header, "ArgumentValue": text}
            )
        granted.append((_grantee(kind, found.group(2) or found.group(3) or "", known, kind), permission))
    return granted


def _grantee(kind: str, value: str, known: Known, argument: str) -> str:
    """Raises InvalidArgument; MethodNotAllowed for an e-mail address (AWS since October 2025)."""
    if kind == "emailaddress":
        raise errors.MethodNotAllowed()
    if kind == "uri":
        if f"uri:{value}" not in _URIS:
            raise InvalidArgument("Invalid group uri", fields={"ArgumentName": argument, "ArgumentValue": value})
    elif not known(value):
        raise InvalidArgument("Invalid id", fields={"ArgumentName": argument, "ArgumentValue": value})
    return f"{kind}:{value}"


def of_document(policy: Mapping[str, Any], owner: str, known: Known) -> Grants:
    """The list of an AccessControlPolicy. Raises MalformedACLError, InvalidArgument, AccessDenied's kin for another owner."""
    entries = policy.get("Grants") or ()
    said = (policy.get("Owner") or {}).get("ID")
    if said is None or len(entries) > MOST_GRANTS:
        raise errors.MalformedACLError()
    if said != owner:
        if not known(said):
            raise InvalidArgument("Invalid id", fields={"ArgumentName": "CanonicalUser/ID", "ArgumentValue": said})
        raise errors.ForeignOwner()
    granted = []
    for entry in entries:
        grantee = entry.get("Grantee") or {}
        kind = {"CanonicalUser": "id", "Group": "uri", "AmazonCustomerByEmail": "emailaddress"}.get(
            grantee.get("Type", "")
        )
        value = grantee.get({"id": "ID", "uri": "URI", "emailaddress": "EmailAddress"}.get(kind or "", ""))
        if kind is None or value is None or entry.get("Permission") not in PERMISSIONS:
            raise errors.MalformedACLError()
        argument = "Group/URI" if kind == "uri" else "CanonicalUser/ID"
        granted.append((_grantee(kind, value, known, argument), str(entry["Permission"])))
    return tuple(dict.fromkeys(granted))


def dump(granted: Grants, owner: str) -> str | None:
    """As a column keeps it: None for what is so without a list."""
    return None if granted == default(owner) else msgspec.json.encode(granted).decode()


def load(document: str | None, owner: str) -> Grants:
    return default(owner) if document is None else _decode(document)


def is_public(granted: Grants) -> bool:
    """Whether everybody, or everybody with an account somewhere, gets anything."""
    return any(grantee in (ALL_USERS, AUTHENTICATED_USERS) for grantee, _ in granted)


def allows(granted: Grants, permission: str, canonical_id: str | None, *, ignore_public: bool) -> bool:
    """Whether the list gives `permission` to an account (None: to an unsigned request)."""
    names = set() if canonical_id is None else {f"id:{canonical_id}"}
    if not ignore_public:
        names.add(ALL_USERS)
        if canonical_id is not None:
            names.add(AUTHENTICATED_USERS)
    return any(grantee in names and given in (permission, "FULL_CONTROL") for grantee, given in granted)


def view(granted: Grants, person: Callable[[str], Mapping[str, str]]) -> list[dict[str, Any]]:
    """As members of an answer; `person` gives ID and name of a canonical id. Groups come first where persons have names, as
    they did while AWS gave names."""
    named = any("DisplayName" in person(grantee[3:]) for grantee, _ in granted if grantee.startswith("id:"))
    answer = []
    for grantee, permission in sorted(granted, key=lambda grant: named and not grant[0].startswith("uri:")):
        kind, _, value = grantee.partition(":")
        who = {"Type": "Group", "URI": value} if kind == "uri" else {"Type": "CanonicalUser", **person(value)}
        answer.append({"Grantee": who, "Permission": permission})
    return answer
