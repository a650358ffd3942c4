"""What each family of services says when it does not accept a request's signature.

`sigv4.py` and `sigv2.py` find out what is wrong and raise Refused with a reason and its details; which code, status and
words AWS has for that reason depends on the service. The texts are AWS's own, to the letter.
"""

from __future__ import annotations

from typing import Any

from eucapy.errors import ApiError


class Refused(Exception):
    """A signature that is not accepted. `reason` is one of the keys of the tables below."""

    def __init__(self, reason: str, **details: Any) -> None:
        super().__init__(reason)
        self.reason, self.details = reason, details


class _Refusal(ApiError):
    """An ApiError whose code and status come from the tables."""

    def __init__(self, code: str, status: int, text: str, fields: dict[str, Any] | None = None) -> None:
        super().__init__(text, fields=fields)
        self.code, self.status = code, status  # type: ignore[misc]


_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
_EC2_AUTH = ("AuthFailure", 401, "AWS was not able to validate the provided access credentials")

_EC2 = {
    "missing": ("MissingParameter", 400, "The request must contain the parameter AWSAccessKeyId"),
    "unknown key": _EC2_AUTH,
    "inactive key": _EC2_AUTH,
    "bad token": _EC2_AUTH,
    "mismatch": _EC2_AUTH,
    "payload": _EC2_AUTH,
    "scope": ("AuthFailure", 401, "{text}"),
    "expired token": ("RequestExpired", 400, "Request has expired."),
    "expired": ("RequestExpired", 400, "Request has expired."),
    "skewed": ("RequestExpired", 400, "Request has expired."),
    "no date": ("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
    "incomplete": ("AuthFailure", 401, "AWS was not able to validate the provided access credentials"),
    "unsigned headers": _EC2_AUTH,
    "unsupported": _EC2_AUTH,
}

_QUERY = {
    "missing": ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
    "unknown key": ("InvalidClientTokenId", 403, "The security token included in the request is invalid."),
    "inactive key": ("InvalidClientTokenId", 403, "The security token included in the request is invalid"),
    "bad token": ("InvalidClientTokenId", 403, "The security token included in the request is invalid"),
    "mismatch": ("SignatureDoesNotMatch", 403, _MISMATCH),
    "payload": ("SignatureDoesNotMatch", 403, _MISMATCH),
    "scope": ("SignatureDoesNotMatch", 403, "{text}"),
    "expired token": ("ExpiredToken", 403, "The security token included in the request is expired"),
    "expired": ("SignatureDoesNotMatch", 403, "{text}"),
    "skewed": ("SignatureDoesNotMatch", 403, "{text}"),
    "no date": ("IncompleteSignature", 400, "{text}"),
    "incomplete": ("IncompleteSignature", 400, "{text}"),
    "unsigned headers": ("SignatureDoesNotMatch", 403, "{text}"),
    "unsupported": ("IncompleteSignature", 400, "{text}"),
}

_JSON = {
    "missing": ("MissingAuthenticationTokenException", 400, "Missing Authentication Token"),
    "unknown key": ("UnrecognizedClientException", 400, "The security token included in the request is invalid."),
    "inactive key": ("UnrecognizedClientException", 400, "The security token included in the request is invalid."),
    "bad token": ("UnrecognizedClientException", 400, "The security token included in the request is invalid."),
    "mismatch": ("InvalidSignatureException", 400, _MISMATCH),
    "payload": ("InvalidSignatureException", 400, _MISMATCH),
    "scope": ("InvalidSignatureException", 400, "{text}"),
    "expired token": ("ExpiredTokenException", 400, "The security token included in the request is expired"),
    "expired": ("InvalidSignatureException", 400, "{text}"),
    "skewed": ("InvalidSignatureException", 400, "{text}"),
    "no date": ("IncompleteSignatureException", 400, "{text}"),
    "incomplete": ("IncompleteSignatureException", 400, "{text}"),
    "unsigned headers": ("InvalidSignatureException", 400, "{text}"),
    "unsupported": ("IncompleteSignatureException", 400, "{text}"),
}

_S3 = {
    "missing": ("AccessDenied", 403, "Access Denied"),
    "unknown key": ("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
    "inactive key": ("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
    "bad token": ("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
    "mismatch": (
        "SignatureDoesNotMatch", 403,
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
    ),
    "payload": (
        "XAmzContentSHA256Mismatch", 400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
    "scope": ("AuthorizationHeaderMalformed", 400, "The authorization header is malformed; {text}"),
    "query scope": (
        "AuthorizationQueryParametersError", 400, "Error parsing the X-Amz-Credential parameter; {text}",
    ),
    "query": ("AuthorizationQueryParametersError", 400, "{text}"),
    "expired token": ("ExpiredToken", 400, "The provided token has expired."),
    "expired": ("AccessDenied", 403, "Request has expired"),
    "skewed": (
        "RequestTimeTooSkewed", 403, "The difference between the request time and the current time is too large.",
    ),
    "no date": ("AccessDenied", 403, "AWS authentication requires a valid Date or x-amz-date header"),
    "incomplete": ("AuthorizationHeaderMalformed", 400, "The authorization header is malformed; {text}"),
    "unsigned headers": (
        "AccessDenied", 403, "There were headers present in the request which were not signed",
    ),
    "unsupported": ("InvalidArgument", 400, "Unsupported Authorization Type"),
    "argument": ("InvalidArgument", 400, "{text}"),
    "no payload hash": ("InvalidRequest", 400, "Missing required header for this request: x-amz-content-sha256"),
}  # fmt: skip

_TABLES = {"ec2": _EC2, "query": _QUERY, "s3": _S3}
# Reasons that only S3 tells apart.
_ELSEWHERE = {"query scope": "scope", "query": "incomplete", "argument": "incomplete", "no payload hash": "incomplete"}


def refusal(refused: Refused, family: str) -> ApiError:
    """The family's error for the reason. S3's answers carry the details as elements of their own."""
    table = _TABLES.get(family, _JSON)
    reason = refused.reason if refused.reason in table else _ELSEWHERE[refused.reason]
    code, status, template = table[reason]
    details = dict(refused.details)
    words = str(details.pop("text", ""))
    return _Refusal(code, status, template.replace("{text}", words), details if family == "s3" else None)
