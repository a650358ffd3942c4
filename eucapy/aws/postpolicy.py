"""Browser uploads: the signature and the policy of S3's `POST /bucket` forms.

A form carries its own authorization: a policy (base64 of JSON), signed by version 4 or 2, that says until when and which
fields it covers. Walrus reads the form and hands its fields here, by lower-case name, before it takes the file.

    who = await post_identity(chain.authenticator, fields, now)          # NOBODY when the form has no policy
    lengths = check_policy(fields, bucket="b", now=now)                  # every field is covered; the file's size range
    lengths.check(size)
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from eucapy.aws import sigv2, sigv4
from eucapy.aws.authenticate import Authenticator
from eucapy.aws.credentials import NOBODY, Identity, identity
from eucapy.aws.errors import AccessDenied, ApiError, InvalidArgument
from eucapy.aws.refusals import Refused, refusal
from eucapy.aws.timestamps import parse_compact, parse_iso

# Fields that a policy need not cover: the signature's own, and the file.
_EXEMPT = frozenset({"awsaccesskeyid", "signature", "policy", "file", "x-amz-signature"})
# A checksum says something of the file, which nobody knows who signs the policy.
_EXEMPT_STARTS = ("x-ignore-", "x-amz-checksum-")
_EXPIRATION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z\Z", re.ASCII)


class InvalidPolicyDocument(ApiError):
    message = "Invalid Policy: {reason}"


class EntityTooLarge(ApiError):
    message = "Your proposed upload exceeds the maximum allowed size"


class EntityTooSmall(ApiError):
    message = "Your proposed upload is smaller than the minimum allowed size"


class LengthRange(msgspec.Struct, frozen=True):
    """The sizes in bytes that a policy allows."""

    low: int = 0
    high: int | None = None

    def check(self, size: int) -> None:
        """Raises EntityTooLarge, EntityTooSmall."""
        if self.high is not None and size > self.high:
            raise EntityTooLarge(fields={"ProposedSize": size, "MaxSizeAllowed": self.high})
        if size < self.low:
            raise EntityTooSmall(fields={"ProposedSize": size, "MinSizeAllowed": self.low})


async def post_identity(authenticator: Authenticator, fields: Mapping[str, str], now: float) -> Identity:
    """Who signed the form's policy; NOBODY when there is none. Raises S3's ApiErrors."""
    try:
        if "x-amz-signature" in fields or "x-amz-algorithm" in fields:
            return await _version4(authenticator, fields, now)
        if "signature" in fields or "awsaccesskeyid" in fields:
            return await _version2(authenticator, fields, now)
    except Refused as refused:
        raise refusal(refused, "s3") from None
    return NOBODY


def _need(fields: Mapping[str, str], name: str, title: str) -> str:
    value = fields.get(name)
    if not value:
        raise InvalidArgument(
            f"Bucket POST must contain a field named '{title}'.  If it is specified, please check the order of the fields.",
            fields={"ArgumentName": title, "ArgumentValue": ""},
        )
    return value


def _mismatch(access_key_id: str, policy: str, signature: str) -> Refused:
    return Refused(
        "mismatch",
        AWSAccessKeyId=access_key_id,
        StringToSign=policy,
        SignatureProvided=signature,
        StringToSignBytes=policy.encode("utf-8", "surrogateescape").hex(" "),
    )


async def _version4(authenticator: Authenticator, fields: Mapping[str, str], now: float) -> Identity:
    policy = _need(fields, "policy", "policy")
    if _need(fields, "x-amz-algorithm", "X-Amz-Algorithm") != sigv4.ALGORITHM:
        raise InvalidArgument(
            "X-Amz-Algorithm only supports AWS4-HMAC-SHA256",
            fields={"ArgumentName": "X-Amz-Algorithm", "ArgumentValue": fields["x-amz-algorithm"][:100]},
        )
    parts = _need(fields, "x-amz-credential", "X-Amz-Credential").rsplit("/", 4)
    signature = _need(fields, "x-amz-signature", "X-Amz-Signature")
    date = _need(fields, "x-amz-date", "X-Amz-Date")
    if len(parts) != 5 or parts[4] != "aws4_request" or not date.startswith(parts[1]):
        raise Refused("query scope", text="the Credential is mal-formed")
    try:
        parse_compact(date)
    except ValueError:
        raise Refused("query", text="X-Amz-Date must be in the ISO8601 Long Format") from None
    credential = await authenticator.credential(parts[0], fields.get("x-amz-security-token"), now)
    computed = sigv4.sign(credential.secret, parts[1], parts[2], parts[3], policy)
    if not hmac.compare_digest(computed.encode(), signature.encode("utf-8", "surrogateescape")):
        raise _mismatch(parts[0], policy, signature)
    return identity(credential, "v4-post")


async def _version2(authenticator: Authenticator, fields: Mapping[str, str], now: float) -> Identity:
    policy = _need(fields, "policy", "policy")
    access_key_id = _need(fields, "awsaccesskeyid", "AWSAccessKeyId")
    signature = _need(fields, "signature", "Signature")
    credential = await authenticator.credential(access_key_id, fields.get("x-amz-security-token"), now)
    computed = sigv2.sign(credential.secret, policy)
    if not hmac.compare_digest(computed.encode(), signature.encode("utf-8", "surrogateescape")):
        raise _mismatch(access_key_id, policy, signature)
    return identity(credential, "v2-post")


def check_policy(fields: Mapping[str, str], *, bucket: str, now: float) -> LengthRange:
    """The form obeys its policy; gives the range of the file's size. Raises AccessDenied, InvalidPolicyDocument."""
    document = _document(fields.get("policy", ""))
    for member in ("expiration", "conditions"):
        if member not in document:
            raise InvalidPolicyDocument(reason=f"Policy missing {member}.")
    expires, conditions = _expiration(document["expiration"]), document["conditions"]
    if not isinstance(conditions, list):
        raise InvalidPolicyDocument(reason="Invalid 'conditions' value: it must be a list.")
    if now > expires:
        raise AccessDenied("Invalid according to Policy: Policy expired.")
    given = {**fields, "bucket": bucket}
    covered: set[str] = set()
    lengths = LengthRange()
    for condition in conditions:
        operator, name, value = _condition(condition)
        if operator == "content-length-range":
            lengths = _range(condition)
            continue
        covered.add(name)
        actual = given.get(name, "")
        met = actual.startswith(value) if operator == "starts-with" else actual == value
        if operator == "starts-with" and name == "content-type" and "," in actual:
            met = all(part.strip().startswith(value) for part in actual.split(","))
        if not met:
            raise _failed(condition)
    for name in fields:
        if name not in covered and name not in _EXEMPT and not name.startswith(_EXEMPT_STARTS):
            raise AccessDenied(f"Invalid according to Policy: Extra input fields: {name}")
    return lengths


