"""Why operations of S3's model have no handler here: `docs/compatibility.md` says it, and a test holds the list complete."""

from __future__ import annotations

_ANNOTATIONS = "not yet: payloads that are attached to an object"
_METADATA = "tables of metadata are kept in S3 Tables and read with Athena, which are not here"
_DIRECTORY = "directory buckets are a storage class of one AWS zone; every bucket here is a general one"
_LABELS = "storage classes are labels here: every object can be read at once, and nothing moves"
_OLDER = "the older name of the same request, answered as {}"

OLDER_NAMES = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
UNSERVED = {
    "CreateBucketMetadataConfiguration": _METADATA,
    "CreateBucketMetadataTableConfiguration": _METADATA,
    "CreateSession": _DIRECTORY,
    "DeleteBucketMetadataConfiguration": _METADATA,
    "DeleteBucketMetadataTableConfiguration": _METADATA,
    "DeleteObjectAnnotation": _ANNOTATIONS,
    "GetBucketAbac": "with it a bucket's tags are set through S3 Control, which is not here",
    "GetBucketMetadataConfiguration": _METADATA,
    "GetBucketMetadataTableConfiguration": _METADATA,
    "GetObjectAnnotation": _ANNOTATIONS,
    "GetObjectTorrent": "AWS has ended it",
    "ListDirectoryBuckets": f"{_DIRECTORY}; what asks for it on this endpoint is ListBuckets",
    "ListObjectAnnotations": _ANNOTATIONS,
    "PutBucketAbac": "with it a bucket's tags are set through S3 Control, which is not here",
    "PutBucketAccelerateConfiguration": "there are no edge locations to go through",
    "PutBucketAnalyticsConfiguration": _LABELS,
    "PutBucketIntelligentTieringConfiguration": _LABELS,
    "PutObjectAnnotation": _ANNOTATIONS,
    "RenameObject": _DIRECTORY,
    "RestoreObject": _LABELS,
    "SelectObjectContent": "AWS has closed it to new customers",
    "UpdateBucketMetadataAnnotationTableConfiguration": _METADATA,
    "UpdateBucketMetadataInventoryTableConfiguration": _METADATA,
    "UpdateBucketMetadataJournalTableConfiguration": _METADATA,
    "UpdateObjectEncryption": "not yet: copy the object onto itself with the new key",
    "WriteGetObjectResponse": "Object Lambda needs Lambda, which is not here",
} | {older: _OLDER.format(f"`{name}`") for older, name in OLDER_NAMES.items()}
