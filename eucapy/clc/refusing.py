"""How a refusal is worded, by service, and the sealed details that EC2 adds for sts:DecodeAuthorizationMessage.

EC2   UnauthorizedOperation  You are not authorized to perform this operation. User: … is not authorized to perform: …
JSON  AccessDeniedException  User: … is not authorized to perform: …
others AccessDenied          User: … is not authorized to perform: …

What the details tell (which statements matched, the condition keys of the request) may be nobody's business but the
account's: they travel encrypted, and who may call DecodeAuthorizationMessage reads them.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag

from eucapy.clc.context import Principal
from eucapy.clc.seal import Seal
from eucapy.errors import ApiError

LONGEST_MESSAGE = 10240
"""Characters. Source: DecodeAuthorizationMessage, "EncodedMessage"."""
_DETAILS_BYTES = 48 * 1024


class UnauthorizedOperation(ApiError):
    status = 403
    message = "You are not authorized to perform this operation."


class AccessDenied(ApiError):
    status = 403
    message = "Access Denied"


class AccessDeniedException(ApiError):
    status = 403
    message = "User is not authorized to perform this operation."


class UnreadableMessage(Exception):
    """Not a message of this cloud's, or not this account's."""


def worded(arn: str, action: str, resource: str | None, because: str) -> str:
    """`because` with its first word ("because no …", "with an explicit deny …")."""
    on = f" on resource: {resource}" if resource is not None else ""
    return f"User: {arn} is not authorized to perform: {action}{on} {because}"


def refusal(family: str, text: str, encoded: str = "") -> ApiError:
    """The error of a service of that family (`Service.family`)."""
    if family == "json":
        return AccessDeniedException(text)
    if family != "ec2":
        return AccessDenied(text)
    more = f". Encoded authorization failure message: {encoded}" if encoded else ""
    return UnauthorizedOperation(f"You are not authorized to perform this operation. {text}{more}")


def details(
    principal: Principal,
    action: str,
    resource: str,
    keys: Mapping[str, str | Sequence[str]],
    *,
    explicit: bool,
    matched: Sequence[Mapping[str, object]],
) -> str:
    """The decoded message, JSON. Source: DecodeAuthorizationMessage and its example."""
    conditions = [
        {
            "key": key,
            "values": {"items": [{"value": value} for value in ([given] if isinstance(given, str) else given)]},
        }
        for key, given in sorted(keys.items())
    ]
    return json.dumps(
        {
            "allowed": False,
            "explicitDeny": explicit,
            "matchedStatements": {"items": list(matched)},
            "failures": {"items": []},
            "context": {
                "principal": {"id": principal.unique_id, "name": principal.user_name, "arn": principal.arn},
                "action": action,
                "resource": resource,
                "conditions": {"items": conditions},
            },
        },
        separators=(",", ":"),
    )


class Messages:
    """Seals and opens details. A message opens for the account that it was made for alone."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal.derived(b"authorization failure messages")

    def encoded(self, account: str, text: str) -> str:
        sealed = self._seal.seal(zlib.compress(text.encode(), 9), account.encode())
        message = base64.urlsafe_b64encode(sealed).decode()
        return message if len(message) <= LONGEST_MESSAGE else ""

    def decoded(self, account: str, message: str) -> str:
        """Raises UnreadableMessage."""
        try:
            packed = self._seal.unseal(base64.urlsafe_b64decode(message.encode()), account.encode())
            return zlib.decompressobj().decompress(packed, _DETAILS_BYTES).decode()
        except (InvalidTag, binascii.Error, ValueError, zlib.error) as error:
            raise UnreadableMessage(type(error).__name__) from None
