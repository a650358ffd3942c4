"""The shapes of Eucalyptus's account calls, as botocore's files describe operations."""

from __future__ import annotations

from typing import Any

_TEXT, _FLAG = {"shape": "stringType"}, {"shape": "booleanType"}
_NAMED = {"AccountName": _TEXT}
_POLICY = {**_NAMED, "PolicyName": _TEXT}
_ACCOUNT = {**_NAMED, "AccountId": _TEXT, "CanonicalId": _TEXT, "CreateDate": {"shape": "dateType"}}


def _structure(members: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "structure", "required": list(required), "members": members}


_CALLS: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, Any] | None]] = {
    "CreateAccount": (_NAMED, ("AccountName",), {"Account": {"shape": "cloudAccount"}}),
    "DeleteAccount": ({**_NAMED, "Recursive": _FLAG}, ("AccountName",), None),
    "ListAccounts": ({}, (), {"Accounts": {"shape": "cloudAccountList"}, "IsTruncated": _FLAG}),
    "PutAccountPolicy": (
        {**_POLICY, "PolicyDocument": _TEXT},
        ("AccountName", "PolicyName", "PolicyDocument"),
        None,
    ),
    "GetAccountPolicy": (_POLICY, ("AccountName", "PolicyName"), {**_POLICY, "PolicyDocument": _TEXT}),
    "ListAccountPolicies": (
        _NAMED,
        ("AccountName",),
        {"PolicyNames": {"shape": "policyNameListType"}, "IsTruncated": _FLAG},
    ),
    "DeleteAccountPolicy": (_POLICY, ("AccountName", "PolicyName"), None),
}
"""By operation: the members of its input, those that it requires, the members of its output."""


def _operation(name: str, output: dict[str, Any] | None) -> dict[str, Any]:
    description: dict[str, Any] = {
        "name": name,
        "http": {"method": "POST", "requestUri": "/"},
        "input": {"shape": f"{name}Request"},
    }
    if output is not None:
        description["output"] = {"shape": f"{name}Response", "resultWrapper": f"{name}Result"}
    return description


EXTENSION: dict[str, Any] = {
    "operations": {name: _operation(name, output) for name, (_, _, output) in _CALLS.items()},
    "shapes": {
        "cloudAccount": _structure(_ACCOUNT),
        "cloudAccountList": {"type": "list", "member": {"shape": "cloudAccount"}},
        **{f"{name}Request": _structure(members, *required) for name, (members, required, _) in _CALLS.items()},
        **{f"{name}Response": _structure(output) for name, (_, _, output) in _CALLS.items() if output is not None},
    },
}
"""For `Service(extend=…)`."""
