"""The S3 service that the handlers of this folder register with."""

from __future__ import annotations

from eucapy.aws.service import MIB, Service

s3 = Service("s3", body_limit=4 * MIB)
"""Bodies that do not stream are XML documents; the largest is a CompleteMultipartUpload of 10,000 parts."""
