"""EC2's error codes as classes: the name is the code. Texts after the EC2 API reference, "Error codes", and as EC2 words them.

Errors of the edge (MissingParameter, InvalidAction, AuthFailure and the like) stand in `eucapy/aws/errors.py`; NotFound and
Malformed of ids in `eucapy/ids.py`.
"""

from __future__ import annotations

from eucapy.errors import ApiError


class InvalidParameterValue(ApiError):
    """The text is given where it is raised."""


class InvalidParameterCombination(ApiError):
    """The text is given where it is raised."""


class MissingParameter(ApiError):
    message = "The request must contain the parameter {name}"


class InvalidKeyPairDuplicate(ApiError):
    code = "InvalidKeyPair.Duplicate"
    message = "The keypair already exists"


class InvalidKeyPairNotFound(ApiError):
    code = "InvalidKeyPair.NotFound"
    message = "The key pair '{name}' does not exist"


class InvalidKeyFormat(ApiError):
    code = "InvalidKey.Format"
    message = "Key is not in valid OpenSSH public key format"


class InvalidZoneNotFound(ApiError):
    code = "InvalidParameterValue"
    message = "Invalid availability zone: [{zone}]"
