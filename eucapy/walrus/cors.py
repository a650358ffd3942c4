"""Cross-origin rules: whether a configuration can be one, which rule fits a request, and what the answer then says. Pure.

The first rule fits whose origins, methods and (of a preflight) headers all do. `*` stands once in an origin or a header and
matches any text, the empty one too. A request that no rule fits is answered as if there were no rules; only a preflight is
refused. The handlers: `s3/cors.py`; headers on all other answers: `finishing.py`.
Source: "Using cross-origin resource sharing", S3 user guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from eucapy.aws.errors import InvalidRequest, MalformedXML

METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
MOST_RULES = 100
MOST_ID = 255
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


class Rule(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """A CORSRule; its JSON has the names of the model's members."""

    allowed_methods: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age_seconds: int | None = None
    id: str | None = msgspec.field(name="ID", default=None)


Rules = tuple[Rule, ...]
_decoder = msgspec.json.Decoder(Rules)


@lru_cache(maxsize=256)
def load(document: str) -> Rules:
    return _decoder.decode(document)


def dump(rules: Rules) -> str:
    return msgspec.json.encode(rules).decode()


def of_configuration(configuration: Mapping[str, Any]) -> Rules:
    """The rules of a CORSConfiguration. Raises MalformedXML, InvalidRequest."""
    given: Sequence[Mapping[str, Any]] = configuration.get("CORSRules") or ()
    if not given:
        raise MalformedXML()
    if len(given) > MOST_RULES:
        raise InvalidRequest(f"The number of CORS rules should not exceed allowed limit of {MOST_RULES} rules.")
    return tuple(_rule(each) for each in given)


def _rule(given: Mapping[str, Any]) -> Rule:
    methods, origins = given.get("AllowedMethods") or (), given.get("AllowedOrigins") or ()
    if not methods or not origins or len(given.get("ID") or "") > MOST_ID:
        raise MalformedXML()
    for method in methods:
        if method not in METHODS:
            raise InvalidRequest(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    allowed, exposed = given.get("AllowedHeaders") or (), given.get("ExposeHeaders") or ()
    for name, patterns in (("AllowedOrigin", origins), ("AllowedHeader", allowed)):
        for pattern in patterns:
            if pattern.count("*") > 1:
                raise InvalidRequest(f'{name} "{pattern}" can not have more than one wildcard.')
    for header in exposed:
        if "*" in header:
            raise InvalidRequest(
                f'ExposeHeader "{header}" contains wildcard. We currently do not support wildcard for ExposeHeader.'
            )
    age = given.get("MaxAgeSeconds")
    return Rule(tuple(methods), tuple(origins), tuple(allowed), tuple(exposed), age, given.get("ID"))


def view(rules: Rules) -> list[dict[str, Any]]:
    """As the member CORSRules of an answer."""
    found: list[dict[str, Any]] = msgspec.to_builtins(rules)
    return found


@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


def _fits(patterns: Sequence[str], text: str) -> bool:
    return any(_pattern(pattern).fullmatch(text) for pattern in patterns)


def requested(names: str | None) -> list[str]:
    """The lower-case names in Access-Control-Request-Headers, in order."""
    return [name.strip().lower() for name in (names or "").split(",") if name.strip()]


def choose(rules: Rules, origin: str, method: str, headers: Sequence[str]) -> Rule | None:
    """The first rule that fits."""
    for rule in rules:
        if (
            method in rule.allowed_methods
            and _fits(rule.allowed_origins, origin)
            and all(_fits([name.lower() for name in rule.allowed_headers], header) for header in headers)
        ):
            return rule
    return None


def answer(rule: Rule, origin: str, headers: Sequence[str]) -> dict[str, str]:
    """The headers that tell a browser what `rule` allows. With credentials, unless the rule is for every origin."""
    said = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": ", ".join(rule.allowed_methods)}
    if "*" in rule.allowed_origins:
        said["Access-Control-Allow-Origin"] = "*"
    else:
        said["Access-Control-Allow-Credentials"] = "true"
    if headers:
        said["Access-Control-Allow-Headers"] = ", ".join(headers)
    if rule.expose_headers:
        said["Access-Control-Expose-Headers"] = ", ".join(rule.expose_headers)
    if rule.max_age_seconds is not None:
        said["Access-Control-Max-Age"] = str(rule.max_age_seconds)
    said["Vary"] = VARY
    return said
