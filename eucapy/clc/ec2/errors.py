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


class InvalidInstanceType(ApiError):
    """The text is given where it is raised."""


class InvalidAMIIDUnavailable(ApiError):
    code = "InvalidAMIID.Unavailable"
    message = "The image ID '{image}' is not available"


class InvalidAMINameDuplicate(ApiError):
    code = "InvalidAMIName.Duplicate"
    message = "AMI name {name} is already in use by AMI {image}"


class InvalidAMINameMalformed(ApiError):
    code = "InvalidAMIName.Malformed"
    message = (
        "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', "
        "'/' and '_'"
    )


class InvalidAMIAttributeItemValue(ApiError):
    message = "Invalid attribute item value \"{value}\" for {item} item type."


class InvalidBlockDeviceMapping(ApiError):
    """The text is given where it is raised."""


class InsufficientInstanceCapacity(ApiError):
    status = 500
    message = (
        "We currently do not have sufficient {type} capacity in the Availability Zone you requested ({zone}). Our system "
        "will be working on provisioning additional capacity."
    )


class IncorrectInstanceState(ApiError):
    """The text is given where it is raised."""


class UnsupportedOperation(ApiError):
    """The text is given where it is raised."""


class OperationNotPermitted(ApiError):
    """The text is given where it is raised."""


class InvalidUserDataMalformed(ApiError):
    code = "InvalidUserData.Malformed"
    message = "Invalid BASE64 encoding of user data."


class AuthFailure(ApiError):
    status = 403
    message = "Not authorized for images: [{images}]"


class InvalidSubnetIDNotFound(ApiError):
    code = "InvalidSubnetID.NotFound"
    message = "The subnet ID '{subnet}' does not exist"


class InvalidID(ApiError):
    message = "The ID '{id}' is not valid"


class TagLimitExceeded(ApiError):
    message = "The maximum number of Tags for a resource has been reached."
