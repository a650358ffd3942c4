"""The IAM service that the handlers of this folder register with, and its error codes."""

from __future__ import annotations

from eucapy.aws.service import Service
from eucapy.errors import ApiError

iam = Service("iam")


class NoSuchEntity(ApiError):
    status = 404
    message = "The user with name {name} cannot be found."


class EntityAlreadyExists(ApiError):
    status = 409
    message = "User with name {name} already exists."


class DeleteConflict(ApiError):
    status = 409
    message = "Cannot delete entity, must delete access keys first."


class ValidationError(ApiError):
    """The text is given where it is raised."""


class LimitExceeded(ApiError):
    status = 409
    message = "Cannot exceed quota for AccessKeysPerUser: 2"
