"""The grammar of IAM's own policies, with IAM's words for what is wrong: `identity`, `session`, `trust`. Pure.

Policies of resources have other rules and other words (S3's): `policy.parse`. IAM looks in a fixed order, so that of several
mistakes one document always gets the same answer: the form, the version, what its first parser did not read ("legacy
parsing": the case of Effect, dates, ARNs), statement ids, actions, resources; then what only this kind of policy has.
Sizes are counted without white space: `size`, and the quotas below; who refuses says it in its own words.
Sources: "Grammar of the IAM JSON policy language", "IAM and AWS STS quotas", IAM guide; the texts are IAM's answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from eucapy.aws.policyconditions import is_operator
from eucapy.aws.policystatements import (
    ACCOUNT,
    ALLOW,
    ARN,
    DENY,
    NEWEST,
    OLDEST,
    VERSIONS,
    MalformedPolicy,
    Policy,
    Statement,
)

MOST_OF_MANAGED, MOST_OF_USER, MOST_OF_GROUP, MOST_OF_ROLE, MOST_OF_TRUST, MOST_OF_SESSION = (
    6144, 2048, 5120, 10240, 2048, 2048,
)  # fmt: skip
"""Characters: of one managed policy; of all inline policies of a user, a group, a role together; of a role's trust policy; of
a session policy."""

_SYNTAX = "Syntax errors in policy."
_LEGACY = "The policy failed legacy parsing"
_FIELDS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_SID = re.compile(r"[0-9A-Za-z]*\Z")
_VENDOR = re.compile(r"[A-Za-z0-9.-]+\Z")
_PARTITIONS = frozenset(
    {"*", "aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}
)
_IAM_PATHS = (
    "user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/", "policy/",
    "sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/",
)  # fmt: skip
_S3_WITH_REGION = ("accesspoint/", "job/", "storage-lens/", "storage-lens-group/", "access-grants/")
_DATE = re.compile(r"-?(\d{1,9})(?:-(\d{1,2})(?:-(\d{1,2}))?)?(?:[tT](.*))?\Z", re.ASCII)
_TIME = re.compile(
    r"(?:(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?(?:[zZ]|[+-](\d\d)(?::?(\d\d))?)?)?)?)?[zZ]?\Z", re.ASCII
)
_TRUST_ACTIONS = frozenset(
    {
        "assumerole", "assumerolewithsaml", "assumerolewithwebidentity", "assumeroot", "decodeauthorizationmessage",
        "getaccesskeyinfo", "getcalleridentity", "getfederationtoken", "getservicebearertoken", "getsessiontoken",
        "setcontext", "setsourceidentity", "tagsession",
    }
)  # fmt: skip
_SERVICE = re.compile(r"(?:[a-z0-9-]+\.)+(?:amazonaws\.com(?:\.cn)?|amazon\.com|aws\.internal)\Z")
_PROVIDER = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(?:saml|oidc)-provider/\S+\Z")
GONE = re.compile(r"A(?:IDA|ROA)[A-Z2-7]{17}\Z")
"""The unique id that stands in a trust policy for a user or role that was deleted: it matches nobody."""
_PROVIDERS = frozenset(
    {"accounts.google.com", "graph.facebook.com", "www.amazon.com", "cognito-identity.amazonaws.com"}
)


def identity(text: str) -> Policy:
    """A policy of an identity: managed, inline, or a boundary. Raises MalformedPolicy."""
    document = _document(text)
    statements = _statements(document)
    if document.get("Version") != NEWEST:
        raise MalformedPolicy("Policy document must be version 2012-10-17 or greater.")
    _check(statements)
    if any("Principal" in each or "NotPrincipal" in each for each in statements):
        raise MalformedPolicy("Policy document should not specify a principal.")
    for each in statements:
        if not _SID.match(each.get("Sid") or ""):
            raise MalformedPolicy(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
                "[0-9A-Za-z]*"
            )
        if not _listed(each, "Resource"):
            raise MalformedPolicy("Policy statement must contain resources.")
    return _policy(statements, NEWEST)


def session(text: str) -> Policy:
    """A session policy: as one of an identity."""
    return identity(text)


def trust(text: str) -> Policy:
    """A role's trust policy, of either version. Raises MalformedPolicy; whether the users and roles that it names are there
    is not looked at: see `Statement.principals`, and `invalid_principal` for IAM's answer where one is not."""
    document = _document(text)
    statements = _statements(document)
    _check(statements)
    if any("NotAction" in each or not all(map(_is_of_sts, _listed(each, "Action"))) for each in statements):
        raise MalformedPolicy("AssumeRole policy may only specify STS AssumeRole actions.")
    if any("Resource" in each or "NotResource" in each for each in statements):
        raise MalformedPolicy("Has prohibited field Resource")
    for each in statements:
        _check_principals(each)
    return _policy(statements, document.get("Version", OLDEST))


