"""The STS service that the handlers of this folder register with, and its error codes."""

from __future__ import annotations

from eucapy.aws.service import Service
from eucapy.errors import ApiError

sts = Service("sts", body_limit=1 << 18)


class ValidationError(ApiError):
    """The text is given where it is raised."""


class InvalidParameterValue(ApiError):
    """The text is given where it is raised."""


class AccessDenied(ApiError):
    status = 403
    message = "User: {arn} is not authorized to perform: {action} on resource: {resource}"


class MalformedPolicyDocument(ApiError):
    """The text is the policy grammar's."""


class PackedPolicyTooLarge(ApiError):
    message = "Packed size of {what} consumes {percent}% of allotted space."


class InvalidClientTokenId(ApiError):
    status = 403
    message = "The security token included in the request is invalid"


class InvalidIdentityToken(ApiError):
    """What a web identity or a SAML response is refused for; the text is given where it is raised."""


class ExpiredTokenException(ApiError):
    """A web identity or a SAML response that is too old; the text is given where it is raised."""


class IDPRejectedClaim(ApiError):
    status = 403


class IDPCommunicationError(ApiError):
    """An identity provider that does not answer: the caller may try again."""


class InvalidAuthorizationMessageException(ApiError):
    message = "Message is not valid"
