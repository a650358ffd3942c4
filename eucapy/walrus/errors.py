"""S3's errors beyond those of the edge. Codes, statuses and messages are AWS's to the letter.

Source: "Error responses" of the S3 API reference, and the answers of the service itself.
"""

from __future__ import annotations

from eucapy.aws.errors import MethodNotAllowed as MethodNotAllowed
from eucapy.aws.errors import RequestTimeout as RequestTimeout
from eucapy.errors import ApiError


class NoSuchBucket(ApiError):
    status = 404
    message = "The specified bucket does not exist"


class NoSuchKey(ApiError):
    status = 404
    message = "The specified key does not exist."


class NoSuchVersion(ApiError):
    status = 404
    message = "The specified version does not exist."


class NoSuchUpload(ApiError):
    status = 404
    message = (
        "The specified upload does not exist. The upload ID may be invalid, "
        "or the upload may have been aborted or completed."
    )


class NoSuchTagSet(ApiError):
    status = 404
    message = "The TagSet does not exist"


class NoSuchBucketPolicy(ApiError):
    status = 404
    message = "The bucket policy does not exist"


class NoSuchCORSConfiguration(ApiError):
    status = 404
    message = "The CORS configuration does not exist"


class NoSuchLifecycleConfiguration(ApiError):
    status = 404
    message = "The lifecycle configuration does not exist"


class NoSuchWebsiteConfiguration(ApiError):
    status = 404
    message = "The specified bucket does not have a website configuration"


class ReplicationConfigurationNotFoundError(ApiError):
    status = 404
    message = "The replication configuration was not found"


class ObjectLockConfigurationNotFoundError(ApiError):
    status = 404
    message = "Object Lock configuration does not exist for this bucket"


class NoSuchObjectLockConfiguration(ApiError):
    status = 404
    message = "The specified object does not have a ObjectLock configuration"


class ServerSideEncryptionConfigurationNotFoundError(ApiError):
    status = 404
    message = "The server side encryption configuration was not found"


class NoSuchConfiguration(ApiError):
    status = 404
    message = "The specified configuration does not exist."


class BucketAlreadyExists(ApiError):
    status = 409
    message = (
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again."
    )


class BucketAlreadyOwnedByYou(ApiError):
    status = 409
    message = "Your previous request to create the named bucket succeeded and you already own it."


class BucketNotEmpty(ApiError):
    status = 409
    message = "The bucket you tried to delete is not empty"


class VersionedBucketNotEmpty(ApiError):
    status = 409
    code = "BucketNotEmpty"
    message = "The bucket you tried to delete is not empty. You must delete all versions in the bucket."


class InvalidEncryptionAlgorithmError(ApiError):
    message = "The Encryption request you specified is not valid. Supported value: AES256."


class IllegalVersioningConfigurationException(ApiError):
    message = "The Versioning element must be specified"


class InvalidBucketOwnerAWSAccountID(ApiError):
    message = "The value of the expected bucket owner parameter must be an AWS Account ID."


class InvalidS3DestinationBucket(ApiError):
    message = "Invalid bucket ARN."


class IdMismatch(ApiError):
    message = "Document ID does not match the specified configuration ID."


class InvalidBucketState(ApiError):
    status = 409
    message = "The request is not valid for the current state of the bucket."


class InvalidRetentionPeriod(ApiError):
    message = "Default retention period must be a positive integer value."


class TooManyBuckets(ApiError):
    message = "You have attempted to create more buckets than allowed"


class InvalidBucketName(ApiError):
    message = "The specified bucket is not valid."


class InvalidLocationConstraint(ApiError):
    message = "The specified location-constraint is not valid"


class ConditionalRequestConflict(ApiError):
    status = 409
    message = "The conditional request cannot succeed due to a conflicting operation against this resource."


class PreconditionFailed(ApiError):
    status = 412
    message = "At least one of the pre-conditions you specified did not hold"


class NotModified(ApiError):
    status = 304
    message = "Not Modified"


class InvalidRange(ApiError):
    status = 416
    message = "The requested range is not satisfiable"


class InvalidPartNumber(ApiError):
    status = 416
    message = "The requested partnumber is not satisfiable"


class BadDigest(ApiError):
    message = "The Content-MD5 you specified did not match what we received."


class InvalidDigest(ApiError):
    message = "The Content-MD5 you specified was invalid."


class EntityTooLarge(ApiError):
    message = "Your proposed upload exceeds the maximum allowed size"


class EntityTooSmall(ApiError):
    message = "Your proposed upload is smaller than the minimum allowed size"


class InvalidPart(ApiError):
    message = (
        "One or more of the specified parts could not be found.  "
        "The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."
    )


class InvalidPartOrder(ApiError):
    message = "The list of parts was not in ascending order. Parts must be ordered by part number."


class KeyTooLongError(ApiError):
    message = "Your key is too long"


class MetadataTooLarge(ApiError):
    message = "Your metadata headers exceed the maximum allowed metadata size"


class InvalidStorageClass(ApiError):
    message = "The storage class you specified is not valid"


class InvalidTag(ApiError):
    message = "The TagValue you have provided is invalid"


class AccessControlListNotSupported(ApiError):
    message = "The bucket does not allow ACLs"


class InvalidBucketAclWithObjectOwnership(ApiError):
    message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"


class OwnershipControlsNotFoundError(ApiError):
    status = 404
    message = "The bucket ownership controls were not found"


class NoSuchPublicAccessBlockConfiguration(ApiError):
    status = 404
    message = "The public access block configuration was not found"


class MalformedACLError(ApiError):
    message = "The XML you provided was not well-formed or did not validate against our published schema"


class ForeignOwner(ApiError):
    """An ACL document that names another owner than the resource has."""

    status = 403
    code = "AccessDenied"
    message = "Access Denied"


class InvalidTargetBucketForLogging(ApiError):
    message = "The target bucket for logging does not exist"


class CrossLocationLoggingProhibitted(ApiError):
    status = 403
    message = "Cross S3 location logging not allowed. "


class BadRequest(ApiError):
    pass


class AccessForbidden(ApiError):
    status = 403


class UnexpectedContent(ApiError):
    message = "This request does not support content"


class MissingSecurityHeader(ApiError):
    message = "Your request was missing a required header"


class ServiceUnavailable(ApiError):
    status = 503
    message = "Reduce your request rate."


class InsufficientStorage(ApiError):
    """Not an AWS code (their disks are never full); rclone and s3cmd show the message to the user."""

    status = 507
    message = "The object store has no room left for this object."
