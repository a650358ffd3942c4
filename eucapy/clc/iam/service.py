"""The IAM service that the handlers of this folder register with, its error codes, and `changed`.

Texts are IAM's own, where one code has one text; else they stand where they are raised.
"""

from __future__ import annotations

from eucapy.aws.service import Service
from eucapy.clc.context import Call
from eucapy.clc.iam.extension import EXTENSION
from eucapy.errors import ApiError

iam = Service("iam", terse=True, extend=EXTENSION)


class NoSuchEntity(ApiError):
    status = 404


class EntityAlreadyExists(ApiError):
    status = 409


class DeleteConflict(ApiError):
    status = 409


class LimitExceeded(ApiError):
    status = 409
    message = "Cannot exceed quota for {quota}: {most}"


class ValidationError(ApiError):
    pass


class InvalidInput(ApiError):
    pass


class MalformedPolicyDocument(ApiError):
    pass


class MalformedCertificate(ApiError):
    message = "Certificate {body} is malformed."


class UnmodifiableEntity(ApiError):
    pass


class EntityTemporarilyUnmodifiable(ApiError):
    status = 409


class AccessDenied(ApiError):
    status = 403


def changed(call: Call) -> None:
    """Somebody's powers are others now: what is kept of them in memory is forgotten when this call commits."""
    call.wake("keys")
