"""Buckets as websites: what a configuration may be, and where its rules send a request. Pure.

    redirect all ─► a rule for the key ─► the object, or the folder's index ─► a rule for the error ─► the error document

The first rule counts whose conditions all hold: its key prefix, and the status of the error where it names one (rules that
do are asked only after an error). Who serves: `webserver.py`; the handlers: `s3/websites.py`.
Source: "Hosting a static website", S3 user guide; errors as the service words them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import msgspec

from eucapy.aws.errors import InvalidArgument, InvalidRequest, MalformedXML

MOST_RULES = 50
_SAFE = "/#!?=&:;,@+$'()*~"
"""Kept in a Location: rules write fragments and queries into the key."""
_PROTOCOL = (
    "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically."
)


class Index(msgspec.Struct, frozen=True, rename="pascal"):
    suffix: str


class ErrorDocument(msgspec.Struct, frozen=True, rename="pascal"):
    key: str


class RedirectAll(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    host_name: str
    protocol: str | None = None


class Condition(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    http_error_code_returned_equals: str | None = None
    key_prefix_equals: str | None = None


class Redirect(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    host_name: str | None = None
    http_redirect_code: str | None = None
    protocol: str | None = None
    replace_key_prefix_with: str | None = None
    replace_key_with: str | None = None


class RoutingRule(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    redirect: Redirect
    condition: Condition | None = None


class Website(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """A WebsiteConfiguration; its JSON has the names of the model's members."""

    error_document: ErrorDocument | None = None
    index_document: Index | None = None
    redirect_all_requests_to: RedirectAll | None = None
    routing_rules: tuple[RoutingRule, ...] | None = None


_decoder = msgspec.json.Decoder(Website)


@lru_cache(maxsize=256)
def load(document: str) -> Website:
    return _decoder.decode(document)


def dump(website: Website) -> str:
    return msgspec.json.encode(website).decode()


def view(website: Website) -> dict[str, Any]:
    """As the members of an answer."""
    found: dict[str, Any] = msgspec.to_builtins(website)
    return found


def of_configuration(given: Mapping[str, Any]) -> Website:
    """Raises InvalidArgument, InvalidRequest, MalformedXML."""
    if given.get("RedirectAllRequestsTo") is not None:
        if len(given) > 1:
            raise InvalidArgument(
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
                fields={"ArgumentName": "RedirectAllRequestsTo", "ArgumentValue": "not null"},
            )
        _check_protocol(given["RedirectAllRequestsTo"])
    else:
        _check_index(given.get("IndexDocument"))
    rules = given.get("RoutingRules")
    if rules is not None:
        if not rules:
            raise MalformedXML()
        if len(rules) > MOST_RULES:
            raise InvalidRequest(f"The number of routing rules must not exceed the allowed limit of {MOST_RULES}.")
        for rule in rules:
            _check_rule(rule)
    try:
        return msgspec.convert(given, Website)
    except msgspec.ValidationError:
        raise MalformedXML() from None


def _check_index(index: Mapping[str, Any] | None) -> None:
    if index is None:
        raise InvalidArgument(
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
            fields={"ArgumentName": "IndexDocument", "ArgumentValue": "null"},
        )
    suffix = index.get("Suffix") or ""
    if not suffix or "/" in suffix:
        raise InvalidArgument(
            "The IndexDocument Suffix is not well formed",
            fields={"ArgumentName": "IndexDocument", "ArgumentValue": suffix},
        )


def _check_rule(rule: Mapping[str, Any]) -> None:
    redirect, condition = rule.get("Redirect") or {}, rule.get("Condition")
    if "ReplaceKeyPrefixWith" in redirect and "ReplaceKeyWith" in redirect:
        raise InvalidRequest("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    if condition is not None and not condition:
        raise InvalidRequest(
            "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be "
            "present."
        )
    _check_protocol(redirect)
    code = redirect.get("HttpRedirectCode")
    if code is not None and (len(code) != 3 or not code.isdecimal() or code[0] != "3" or code == "300"):
        raise InvalidRequest(f"The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except 300.")
    error = (condition or {}).get("HttpErrorCodeReturnedEquals")
    if error is not None and (len(error) != 3 or not error.isdecimal() or error[0] not in "45"):
        raise InvalidRequest(f"The provided HTTP error code ({error}) is not valid. Valid codes are 4XX or 5XX.")


def _check_protocol(redirect: Mapping[str, Any]) -> None:
    if redirect.get("Protocol") not in (None, "http", "https"):
        raise InvalidRequest(_PROTOCOL)


def choose(website: Website, key: str, status: int | None = None) -> RoutingRule | None:
    """The first rule that holds for a key: before it is looked for, or after that ended with `status`."""
    for rule in website.routing_rules or ():
        condition = rule.condition or Condition()
        code, prefix = condition.http_error_code_returned_equals, condition.key_prefix_equals
        if (code is None) != (status is None) or (code is not None and int(code) != status):
            continue
        if prefix is None or key.startswith(prefix):
            return rule
    return None


def location(rule: RoutingRule, key: str, scheme: str, host: str, query: str) -> str:
    """Where a rule sends a request for `key`; scheme, host and query are the request's own."""
    redirect = rule.redirect
    if redirect.replace_key_with is not None:
        key = redirect.replace_key_with
    elif redirect.replace_key_prefix_with is not None:
        prefix = (rule.condition or Condition()).key_prefix_equals or ""
        key = redirect.replace_key_prefix_with + key.removeprefix(prefix)
    return _url(redirect.protocol or scheme, redirect.host_name or host, key, query)


def location_of_all(redirect: RedirectAll, key: str, scheme: str, query: str) -> str:
    return _url(redirect.protocol or scheme, redirect.host_name, key, query)


def _url(scheme: str, host: str, key: str, query: str) -> str:
    path = quote(key, safe=_SAFE, errors="surrogateescape")
    return f"{scheme}://{host}/{path}" + (f"?{query}" if query else "")