def _expiration(text: Any) -> float:
    """Seconds since the epoch. Raises InvalidPolicyDocument."""
    try:
        if not isinstance(text, str) or _EXPIRATION.match(text) is None:
            raise ValueError
        return parse_iso(text).timestamp()
    except ValueError:
        raise InvalidPolicyDocument(reason=f"Invalid 'expiration' value: '{text!s:.100}'") from None


def _document(policy: str) -> dict[str, Any]:
    try:
        document = json.loads(base64.b64decode(policy, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidPolicyDocument(reason="Invalid JSON.") from None
    if not isinstance(document, dict):
        raise InvalidPolicyDocument(reason="Invalid JSON.")
    return document


def _condition(condition: Any) -> tuple[str, str, str]:
    """(operator, field or lower bound, value or upper bound)."""
    if isinstance(condition, dict):
        if len(condition) != 1:
            raise InvalidPolicyDocument(
                reason="Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."
            )
        ((name, value),) = condition.items()
        if isinstance(value, str):
            return "eq", name.lower(), value
    if isinstance(condition, list) and len(condition) == 3 and isinstance(condition[0], str):
        operator, name, value = condition[0].lower(), condition[1], condition[2]
        if operator == "content-length-range":
            return operator, "", ""
        if operator in ("eq", "starts-with") and isinstance(name, str) and isinstance(value, str):
            if name[:1] != "$":
                raise _failed(condition)
            return operator, name[1:].lower(), value
    raise InvalidPolicyDocument(reason=f"Invalid Condition: {_told(condition)}")


def _range(condition: list[Any]) -> LengthRange:
    """Numbers, or text that holds such. Raises AccessDenied, InvalidPolicyDocument."""
    try:
        low, high = (int(bound) for bound in condition[1:])
    except (TypeError, ValueError):
        raise _failed(condition) from None
    if not 0 <= low <= high:
        raise InvalidPolicyDocument(reason=f"Invalid content-length-range: {_told(condition)}")
    return LengthRange(low, high)


def _failed(condition: Any) -> AccessDenied:
    return AccessDenied(f"Invalid according to Policy: Policy Condition failed: {_told(condition)}")


def _told(condition: Any) -> str:
    if isinstance(condition, dict) and len(condition) == 1:
        ((name, value),) = condition.items()
        condition = ["eq", f"${name}", value]
    return json.dumps(condition)[:300]