def size(text: str) -> int:
    """How many characters of a policy count: white space does not."""
    return sum(not character.isspace() for character in text)


def invalid_principal(kind: str, value: str) -> MalformedPolicy:
    """What IAM says of a principal that is none, or does not exist."""
    return MalformedPolicy(f'Invalid principal in policy: "{kind.upper()}":"{value}"')


# --- form -------------------------------------------------------------------------------------------------------------


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        begins = text.lstrip().startswith("{")
        raise MalformedPolicy("This policy contains invalid Json" if begins else _SYNTAX) from None
    if not isinstance(document, dict):
        raise MalformedPolicy(_SYNTAX)
    return document


def _statements(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    _require(document.keys() <= {"Version", "Id", "Statement"})
    _require(document.get("Version", NEWEST) in VERSIONS and isinstance(document.get("Id", ""), str))
    statements = document.get("Statement")
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements:
        raise MalformedPolicy(_SYNTAX)
    for each in statements:
        _require(isinstance(each, dict) and each.keys() <= _FIELDS)
        for name in ("Principal", "Action", "Resource"):
            _require(name not in each or f"Not{name}" not in each)
        _require(isinstance(each.get("Effect"), str) and each["Effect"].lower() in ("allow", "deny"))
        _require(isinstance(each.get("Sid", ""), str))
        for name in ("Action", "NotAction", "Resource", "NotResource"):
            _require(name not in each or _are_texts(each[name]))
        for name in ("Principal", "NotPrincipal"):
            _require(name not in each or _are_principals(each[name]))
        _check_conditions(each.get("Condition", {}))
    return statements


def _require(met: bool, complaint: str = _SYNTAX) -> None:
    if not met:
        raise MalformedPolicy(complaint)


def _are_texts(value: Any) -> bool:
    """A text or a list of them; IAM lets null pass in a list, and means nothing by it."""
    if isinstance(value, list):
        return all(each is None or isinstance(each, str) for each in value)
    return isinstance(value, str)


def _are_principals(value: Any) -> bool:
    return value == "*" or (isinstance(value, dict) and all(map(_are_texts, value.values())))


def _check_conditions(conditions: Any) -> None:
    _require(isinstance(conditions, dict))
    for operator, keys in conditions.items():
        _require(isinstance(keys, dict) and (is_operator(operator) or not keys))
        for value in keys.values():
            values = value if isinstance(value, list) else [value]
            _require(all(isinstance(each, str | bool | int | float) for each in values))


# --- what every policy of IAM must be ---------------------------------------------------------------------------------


def _check(statements: list[dict[str, Any]]) -> None:
    complaint = ""
    for each in statements:
        _require(each["Effect"] in (ALLOW, DENY), _LEGACY)
        for operator, keys in each.get("Condition", {}).items():
            if operator.rpartition(":")[2].startswith("Date"):
                values = [one for value in keys.values() for one in (value if isinstance(value, list) else [value])]
                _require(all(map(_is_moment, values)), _LEGACY)
    for each in statements:
        resources = [value for value in _listed(each, "Resource") if value != "*"]
        complaint = complaint or next(filter(None, map(_resource_complaint, sorted(resources))), "")
        if not complaint:
            _require(all(map(_is_read, resources)), _LEGACY)
    sids = [each["Sid"] for each in statements if each.get("Sid")]
    _require(len(set(sids)) == len(sids), "Statement IDs (SID) in a single policy must be unique.")
    _require(all(_listed(each, "Action") for each in statements), "Policy statement must contain actions.")
    _require(not complaint, complaint)
    for each in statements:
        for action in _listed(each, "Action"):
            _check_action(action)


def _listed(statement: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a member or of its Not… twin."""
    return _texts(statement.get(name, statement.get(f"Not{name}")))


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _check_action(action: str) -> None:
    if action == "*":
        return
    vendor, *names = action.split(":")
    _require(bool(names), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    _require(len(names) == 1, "Actions/Condition can contain only one colon.")
    _require(vendor == "*" or _VENDOR.match(vendor) is not None, f"Vendor {vendor} is not valid")


def _resource_complaint(resource: str) -> str:
    """What IAM says of a resource that is no ARN of its; empty: nothing."""
    _, colon, rest = resource.partition(":")
    if not colon:
        return f'Resource {resource} must be in ARN format or "*".'
    partition, colon, rest = rest.partition(":")
    parts = rest.split(":", 3) if rest or colon else []
    if partition not in _PARTITIONS:
        shown = ":".join((parts + ["*"] * 4)[:4]) if rest else "*:*:*:*"
        return f'Partition "{partition}" is not valid for resource "arn:{partition}:{shown}".'
    if not colon:
        return "Resource vendor must be fully qualified and cannot contain regexes."
    service, region, _, path = (*parts, "", "", "", "")[:4]
    if region and service == "iam":
        return f"IAM resource {resource} cannot contain region information."
    if region and service == "s3" and not path.startswith(_S3_WITH_REGION):
        return f"Resource {resource} can not contain region information."
    if service == "iam" and path and path != "*" and not path.startswith(_IAM_PATHS):
        return f'IAM resource path must either be "*" or start with {", ".join(_IAM_PATHS)}.'
    return ""


def _is_read(resource: str) -> bool:
    """Whether IAM's first parser reads the ARN: its service is there, and an empty segment only where all six are."""
    return (resource.count(":") >= 5 or "::" not in resource) and resource.split(":", 3)[2] != ""


def _is_moment(value: Any) -> bool:
    """ISO 8601, with as much of it as one likes, or seconds since the epoch."""
    text = str(value)
    if "t" not in text.lower() and "-" not in text:
        return text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 2**63
    date = _DATE.match(text)
    time = _TIME.match(date.group(4) or "") if date is not None else None
    if date is None or time is None:
        return False
    year, month, day = (int(each) if each else 1 for each in date.group(1, 2, 3))
    hour, minute, second, _, zone_hour, zone_minute = (int(each) if each else 0 for each in time.groups())
    in_range = year <= 292278993 and 1 <= month <= 12 and 1 <= day <= 31
    return in_range and max(hour, zone_hour) <= 23 and max(minute, second, zone_minute) <= 59


# --- trust policies ---------------------------------------------------------------------------------------------------


def _is_of_sts(action: str) -> bool:
    vendor, _, name = action.lower().partition(":")
    return vendor == "sts" and ("*" in name or name in _TRUST_ACTIONS)


def _check_principals(statement: Mapping[str, Any]) -> None:
    value = statement.get("Principal", statement.get("NotPrincipal"))
    _require(value is not None, "Missing required field Principal")
    if value == "*":
        raise MalformedPolicy('AssumeRolepolicy contained an invalid principal: "STAR":"*".')
    named = _named(value)
    if not named:
        raise MalformedPolicy(
            "Invalid principal in policy: com.amazon.balsa.error.InvalidPolicyException: The passed in policy has a "
            "statement with no principals!"
        )
    for kind, name in named:
        if kind == "AWS":
            valid = name == "*" or any(form.match(name) for form in (ACCOUNT, ARN, GONE))
        elif kind == "Service":
            valid = _SERVICE.match(name) is not None
        else:
            valid = kind == "Federated" and (name in _PROVIDERS or _PROVIDER.match(name) is not None)
        if not valid:
            raise invalid_principal(kind, name)


def _named(principal: Any) -> tuple[tuple[str, str], ...]:
    if principal == "*":
        return (("AWS", "*"),)
    return tuple((kind, name) for kind, names in principal.items() for name in _texts(names))


# --- what it says -----------------------------------------------------------------------------------------------------


def _policy(statements: Iterable[Mapping[str, Any]], version: str) -> Policy:
    return Policy(tuple(map(_statement, statements)), version)


def _statement(raw: Mapping[str, Any]) -> Statement:
    principals = raw.get("Principal", raw.get("NotPrincipal"))
    return Statement(
        effect=raw["Effect"],
        principals=None if principals is None else _named(principals),
        not_principal="NotPrincipal" in raw,
        actions=tuple(_listed(raw, "Action")),
        not_action="NotAction" in raw,
        resources=tuple(_listed(raw, "Resource")) or ("*",),  # a trust policy is about its role
        not_resource="NotResource" in raw,
        conditions=tuple(
            (operator, key.lower(), tuple(_as_text(one) for one in (value if isinstance(value, list) else [value])))
            for operator, keys in raw.get("Condition", {}).items()
            for key, value in keys.items()
        ),
        sid=raw.get("Sid", ""),
    )


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
