"""Paging: tokens that only we can make, and EC2's rules for MaxResults.

A NextToken holds where the next page starts, sealed with the cloud's key: it cannot be read into, changed, or carried to
another operation or account. The state is any JSON document; keep it small (the last row's sort key).

    pager = Pager(secret)
    start = pager.open("ec2:DescribeInstances", call.account, p.get("NextToken"))
    ...
    token = pager.seal("ec2:DescribeInstances", call.account, {"after": rows[-1].id}) if more else None
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

from eucapy.aws.errors import ApiError, InvalidParameterCombination, InvalidParameterValue

_TAG_BYTES = 16


class InvalidNextToken(ApiError):
    message = "The specified token is not valid."


class Pager:
    """Seals and opens tokens with a key derived from `secret`, which all controllers of a cloud share."""

    def __init__(self, secret: bytes) -> None:
        self._key = hashlib.sha256(b"paging\0" + secret).digest()

    def seal(self, operation: str, account: str, state: Any) -> str:
        """The token that stands for `state`."""
        body = msgspec.json.encode(state)
        return base64.urlsafe_b64encode(self._tag(operation, account, body) + body).decode("ascii")

    def open(self, operation: str, account: str, token: str | None, invalid: type[ApiError] = InvalidNextToken) -> Any:
        """The state in `token`, None for no token. Raises `invalid` for one that we did not make for this use."""
        if not token:
            return None
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii"))
        except (UnicodeEncodeError, binascii.Error, ValueError):
            raise invalid() from None
        tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(operation, account, body)):
            raise invalid()
        return msgspec.json.decode(body)

    def _tag(self, operation: str, account: str, body: bytes) -> bytes:
        text = f"{operation}\0{account}\0".encode() + body
        return hmac.digest(self._key, text, "sha256")[:_TAG_BYTES]


def max_results(
    params: dict[str, Any], *, low: int = 5, high: int = 1000, default: int | None = None, never_with: str | None = None
) -> int | None:
    """EC2's MaxResults: within `low` and `high`, and not together with the member `never_with` (`InstanceIds`).

    None means that the client did not ask for pages and `default` is None. Raises InvalidParameterValue,
    InvalidParameterCombination.
    """
    value = params.get("MaxResults")
    if value is None:
        return default
    if never_with is not None and params.get(never_with):
        raise InvalidParameterCombination(first=_set_name(never_with), second="maxResults")
    if value < low:
        raise InvalidParameterValue(
            f"Value ( {value} ) for parameter maxResults is invalid. Expecting a value greater than {low}."
        )
    if value > high:
        raise InvalidParameterValue(
            f"Value ( {value} ) for parameter maxResults is invalid. Expecting a value less than {high}."
        )
    return int(value)


def _set_name(member: str) -> str:
    """EC2 calls `InstanceIds` the `instancesSet`, `VolumeIds` the `volumesSet`."""
    stem = member.removesuffix("Ids").removesuffix("Names")
    return f"{stem[:1].lower()}{stem[1:]}sSet" if stem != member else member[:1].lower() + member[1:]
